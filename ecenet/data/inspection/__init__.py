"""Checks for probable mistakes in labelled data sets."""
