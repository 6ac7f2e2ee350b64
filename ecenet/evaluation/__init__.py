"""Evaluation against ground truth: mIoU and other metrics, test-time augmentation, calibration, embedding banks and
pseudo-labels for unlabelled pixels."""
