"""The column beside the tabs: models, photos, the saved session, and the link to a view."""
