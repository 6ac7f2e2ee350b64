"""What a visitor has: photos, selection, experiment, the open models, and the saved session. No components."""
