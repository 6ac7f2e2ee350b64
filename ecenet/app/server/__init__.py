"""Serving the page: options, launch, shutdown, request filters, the event queue, and the session store."""
