"""What can be asked of predictions, as functions without state: where embeddings lie, what an intervention changes, how
far a map or mask can be trusted, and the plots of it."""
