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
  frames = len(tracks)
  flat = tracks.keypoints.reshape(frames, -1, 2).copy()
  confidence = tracks.confidence.reshape(frames, -1).copy()
  status = tracks.status.reshape(frames, -1).copy()
  missing = status == Status.MISSING
  index = np.arange(frames)[:, None]
  before = np.maximum.accumulate(np.where(missing, -1, index), 0)
  after = np.minimum.accumulate(np.where(missing, frames, index)[::-1], 0)[::-1]
  longest = int(longest_s * fps + 1e-6)
  t, j = np.nonzero(missing & (before >= 0) & (after < frames) & (after - before - 1 <= longest))
  b, a = before[t, j], after[t, j]
  share = ((t - b) / (a - b))[:, None]
  flat[t, j] = flat[b, j] * (1 - share) + flat[a, j] * share
  confidence[t, j] = np.minimum(confidence[b, j], confidence[a, j])
  status[t, j] = Status.FILLED
  return dataclasses.replace(
    tracks,
    keypoints=flat.reshape(tracks.keypoints.shape),
    confidence=confidence.reshape(tracks.confidence.shape),
    status=status.reshape(tracks.status.shape),
  )


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
