"""Labelled photos in the forms that people and tools have them (`formats/`): found (`find.py`), looked at (`check.py`)
and written in the folder layout (`write.py`)."""
