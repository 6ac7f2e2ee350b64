"""Diagnostics of predictions: by pixel, by stage, against ground truth, another model or reference photos."""
