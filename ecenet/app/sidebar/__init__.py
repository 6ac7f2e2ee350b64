"""The sidebar: models, photos, saving and opening a session, and the link to a view."""
