"""A reader for each form that labelled photos come in; each answers with `Found`."""
