"""Published counts of Human3.6M's files, against what was built."""

from collections.abc import Callable, Sequence

from data_builders.human36m import takes
from data_builders.verification import Check, Example

_METADATA = "frames in the official metadata.xml"
_VIDEOPOSE3D = "VideoPose3D, prepare_data_h36m.py"
_MOTIONBERT = "MotionBERT, lib/data/datareader_h36m.py and docs/pose3d.md"


def frames(split: str) -> Callable[[Sequence[Example]], int]:
  return lambda examples: sum(e.frames for e in examples if e.split == split)


def windows(split: str, length: int, stride: int) -> Callable[[Sequence[Example]], int]:
  """Clips of `length` frames, one every `stride`, of the sequences of a split."""
  return lambda examples: sum(max(0, (e.frames - length) // stride + 1) for e in examples if e.split == split)


def of_subjects(without_corrupt: bool) -> tuple[Check, ...]:
  """Takes and frames of each subject, four cameras together, and the literature's totals.

  without_corrupt: for files that lack S11's "Directions", as VideoPose3D's do.
  """

  def counted(subject: str) -> list[takes.Take]:
    return [t for t in takes.TAKES[subject] if not (without_corrupt and (subject, t.name) == takes.CORRUPT)]

  def distinct(subject: str) -> Callable[[Sequence[Example]], int]:
    return lambda examples: len({e.sequence for e in examples if e.split == subject})

  def together(subjects: Sequence[str], dropped: Sequence[tuple[str, str]] = ()) -> Callable[[Sequence[Example]], int]:
    return lambda examples: sum(
      e.frames for e in examples if e.split in subjects and (e.subject, e.sequence) not in dropped
    )

  def total(subjects: Sequence[str]) -> int:
    return 4 * sum(t.frames for s in subjects for t in takes.TAKES[s])

  corrupt = next(t for t in takes.TAKES[takes.CORRUPT[0]] if t.name == takes.CORRUPT[1])
  checks = []
  for subject in takes.SUBJECTS:
    counts = counted(subject)
    checks.append(Check(f"{subject}: takes", len(counts), _VIDEOPOSE3D, distinct(subject)))
    checks.append(Check(f"{subject}: frames", 4 * sum(t.frames for t in counts), _METADATA, frames(subject)))
  number = sum(len(counted(s)) for s in takes.SUBJECTS)
  checks.append(Check("clips (takes and cameras)", 4 * number, "four cameras a take", len))
  checks.append(Check("frames of S1 S5 S6 S7 S8, training", total(takes.TRAIN), _METADATA, together(takes.TRAIN)))
  without = total(takes.TEST) - 4 * corrupt.frames
  what = "frames of S9 S11 but S11's Directions, test"
  checks.append(Check(what, without, "543,344 in VideoPose3D and its line", together(takes.TEST, [takes.CORRUPT])))
  return tuple(checks)


def of_motionbert() -> tuple[Check, ...]:
  return (
    Check("train: frames", 1_559_752, _MOTIONBERT, frames("train")),
    Check("test: frames", 566_920, _MOTIONBERT, frames("test")),
    Check("train: clips of 243 frames, stride 81", 17_748, _MOTIONBERT, windows("train", 243, 81)),
    Check("test: clips of 243 frames, stride 243", 2_228, _MOTIONBERT, windows("test", 243, 243)),
  )
