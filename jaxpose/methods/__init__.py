"""Methods: what a model learns from, as a training graph and an inference graph. One method a file."""
