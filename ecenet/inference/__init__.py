"""Weights and photos become predictions: loading checkpoints, the predictor, converting other projects' files, masks
as pictures and files."""
