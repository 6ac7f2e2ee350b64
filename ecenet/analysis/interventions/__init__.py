"""Changing what the network sees or does: painted classes, edited masks, parts switched off, transplanted
embeddings."""
