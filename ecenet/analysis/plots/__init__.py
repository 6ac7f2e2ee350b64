"""Plotly figures of what the analysis returns. Arrays in, figures out."""
