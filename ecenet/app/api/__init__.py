"""The endpoints of the API and the types of their responses."""
