"""What is known of a body and its motion without labels: two equal sides, no sudden changes."""

import jax
import numpy as np
from jaxtyping import Array, Float

from jaxpose import losses
from jaxpose import metrics as measures
from jaxpose.adapt.objectives import Metrics, Objective, Variables
from jaxpose.models import lifter as lifters
from jaxpose.models.lifter import Lifter
from jaxpose.skeleton import Skeleton


def symmetry(lifter: Lifter, skeleton: Skeleton, weight: float = 10.0) -> Objective:
  """weight (|left bone| - |right bone|)^2, summed over the pairs of bones, averaged over rows and frames.

  In the codec's output units, on the supervised lifter's poses. Needs no statistics of the source, so it also suits
  people unlike those of training. Dabral et al., Learning 3D Human Pose from Structure and Motion, ECCV 2018, there
  without the square. Trap: a body of half the size is as symmetric; something else must hold the scale.

  Raises ValueError for a skeleton without left and right bones.
  """
  left, right = (np.array(side, int) for side in bone_pairs(skeleton))
  if not len(left):
    raise ValueError(f"skeleton {skeleton.name!r} has no pair of left and right bones: {', '.join(skeleton.names)}")

  def objective(variables: Variables, inputs: Array, key: jax.Array, copies: int = 1) -> tuple[Array, Metrics]:
    del key, copies
    lengths = measures.safe_norm(losses.bone_vectors(lifters.predict(lifter, variables, inputs), skeleton))
    value = ((lengths[..., left] - lengths[..., right]) ** 2).sum(-1).mean()
    return weight * value, {"symmetry": value}

  return objective


def bone_pairs(skeleton: Skeleton) -> tuple[tuple[int, ...], tuple[int, ...]]:
  """(left, right): places in skeleton.bones of the bones that mirror each other, by the joints' names."""
  place = {bone: i for i, bone in enumerate(skeleton.bones)}
  flip = skeleton.flip
  pairs = [(i, place.get((flip[c], flip[p]))) for (c, p), i in place.items() if c in skeleton.left]
  found = [(l, r) for l, r in pairs if r is not None]
  return tuple(l for l, _ in found), tuple(r for _, r in found)


def smoothness(lifter: Lifter, weight: float = 10.0) -> Objective:
  """weight |X(t-1) - 2 X(t) + X(t+1)|^2, summed over joints and coordinates, averaged over times.

  In the codec's output units a frame^2. Time is `frames_in_order`: within a window of at least three frames, and else
  along the rows, which in the online modes are the last `memory` instances, oldest first. The quantity is the
  acceleration whose error is reported since Kanazawa et al. (Learning 3D Human Dynamics from Video, CVPR 2019), here
  driven towards zero.

  Traps: it also flattens quick motion, so keep its weight low. Mirrored rows (flip_rows) are not next in time to the
  others, so do not combine the two. A memory holds every instance of the stream, also those that `every` or a gate
  passes by, so its rows are consecutive.
  """

  def objective(variables: Variables, inputs: Array, key: jax.Array, copies: int = 1) -> tuple[Array, Metrics]:
    del key, copies
    frames = frames_in_order(lifters.predict(lifter, variables, inputs))
    acceleration = frames[:, :-2] - 2 * frames[:, 1:-1] + frames[:, 2:]
    value = (acceleration**2).sum((-1, -2)).mean()
    return weight * value, {"smoothness": value}

  return objective


def frames_in_order(poses: Float[Array, "N T J 3"]) -> Float[Array, "S F J 3"]:
  """Sequences of at least three frames: the windows themselves where T >= 3, and else all rows as one sequence.

  Raises ValueError where there are fewer than three frames in all.
  """
  count, length = poses.shape[:2]
  if length >= 3:
    return poses
  if count * length < 3:
    raise ValueError(
      f"smoothness compares three frames, and a step sees {count} rows of {length}; use it in an online mode with "
      "memory=3 or more, or with a model of windows of at least 3 frames"
    )
  return poses.reshape(1, count * length, *poses.shape[2:])
