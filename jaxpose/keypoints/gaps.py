"""Short gaps in a joint's track, filled by interpolation and marked; longer ones stay empty."""

import dataclasses

import numpy as np

from jaxpose.keypoints.tracks import Status, Tracks

FILL_S = 0.3


def fill(tracks: Tracks, fps: float | int, longest_s: float | int = FILL_S) -> Tracks:
  """The tracks with gaps of at most `longest_s` seconds interpolated linearly between the frames around them.

  A filled joint has status FILLED and the lesser of the two confidences. Nothing is filled before the first frame in
  which a joint was seen, nor after the last. Raises ValueError for a negative length.
  """
  if longest_s < 0:
    raise ValueError(f"gaps of {longest_s} seconds cannot be filled; give 0 or more")
  keypoints, confidence, status = tracks.keypoints.copy(), tracks.confidence.copy(), tracks.status.copy()
  longest = int(longest_s * fps + 1e-6)
  present = tracks.present
  for n in range(len(tracks.ids)):
    there = np.flatnonzero(present[:, n])
    if len(there):
      life = slice(int(there[0]), int(there[-1]) + 1)  # a recording of a crowd is mostly people who are not there
      _fill_one(keypoints[life, n], confidence[life, n], status[life, n], longest)
  return dataclasses.replace(tracks, keypoints=keypoints, confidence=confidence, status=status)


def _fill_one(points: np.ndarray, confidence: np.ndarray, status: np.ndarray, longest: int) -> None:
  """Fills the gaps of up to `longest` frames of one person's arrays [T, K, ...] in place."""
  missing = status == Status.MISSING
  index = np.arange(len(status))[:, None]
  before = np.maximum.accumulate(np.where(missing, -1, index), 0)
  after = np.minimum.accumulate(np.where(missing, len(status), index)[::-1], 0)[::-1]
  t, j = np.nonzero(missing & (before >= 0) & (after < len(status)) & (after - before - 1 <= longest))
  b, a = before[t, j], after[t, j]
  share = ((t - b) / (a - b))[:, None]
  points[t, j] = points[b, j] * (1 - share) + points[a, j] * share
  confidence[t, j] = np.minimum(confidence[b, j], confidence[a, j])
  status[t, j] = Status.FILLED


def stretches(present: np.ndarray) -> list[slice]:
  """The unbroken runs of True in a mask [T]."""
  edges = np.flatnonzero(np.diff(np.r_[0, np.asarray(present).astype(np.int8), 0]))
  return [slice(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2])]


def describe(tracks: Tracks) -> tuple[str, ...]:
  """A line for each person: frames seen, filled, longest gap, left empty."""
  lines = []
  for at, person in enumerate(tracks.ids):
    status = tracks.status[:, at]
    seen = (status == Status.SEEN).any(-1)
    filled = ~seen & (status == Status.FILLED).any(-1)
    empty = (status == Status.MISSING).all(-1)
    longest = max((s.stop - s.start for s in stretches(~seen)), default=0)
    lines.append(
      f"person {person}: {seen.sum()} frames seen, {filled.sum()} filled, {empty.sum()} left empty "
      f"(longest gap {longest})"
    )
  return tuple(lines)
