"""Class embeddings as points: UMAP, t-SNE and PCA projections, distances, and the embedding map of the app."""
