"""Data sets as their publishers lay them out, each read as a `LabelledSplit`."""
