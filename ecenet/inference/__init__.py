"""Inference: loading checkpoints, the predictor, conversion of other projects' checkpoints, and export of masks."""
