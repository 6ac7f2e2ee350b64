"""The Class embeddings tab."""
