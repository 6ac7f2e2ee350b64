"""Files of the API: checking, limiting and downloading those that clients send, and storing those that they get."""
