"""Handling of image formats that Pillow reads incorrectly or not at all."""
