"""Experiments on the method: ablations, other decoders, few-shot, failure warnings, benchmarks. Not used by the app."""
