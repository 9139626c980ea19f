"""How noisy keypoints are, by how much they tremble: what motion does not do from frame to frame, noise does."""

import warnings

import numpy as np
from jaxtyping import Float

from jaxpose.data.clip import Clip

UNKNOWN = 0.14  # before there are three frames
LEAST = 0.06  # what a lifter and a body's landmarks leave open where keypoints are exact
FACTOR = 2.0  # errors that last for several frames tremble less than they are large
MEMORY = 64  # frames
GAUSSIAN = 0.6745 * 6**0.5  # median of |n1 - 2 n2 + n3| for three normal numbers of unit variance


def noise(clip: Clip) -> Float[np.ndarray, " T"]:
  """Standard deviation of a keypoint's coordinates at each frame, as a share of the person's rms extent in the image.

  By the median of the second differences of all joints, less the frame's median over joints, over the last `MEMORY`
  frames, times `FACTOR`: later ones take no part. Fast motion at a low frame rate counts as noise, which errs to the
  safe side.
  """
  differences = tremble(clip.keypoints_2d, clip.confidence)
  return np.array([level(differences[max(t + 1 - MEMORY, 0) : t + 1]) for t in range(len(clip))], np.float32)


def tremble(keypoints: Float[np.ndarray, "T J 2"], confidence: Float[np.ndarray, "T J"]) -> Float[np.ndarray, "T J 2"]:
  """|u_t - 2 u_t-1 + u_t-2|, in the person's extent, less what all joints do; NaN in the first two frames and where one
  of the three is missing."""
  points = np.where((confidence > 0)[..., None], keypoints, np.nan).astype(np.float64)
  result = np.full(points.shape, np.nan)
  with warnings.catch_warnings():
    warnings.simplefilter("ignore", RuntimeWarning)  # of frames in which nobody is
    extent = np.sqrt(np.nanmean((points - np.nanmean(points, 1, keepdims=True)) ** 2, (1, 2)))
    bent = points[2:] - 2 * points[1:-1] + points[:-2]
    bent -= np.nanmedian(bent, 1, keepdims=True)
    result[2:] = np.abs(bent) / np.maximum(extent[2:, None, None], 1e-6)
  return result


def level(differences: Float[np.ndarray, "T J 2"]) -> float:
  """The noise after these frames: never below `LEAST`, `UNKNOWN` where nothing was seen."""
  there = differences[np.isfinite(differences)]
  return float(np.hypot(LEAST, FACTOR * np.median(there) / GAUSSIAN)) if len(there) else UNKNOWN
