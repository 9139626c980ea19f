"""People's 2D keypoints over time: what every reader ends in, whatever wrote the file."""

import dataclasses
import enum
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from jaxpose.skeleton import Skeleton


class Status(enum.IntEnum):
  """Where a joint of a frame comes from: a detector, the frames around a short gap, or nowhere."""

  SEEN = 0
  FILLED = 1
  MISSING = 2


class Detections(NamedTuple):
  """One row for each person seen in a frame, in any order, as a file lists them.

  frames [D]: frame numbers. keypoints [D, K, 2], NaN where a joint is missing. confidence [D, K] as the file has it, 0
  where missing. ids [D], -1 where the file has none. unit: "px", "unit" (0 to 1 of the image's width and height),
  "signed" (-1 to 1), or "" where only the values can tell. first: the number of the first frame, where the format
  counts from a known one. count: frames of the whole recording, where the file says so. still: the frames are
  photographs without order in time. notes: what was said about the file.
  """

  frames: Int[np.ndarray, " D"]
  keypoints: Float[np.ndarray, "D K 2"]
  confidence: Float[np.ndarray, "D K"]
  ids: Int[np.ndarray, " D"]
  skeleton: Skeleton
  unit: str = "px"
  first: int | None = None
  count: int | None = None
  fps: float | int | None = None
  image_size: tuple[int, int] | None = None
  still: bool = False
  notes: tuple[str, ...] = ()

  def noted(self, *notes: str) -> "Detections":
    return self._replace(notes=(*self.notes, *notes))

  def kept(self, rows: np.ndarray) -> "Detections":
    """The rows of a mask or of indices."""
    arrays = {name: getattr(self, name)[rows] for name in ("frames", "keypoints", "confidence", "ids")}
    return self._replace(**arrays)


@dataclasses.dataclass(frozen=True)
class Tracks:
  """People followed through a recording.

  keypoints: float32 [T, N, K, 2], pixels, x right, y down, NaN where missing. confidence: float32 [T, N, K], 0 to 1, 0
  where missing. status: uint8 [T, N, K], of `Status`. ids: a number for each person. frames: int64 [T], consecutive,
  the recording's own numbers. fps, image_size (width, height): None where nothing says. source, format: where it came
  from. notes: warnings and decisions, a sentence each, for people to read. still: the frames are photographs, each with
  people of its own.
  """

  keypoints: np.ndarray
  confidence: np.ndarray
  status: np.ndarray
  ids: tuple[int, ...]
  frames: np.ndarray
  skeleton: Skeleton
  fps: float | int | None = None
  image_size: tuple[int, int] | None = None
  source: str = ""
  format: str = ""
  notes: tuple[str, ...] = ()
  still: bool = False

  def __post_init__(self):
    shape = (len(self.frames), len(self.ids), self.skeleton.num_joints)
    for name, array, expected, dtype in (
      ("keypoints", self.keypoints, (*shape, 2), np.float32),
      ("confidence", self.confidence, shape, np.float32),
      ("status", self.status, shape, np.uint8),
    ):
      if array.shape != expected or array.dtype != dtype:
        raise ValueError(
          f"tracks: {name} has shape {array.shape} and dtype {array.dtype}, expected {expected} [T, N, K...] of "
          f"{np.dtype(dtype)}"
        )
    if len(set(self.ids)) != len(self.ids):
      raise ValueError(f"tracks: an id stands twice in {self.ids}; every person needs one of their own")
    if (np.diff(self.frames) != 1).any():
      raise ValueError("tracks: frames must be consecutive numbers; an empty frame holds NaN")
    if self.fps is not None and not 0 < self.fps < float("inf"):
      raise ValueError(f"tracks: fps={self.fps}; the frame rate is a positive number of frames a second")
    missing = np.isnan(self.keypoints).any(-1)
    if not np.array_equal(missing, self.status == Status.MISSING):
      raise ValueError("tracks: status must be MISSING where keypoints are NaN, and nowhere else")

  def __len__(self) -> int:
    return len(self.frames)

  @property
  def present(self) -> np.ndarray:
    """bool [T, N]: frames in which any joint of a person is seen or filled."""
    return (self.status != Status.MISSING).any(-1)

  def noted(self, *notes: str) -> "Tracks":
    return dataclasses.replace(self, notes=(*self.notes, *notes))

  def person(self, ids: int | Sequence[int]) -> "Tracks":
    """The people of these ids alone; a ValueError lists the ids there are."""
    wanted = [ids] if isinstance(ids, int) else list(ids)
    absent = [i for i in wanted if i not in self.ids]
    if absent:
      raise ValueError(f"{self.source or 'tracks'}: no person {absent[0]}; --person= takes one of {list(self.ids)}")
    at = [self.ids.index(i) for i in wanted]
    return dataclasses.replace(
      self,
      keypoints=self.keypoints[:, at],
      confidence=self.confidence[:, at],
      status=self.status[:, at],
      ids=tuple(wanted),
    )


def dense(detections: Detections, ids: np.ndarray, *, source: str, format: str) -> Tracks:
  """Detections with ids [D] as arrays over consecutive frames and people; frames that nobody is in hold NaN.

  Raises ValueError if nobody was detected, for frame numbers too far apart to be a recording's, for more people than
  fit in memory, and for a person who is in a frame twice.
  """
  if not len(detections.frames):
    raise ValueError(f"{source}: nobody in it; there is nothing to lift")
  low, high = int(detections.frames.min()), int(detections.frames.max())
  first = low if detections.first is None else min(detections.first, low)
  if low - first > 1000 + 10 * (high - low):  # pictures that are counted from elsewhere
    first = low
  last = high if detections.count is None else max(high, first + detections.count - 1)
  if last - first >= 1000 + 100 * len(np.unique(detections.frames)):
    raise ValueError(
      f"{source}: frames {first} to {last}, but people in {len(np.unique(detections.frames))} of them only; are these "
      f"frame numbers? Write one recording a file, with its frames counted up"
    )
  people, column = np.unique(ids, return_inverse=True)
  joints = detections.skeleton.num_joints
  shape = (last - first + 1, len(people), joints)
  if np.prod(shape, dtype=float) * 12 > _LIMIT:
    raise ValueError(
      f"{source}: {shape[1]} people in {shape[0]} frames of {joints} joints need more than {_LIMIT >> 30} GiB; choose "
      f"people by --person=largest or --person=ID"
    )
  row = detections.frames - first
  cells = row * len(people) + column
  if len(np.unique(cells)) != len(cells):
    cell, seen = np.unique(cells, return_counts=True)
    at = int(cell[seen > 1][0])
    raise ValueError(
      f"{source}: person {people[at % len(people)]} is in frame {first + at // len(people)} more than once"
    )
  keypoints = np.full((*shape, 2), np.nan, np.float32)
  confidence = np.zeros(shape, np.float32)
  missing = np.asarray(np.isnan(detections.keypoints).any(-1))
  keypoints[row, column] = np.where(missing[..., None], np.nan, detections.keypoints)
  confidence[row, column] = np.where(missing, 0, detections.confidence)
  status = np.where(np.isnan(keypoints[..., 0]), Status.MISSING, Status.SEEN).astype(np.uint8)
  frames = np.arange(first, last + 1)
  return Tracks(
    keypoints, confidence, status, tuple(int(i) for i in people), frames, detections.skeleton,
    detections.fps, detections.image_size, source, format, detections.notes, detections.still,
  )  # fmt: skip


_LIMIT = 4 << 30  # bytes of keypoints and confidence
