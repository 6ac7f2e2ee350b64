"""Elements that several tabs share: HTML fragments, pictures, downloads."""
