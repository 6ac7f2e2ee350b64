"""Limits on the threads of numerical libraries."""

from threadpoolctl import threadpool_limits


def give_numpy_one_thread() -> None:
    """Limit NumPy's matrix products to one thread.

    The app runs several small functions at once. On a busy machine their threads would wait for each other up to a
    hundred times as long as they compute, and delay the network as well.
    """
    threadpool_limits(1, user_api="blas")
