"""The experiments of "Inference Stage Optimization" (Zhang, Nie, Feng 2020) on open data, as one page."""
