"""Utilities that know nothing about images or models: errors, logs, files, threads, processes, the version."""
