"""The networks (ECENet, its authors' release, and SegViT) as PyTorch modules with their configurations. They take
tensors and return `ECENetOutput`."""
