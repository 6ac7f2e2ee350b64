"""Benchmarks of time, memory and operations, for ECENet and other networks."""
