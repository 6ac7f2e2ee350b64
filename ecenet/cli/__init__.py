"""The commands of `ecenet`. Their fields are the options; each calls one function of the library."""
