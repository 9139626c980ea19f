"""Inference stage optimization: adapting trained parameters to unlabelled instances before predicting them."""
