"""The parts that heads are made of: Feature Reconstruction, Explicit Class Extraction, Semantics Attention with its
updater, the layers of the authors' release, SegViT's attention-to-mask, and a pyramid of a plain ViT's features."""
