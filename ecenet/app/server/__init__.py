"""Serving the page: options, launch, shutdown, request limits, the event queue, where sessions are kept."""
