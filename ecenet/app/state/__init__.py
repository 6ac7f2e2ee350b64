"""The state of a visitor: photos, selection, experiment, open models, and the saved session. No UI components."""
