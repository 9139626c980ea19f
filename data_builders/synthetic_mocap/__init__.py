"""Procedural people as a data set: see README.md."""

from data_builders.synthetic_mocap.synthetic_mocap_dataset_builder import Builder

__all__ = ["Builder"]
