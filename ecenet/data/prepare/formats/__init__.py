"""Readers for the formats of labelled photos; each returns `Found`."""
