"""What is published about MPI-INF-3DHP's sequences: their frames and frame rates, and which of them are scored."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from data_builders.verification import Check, Example


class Train(NamedTuple):
  """A training sequence: the frames that its videos have, and their rate. annot.mat may hold more rows."""

  frames: int
  fps: float


class Test(NamedTuple):
  """A test sequence: its frames, how many of them `valid_frame` marks, and the rate."""

  frames: int
  valid: int
  fps: float


# Subject, sequence. mpii_get_sequence_info.m; in P-STMO's copy S3 and S5 are stated in full.
TRAIN = {
  (1, 1): Train(6416, 25.0), (1, 2): Train(12430, 50.0), (2, 1): Train(6502, 25.0), (2, 2): Train(6081, 25.0),
  (3, 1): Train(12488, 50.0), (3, 2): Train(12283, 50.0), (4, 1): Train(6171, 25.0), (4, 2): Train(6675, 25.0),
  (5, 1): Train(12820, 50.0), (5, 2): Train(12312, 50.0), (6, 1): Train(6188, 25.0), (6, 2): Train(6145, 25.0),
  (7, 1): Train(6239, 25.0), (7, 2): Train(6320, 25.0), (8, 1): Train(6468, 25.0), (8, 2): Train(6054, 25.0),
}  # fmt: skip

# No file states the rate of the test sequences: about 6,000 frames are the four minutes that training sequences last.
TEST = {
  "TS1": Test(6151, 603, 25.0), "TS2": Test(6080, 540, 25.0), "TS3": Test(5838, 505, 25.0),
  "TS4": Test(6007, 553, 25.0), "TS5": Test(320, 276, 25.0), "TS6": Test(492, 452, 25.0),
}  # fmt: skip

CAMERAS = 14
VIDEO_CAMERAS = (0, 1, 2, 4, 5, 6, 7, 8)  # VNect's set, at chest height and above: what lifters train on

# A TS6 of May 2019 scores fewer frames, and its univ_annot3 is too short at knees and ankles.
LATER_TS6_VALID = 392


def ts6_release(valid: int) -> str:
  """Which release of TS6 has this many valid frames."""
  if valid == TEST["TS6"].valid:
    return f"original, {valid} valid frames"
  if valid == LATER_TS6_VALID:
    return f"later (May 2019), {valid} valid frames; its univ_annot3 is wrong at knees and ankles"
  return f"unknown, {valid} valid frames"


def checks() -> tuple[Check, ...]:
  """Frames of the training sequences and the video cameras, and frames and valid frames of the test sequences."""
  table, readme = "mpii_get_sequence_info.m", "the test set's README and annot_data.mat"
  per_camera = sum(t.frames for t in TRAIN.values())
  video = tuple(str(c) for c in VIDEO_CAMERAS)
  later = sum(t.valid for t in TEST.values()) - TEST["TS6"].valid + LATER_TS6_VALID
  return (
    Check("training sequences", len(TRAIN), table, lambda e: len({x.sequence for x in e if x.split == "train"})),
    Check("test sequences", len(TEST), readme, lambda e: len({x.sequence for x in e if x.split == "test"})),
    Check(
      "training frames of camera 0", per_camera, table, _frames(lambda x: x.split == "train" and x.camera_id == "0")
    ),
    Check(
      "training frames of the 8 video cameras",
      per_camera * len(video),
      table,
      _frames(lambda x: x.split == "train" and x.camera_id in video),
    ),
    *(Check(f"frames of {name}", t.frames, readme, _frames(_is(name))) for name, t in TEST.items()),
    *(Check(f"valid frames of {n}", t.valid, readme, _valid(_is(n))) for n, t in TEST.items() if n != "TS6"),
    Check(f"valid frames of TS6 ({LATER_TS6_VALID}: the later release)", TEST["TS6"].valid, readme, _valid(_is("TS6"))),
    Check(
      f"valid test frames ({later}: with the later TS6)",
      sum(t.valid for t in TEST.values()),
      readme,
      _valid(lambda x: x.split == "test"),
    ),
  )


def _is(sequence: str) -> Callable[[Example], bool]:
  return lambda x: x.split == "test" and x.sequence == sequence


def _frames(wanted: Callable[[Example], bool]) -> Callable[[Sequence[Example]], int]:
  return lambda examples: sum(x.frames for x in examples if wanted(x))


def _valid(wanted: Callable[[Example], bool]) -> Callable[[Sequence[Example]], int]:
  return lambda examples: sum(x.valid for x in examples if wanted(x))
