"""The commands of `ecenet`, but for `train`, which is `ecenet/training/command.py`. Their fields are the options; what
they print and write comes from functions of the library."""
