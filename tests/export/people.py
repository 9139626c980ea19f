"""Lifted poses of two procedural people, for the writers' tests."""

import numpy as np

from jaxpose import skeleton as skeletons
from jaxpose.data import cameras
from jaxpose.keypoints import sample
from jaxpose.lifted import Lifted
from jaxpose.synthetic import motion

H36M = skeletons.get("h36m_17")


def walking(frames=90, index=0, split="train"):
  """One person [T, 17, 3], metres, y up, with bones of constant length."""
  return motion.simulate(split, index, frames=frames).motion.positions_world


def lifted(frames=60, gaps=True, world=True):
  """Two people who cross: the second is gone for 12 frames, and some joints were filled or missing."""
  made = sample.scene()
  points = made.points[:frames, :, :17].astype(np.float32)
  views = [cameras.see(points[:, n].astype(np.float64), made.camera)[:2] for n in range(2)]
  positions = np.stack([v[0] - v[0][:, :1] for v in views], 1)
  pixels = np.stack([v[1] for v in views], 1)
  status = np.zeros(points.shape[:3], np.uint8)
  confidence = np.full(status.shape, 0.9, np.float32)
  if gaps:
    status[10:14, 0, 13], status[20:26, 1, 6], status[30:42, 1] = 1, 2, 2
    for array in (positions, points, pixels):
      array[30:42, 1] = np.nan
    pixels[status == 2] = np.nan
    confidence[status == 2] = 0
  return Lifted(
    positions=positions, status=status, ids=(1, 4), frames=np.arange(100, 100 + frames), fps=25.0, skeleton=H36M,
    keypoints_2d=pixels, confidence=confidence, camera=made.camera, positions_world=points if world else None,
    raw=positions + np.float32(0.001), raw_world=points + np.float32(0.001) if world else None,
    provenance={"checkpoint": "cmu_clip", "format": "alphapose"},
  )  # fmt: skip
