"""Conversion of a finished run to a checkpoint to share: fp16 weights, their scores and a model card."""
