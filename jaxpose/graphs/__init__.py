"""Inference graphs: what a model computes at inference, declared apart from its training, and programs made of it."""
