"""Inference graphs as ONNX files: a jaxpr written node by node, without TensorFlow or torch (extra `onnx`)."""
