"""Layers of the heads: Feature Reconstruction, Explicit Class Extraction, Semantics Attention & Updater, the layers of
the authors' release, SegViT's attention-to-mask, and a feature pyramid for plain ViTs."""
