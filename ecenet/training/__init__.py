"""The training loop and what it is made of: config, losses, optimizer, checkpoints, run folders, presets,
publishing."""
