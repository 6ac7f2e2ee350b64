"""One module, or one package, for each tab."""
