"""The What if tab."""
