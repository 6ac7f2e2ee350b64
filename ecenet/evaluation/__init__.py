"""Predictions against true labels: mIoU and other scores, test-time augmentation, banks of class embeddings with how
their masks fared, and labels for what has none."""
