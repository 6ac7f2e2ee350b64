"""Conversion of labelled photos: detecting their format (`find.py`, `formats/`), checking them (`check.py`) and writing
them in the folder layout (`write.py`)."""
