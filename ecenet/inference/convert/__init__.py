"""Checkpoints of other projects, written anew as ours."""
