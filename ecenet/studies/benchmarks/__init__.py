"""Time, memory and operations, ours and other networks'."""
