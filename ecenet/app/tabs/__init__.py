"""One module, or one package, for each tab, and the panels that a tab holds."""
