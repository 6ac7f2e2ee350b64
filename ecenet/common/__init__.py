"""What any part of the package may need and that knows nothing of images or models: errors, logs, files, threads,
processes, the version."""
