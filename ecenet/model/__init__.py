"""The networks, ECENet, its authors' release of it and SegViT, as PyTorch modules with their configs. Tensors in,
`ECENetOutput` out; no images, no devices, no files but weights."""
