"""The commands of `ecenet` except `train`, which is in `ecenet/training/command.py`. Each command is a dataclass whose
fields are the options; the library does the work."""
