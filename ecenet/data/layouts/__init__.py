"""Layouts of published data sets; each is read as a `LabelledSplit`."""
