"""Class embeddings as points: UMAP and other projections, distances, the map that keeps its place."""
