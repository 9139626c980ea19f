"""jaxpose lifts 2D human keypoints to 3D poses, in JAX: training, inference-time adaptation, published protocols."""

__version__ = "0.1.0"
