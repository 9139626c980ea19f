"""Human3.6M as MotionBERT and its line score it: in 2.5D image space, with a ground-truth scale for each frame.

Facts from MotionBERT's evaluation and its data file (lib/data/datareader_h36m.py, train.py; Zhu et al. 2023):

  pose in the image: P = (u, v, s (Z - Z_root)) in pixels (codec image_25d says what u, v and s are)
  factor:            lambda = argmin |lambda (P - P_root) - (X - X_root)|^2, from the ground truth
  error:             lambda |P' - P|, both about their roots

The trap: lambda P is not the body. Perspective inside the body is left out of prediction and ground truth alike, and
the scale is known, so numbers are lower than, and never comparable with, those of protocol `h36m`.
"""

from collections.abc import Sequence

import jax
import numpy as np

from jaxpose.codec.image_25d import Image25D
from jaxpose.data.clip import Clip
from jaxpose.protocols import h36m
from jaxpose.protocols.protocol import FACTOR, Protocol

WINDOW = 243  # frames; whole windows are scored, a video's tail is not

# Takes of S9 whose annotation drifts away from the image: s_09_act_05_subact_02, s_09_act_10_subact_02 and
# s_09_act_13_subact_01 in the naming of the published block list.
DRIFTED = ("Greeting", "SittingDown 1", "Waiting 1")

_BLOCK = 4096  # frames at once; every block has this size, so one program serves clips of all lengths


def dropped(clip: Clip) -> str | None:
  """The published block list: three takes of S9. S11's "Directions", which protocol `h36m` drops, is scored here."""
  return "drifted annotation" if clip.subject == "S9" and clip.sequence in DRIFTED else None


def factor(clip: Clip) -> np.ndarray:
  """lambda in metres a pixel, float32 [T]: the file's own, `clip.extra["factor_25d"]` in mm a pixel, or computed."""
  stored = clip.extra.get("factor_25d")
  if stored is None:
    return _blocks(_factor, clip)
  if np.shape(stored) != (len(clip),):
    raise ValueError(f"clip {clip.name}: extra['factor_25d'] has shape {np.shape(stored)}, expected ({len(clip)},)")
  return np.asarray(stored, np.float32) / 1000


def prepare(clip: Clip) -> Clip:
  """The clip with lambda P, root-relative metres, as its ground truth, and its tail after whole windows not valid.

  A clip shorter than one window is scored whole; the published code resamples it to a window at random, but none of the
  published file is that short.
  """
  frames = len(clip) // WINDOW * WINDOW or len(clip)
  pose = factor(clip)[:, None, None] * _blocks(_image_pose, clip)
  return clip.replace(
    joints_3d=np.where(clip.valid[:, None, None], pose, 0).astype(np.float32),
    valid=clip.valid & (np.arange(len(clip)) < frames),
  )


def notes(actions: Sequence[str]) -> dict:
  """What makes the numbers incomparable, for the fingerprint."""
  return {
    **h36m.missing_actions(actions),
    "space": f"2.5D image space times {FACTOR}: not camera space, not comparable with protocol 'h36m'",
    "scale": f"{FACTOR} of each frame, from the ground truth, in every metric",
    "whole_windows": WINDOW,
  }


@jax.jit
def _image_pose(joints, camera):
  codec = Image25D(h36m.SKELETON)
  pixels = joints[..., :2]  # plays no part
  return codec.decode(codec.encode_target(joints, pixels, camera), pixels, camera, factor=np.ones(len(joints)))


@jax.jit
def _factor(joints, camera):
  return Image25D(h36m.SKELETON).factor(joints, camera)


def _blocks(function, clip: Clip) -> np.ndarray:
  """function(joints, camera) of a clip's frames, block by block; an invalid frame is a point before the camera."""
  if clip.joints_3d is None:
    raise ValueError(f"clip {clip.name} has no joints_3d, from which protocol 'h36m_25d' takes its factor")
  joints = np.where(clip.valid[:, None, None], clip.joints_3d, np.array([0, 0, 1], np.float32))
  padded = np.pad(joints, ((0, -len(joints) % _BLOCK), (0, 0), (0, 0)), mode="edge")
  blocks = [np.asarray(function(padded[i : i + _BLOCK], clip.camera)) for i in range(0, len(padded), _BLOCK)]
  return np.concatenate(blocks)[: len(joints)]


H36M_25D = Protocol(
  "h36m_25d",
  version=1,
  joint_set="h36m_17",
  averaging="actions",
  dropped=dropped,
  action=h36m.action,
  prepare=prepare,
  factor=factor,
  notes=notes,
)
