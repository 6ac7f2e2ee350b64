"""Interventions on the network: painted classes, edited masks, knock-outs and transplanted embeddings."""
