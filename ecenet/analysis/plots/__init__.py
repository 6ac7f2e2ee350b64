"""Plotly figures of the results of the analysis."""
