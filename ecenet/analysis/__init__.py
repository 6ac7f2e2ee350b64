"""Analysis of predictions as stateless functions: embedding projections, interventions, diagnostics and plots."""
