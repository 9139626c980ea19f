"""Who is who from frame to frame, where a file does not say: detections are linked to people by where they are.

Each frame's detections are assigned to the people seen within the last second, all at once (Hungarian, scipy), at the
least sum of distances. A distance is the mean over common joints between the detection and the person's last pose moved
on at its recent velocity, divided by the person's size: named joints tell two people apart who cross, since one of them
faces the other way. A detection farther from everybody than a person can move is somebody new.
"""

import dataclasses

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment

from jaxpose.keypoints.tracks import Detections, Tracks

UNSEEN_S = 1.0  # how long somebody may be unseen
SPEED = 3.0  # body sizes a second that a prediction may be off by, and
NEAREST, FARTHEST = 0.3, 1.2  # the least and greatest distance, in body sizes, that this allows
JUMP = 0.75  # body sizes from one frame to the next, above which a track may have two people in it
_MEMORY_S = 0.4  # of the velocity


@dataclasses.dataclass
class _Person:
  """Somebody who is followed: the last pose [K, 2], NaN where never seen, and where they were when."""

  id: int
  pose: np.ndarray
  size: float
  times: list[float]
  centres: list[np.ndarray]

  def predicted(self, time: float) -> np.ndarray:
    """The last pose, moved on at the velocity of the last sightings, for a second at most."""
    return self.pose + self._velocity() * min(time - self.times[-1], UNSEEN_S)

  def _velocity(self) -> np.ndarray:
    recent = [i for i, t in enumerate(self.times) if t >= self.times[-1] - _MEMORY_S]
    if len(recent) < 2:
      return np.zeros(2)
    t = np.array([self.times[i] for i in recent])
    c = np.stack([self.centres[i] for i in recent])
    t = t - t.mean()
    return (t[:, None] * c).sum(0) / (t**2).sum()

  def see(self, keypoints: np.ndarray, time: float) -> None:
    moved = np.nanmean(keypoints - self.pose, 0) if np.isfinite(keypoints - self.pose).any() else 0.0
    self.pose = np.where(np.isfinite(keypoints), keypoints, self.pose + moved)
    size = _size(keypoints)
    self.size = 0.9 * self.size + 0.1 * size if size > 0.5 * self.size else self.size
    self.times = [*self.times[-30:], time]
    self.centres = [*self.centres[-30:], np.nanmean(self.pose, 0)]


def ids(detections: Detections, fps: float | int) -> tuple[Int[np.ndarray, " D"], tuple[str, ...]]:
  """An id for each detection, and notes: the file's where they tell people apart, else by linking.

  Ids that stand twice in a frame tell nobody apart. Of photographs nobody is followed: people are counted anew in each.
  """
  keys = np.stack([detections.frames, detections.ids], -1)
  given = (detections.ids >= 0).all()
  if given and len(np.unique(keys, axis=0)) == len(keys):
    return detections.ids, ()
  notes = ("ids stand twice in a frame, so people are linked by where they are",) if given else ()
  if detections.still:
    return _counted(detections.frames), notes
  return _linked(detections, fps), notes


def _counted(frames: np.ndarray) -> np.ndarray:
  order = np.argsort(frames, kind="stable")
  starts = np.r_[0, np.flatnonzero(np.diff(frames[order])) + 1]
  place = np.arange(len(frames)) - np.repeat(starts, np.diff(np.r_[starts, len(frames)]))
  numbers = np.empty(len(frames), np.int64)
  numbers[order] = place + 1
  return numbers


def _linked(detections: Detections, fps: float | int) -> np.ndarray:
  numbers = np.zeros(len(detections.frames), np.int64)
  followed: list[_Person] = []
  count = 0
  order = np.argsort(detections.frames, kind="stable")
  for rows in np.split(order, np.flatnonzero(np.diff(detections.frames[order])) + 1):
    time = float(detections.frames[rows[0]] / fps)
    followed = [p for p in followed if time - p.times[-1] < UNSEEN_S + 0.5 / fps]
    poses = detections.keypoints[rows]
    matched = _assign(followed, poses, time)
    for row, pose, person in zip(rows, poses, matched):
      if person is None:
        count += 1
        person = _Person(count, pose, _size(pose), [time], [np.nanmean(pose, 0)])
        followed.append(person)
      else:
        person.see(pose, time)
      numbers[row] = person.id
  return numbers


def _assign(followed: list[_Person], poses: np.ndarray, time: float) -> list[_Person | None]:
  """The person whom each pose [D, K, 2] belongs to; None for somebody new."""
  matched: list[_Person | None] = [None] * len(poses)
  if not followed or not len(poses):
    return matched
  cost = np.stack([_distances(person, poses, time) for person in followed])
  away = np.array([time - p.times[-1] for p in followed])[:, None]
  allowed = cost <= np.minimum(NEAREST + SPEED * away, FARTHEST)
  # Of two people as near, the one seen last: and nothing forbidden is worth an allowed one.
  for i, j in zip(*linear_sum_assignment(np.where(allowed, cost + 0.1 * away, 1e3))):
    if allowed[i, j]:
      matched[j] = followed[i]
  return matched


def _distances(person: _Person, poses: np.ndarray, time: float) -> Float[np.ndarray, " D"]:
  off = np.linalg.norm(poses - person.predicted(time), axis=-1)
  common = np.isfinite(off)
  off = np.where(common, off, 0).sum(-1) / np.maximum(common.sum(-1), 1)
  return np.where(common.any(-1), off / max(person.size, 1e-6), np.inf)


def _size(pose: np.ndarray) -> float:
  """The diagonal of the pose's box, in pixels."""
  present = pose[np.isfinite(pose).all(-1)]
  return float(np.linalg.norm(present.max(0) - present.min(0))) if len(present) else 0.0


def jumps(tracks: Tracks) -> tuple[str, ...]:
  """A warning, with its frame, for each person who moves farther from one frame to the next than a person can."""
  notes = []
  present = tracks.present
  for at, person in enumerate(tracks.ids):
    there = np.flatnonzero(present[:, at])
    poses = tracks.keypoints[there, at].astype(np.float64)
    off = np.linalg.norm(np.diff(poses, axis=0), axis=-1)
    common = np.isfinite(off) & (np.diff(there) == 1)[:, None]
    moved = np.where(common, off, 0).sum(-1) / np.maximum(common.sum(-1), 1)
    finite = np.isfinite(poses)
    extent = np.where(finite, poses, -np.inf).max(1) - np.where(finite, poses, np.inf).min(1)
    size = float(np.median(np.linalg.norm(extent, axis=-1)))
    wide = np.flatnonzero(moved > JUMP * size)
    if len(wide):
      first = int(wide[0])
      notes.append(
        f"person {person} jumps {moved[first]:.0f} px, {moved[first] / max(size, 1e-6):.1f} of their size, at frame "
        f"{tracks.frames[there[first + 1]]}"
        + f" and {len(wide) - 1} more times" * (len(wide) > 1)
        + ": two people under one id? Cut the file there, or mend its ids"
      )
  return tuple(notes)
