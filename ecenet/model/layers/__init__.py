"""The parts that heads are made of: Feature Reconstruction, Explicit Class Extraction, Semantics Attention with its
updater, and SegViT's attention-to-mask."""
