"""jaxpose lifts 2D human keypoints to 3D poses, in JAX: training, inference-time adaptation, published protocols."""

import os

__version__ = "0.1.0"


def load(run_or_name: str | os.PathLike, which: str | int = "best"):
  """A lifter of keypoints, by the name of shipped weights or by a run's workdir: `pose_lifter.load`.

  jaxpose.load("cmu_clip").lift(keypoints, image_size=(1920, 1080)).positions
  """
  from jaxpose import pose_lifter  # here alone: importing jaxpose imports nothing else

  return pose_lifter.load(run_or_name, which)
