"""Experiments on the method: ablations, other decoders, few-shot, failure warnings, benchmarks. Nothing of the app
needs them."""
