"""The API's endpoints and what they answer."""
