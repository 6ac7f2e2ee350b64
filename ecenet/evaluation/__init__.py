"""Predictions against true labels: mIoU and other scores, test-time augmentation, and banks of class embeddings with
how their masks fared."""
