"""Files of the API: those that clients send, checked, limited and fetched, and those that they get back."""
