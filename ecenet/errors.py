"""The one exception that a user is meant to read."""


class UserError(ValueError):
    """Something the user gave cannot be used.

    The message is one sentence that says what was expected, what came and what to do.
    The command line prints it and exits with 2; the app shows it as a toast.
    """
