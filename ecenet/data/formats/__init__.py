"""What single image formats ask for: where Pillow reads them wrongly, or not at all."""
