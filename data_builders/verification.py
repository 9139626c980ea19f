"""Published counts against what was built: the table that says whether a data set is the one the papers used."""

import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

import tensorflow_datasets as tfds
from etils import epath

from jaxpose.data import features


class Example(NamedTuple):
  """What a check may look at: the provenance of one stored example and its number of frames, `valid` of them scored."""

  split: str
  subject: str
  action: str
  sequence: str
  camera_id: str
  skeleton: str
  frames: int
  valid: int
  fps: float


class Check(NamedTuple):
  """One published count: `what` is counted, the `expected` number, its `source`, and how to `count` it.

  `count` gives None where the check does not concern what was built. A `note` is a third party's count: it is shown,
  and judges nothing.
  """

  what: str
  expected: int
  source: str
  count: Callable[[Sequence[Example]], int | None]
  note: bool = False


def examples_of(directory: str | os.PathLike) -> list[Example]:
  """The examples of a built data set, read back in order: what is counted here can be loaded.

  Raises ValueError for an example that does not decode to a clip or a motion, naming its split and place in it.
  """
  builder = tfds.builder_from_directory(epath.Path(directory))
  examples = []
  for split in builder.info.splits:
    for at, stored in enumerate(cast(Any, builder.as_data_source(split=split))):
      try:
        examples.append(_example(split, stored))
      except ValueError as error:
        raise ValueError(f"{os.fspath(directory)}: example {at} of split {split!r} cannot be read: {error}") from None
  return examples


def table(checks: Sequence[Check], examples: Sequence[Example], *, fixture: bool = False) -> tuple[str, bool]:
  """(text table of what, found, expected, verdict and source; whether everything is as published).

  The verdict of a count: "ok"; "partial", where less was found, or in a `fixture`, whose counts mean nothing; "TOO
  MANY", where more was found than was ever published; "note", of a third party's. The last line is `verdict`'s.
  """
  rows = [("what", "found", "expected", "verdict", "source")]
  for check, counts in _counted(checks, examples):
    one = "partial" if fixture or counts < check.expected else "ok" if counts == check.expected else "TOO MANY"
    rows.append((check.what, f"{counts:,}", f"{check.expected:,}", "note" if check.note else one, check.source))
  widths = [max(map(len, column)) for column in zip(*rows)]
  lines = [
    f"{what:<{widths[0]}}  {counts:>{widths[1]}}  {expected:>{widths[2]}}  {one:<{widths[3]}}  {source}".rstrip()
    for what, counts, expected, one, source in rows
  ]
  whole = verdict(checks, examples, fixture=fixture)
  verdicts = [row[3] for row in rows[1:] if row[3] != "note"]
  agree = f"{verdicts.count('ok')} of {len(verdicts)} published counts agree"
  said = {
    "ok": agree,
    "partial": f"{agree}; files are missing or were left out",
    "different": f"{agree}; this is not the data set that was published",
    "unknown": "no counts by the publishers of this data are known, so nothing is verified",
  }[whole]
  if fixture:
    said = "a fixture, made up in the data set's file formats; no number from it is a result"
  return "\n".join([*(lines if len(rows) > 1 else []), f"{whole}: {said}"]), whole == "ok"


def verdict(checks: Sequence[Check], examples: Sequence[Example], *, fixture: bool = False) -> str:
  """What all counts say together.

  "ok": all are as published. "different": something was found that was never published, or the data set is whole and
  yet not the published one: every count of sequences is right, and one of frames is not. "partial": less than that is
  there, or it is a fixture. "unknown": there are no counts, or none but notes.
  """
  if fixture:
    return "partial"
  counted = [(check, counts) for check, counts in _counted(checks, examples) if not check.note]
  if not counted:
    return "unknown"
  differences = [counts - check.expected for check, counts in counted]
  if not any(differences):
    return "ok"
  sequences = [counts - check.expected for check, counts in counted if not _of_frames(check, examples)]
  whole = bool(sequences) and not any(sequences)
  return "different" if whole or max(differences) > 0 else "partial"


def _counted(checks: Sequence[Check], examples: Sequence[Example]) -> list[tuple[Check, int]]:
  return [(check, counts) for check in checks if (counts := check.count(examples)) is not None]


def _of_frames(check: Check, examples: Sequence[Example]) -> bool:
  """Whether a check counts frames: whether its count changes when every example has one frame more."""
  longer = [example._replace(frames=example.frames + 1, valid=example.valid + 1) for example in examples]
  return check.count(longer) != check.count(examples)


def _example(split: str, stored: Any) -> Example:
  if "positions_world" in stored:
    motion = features.example_to_motion(stored)
    frames = len(motion.valid), int(motion.valid.sum())
    return Example(split, motion.subject, motion.action, motion.sequence, "", motion.skeleton.name, *frames, motion.fps)
  clip = features.example_to_clip(stored)
  provenance = (clip.subject, clip.action, clip.sequence, clip.camera_id, clip.skeleton.name)
  return Example(split, *provenance, len(clip), int(clip.valid.sum()), clip.fps)
