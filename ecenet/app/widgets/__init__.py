"""Pieces that several tabs show: HTML fragments, pictures, downloads."""
