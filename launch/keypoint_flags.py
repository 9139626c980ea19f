"""Which keypoints, as flags: what a file does not say of itself."""

import os
import re

from absl import flags

from jaxpose import detect, keypoints
from jaxpose.keypoints import Tracks, check, gaps, npz_file, sample

_SAMPLE = flags.DEFINE_bool("sample", False, "Take the bundled keypoints of two people who do not exist.")
_KEYPOINTS = flags.DEFINE_string("keypoints", None, "A detector's file or folder of keypoints.")
_VIDEO = flags.DEFINE_string(
  "video", None, "The video they are of (extra `video`); alone, it is detected in (extra `detect`)."
)
_FORMAT = flags.DEFINE_enum("format", None, list(keypoints.FORMATS), "Of the file; recognised by default.")
_IMAGE_SIZE = flags.DEFINE_string("image_size", None, "WIDTHxHEIGHT of the image, in pixels.")
_FPS = flags.DEFINE_float("fps", None, "Frames a second.")
_FRAMES = flags.DEFINE_integer("frames", None, "Frames of the whole recording, where nobody is in the last.")
_SKELETON = flags.DEFINE_string("skeleton", None, "The joint set, for files without names.")
_JOINTS = flags.DEFINE_list("joints", [], "theirs=ours, by commas: what a file's joints are called here.")
_CONFIDENCE = flags.DEFINE_string("confidence", str(check.THRESHOLD), "Below it a joint is missing; or ignore.")
_SCALE = flags.DEFINE_integer("keypoint_scale", None, "OpenPose's, 0 to 4.")
_IMAGE = flags.DEFINE_integer("image", None, "The photograph of a COCO file, by its id.")
_PERSON = flags.DEFINE_string("person", "all", "all, largest, or an id.")


def read(folder: str) -> Tracks:
  """The tracks that the flags ask for; those of a video alone are detected, and kept in `folder`."""
  path = _KEYPOINTS.value
  if path is None and not _SAMPLE.value and _VIDEO.value:
    path = os.path.join(folder, "keypoints.npz")
    npz_file.write(path, detect.people(_VIDEO.value, detect.rtmlib(), show_progress=True))
  if _SAMPLE.value == (path is not None):
    raise ValueError("give either --keypoints=FILE or --sample; or --video=FILE alone, to detect people first")
  if path is None:
    facts = {"image_size": sample.SIZE, "fps": sample.FPS, "frames": sample.FRAMES}
    return keypoints.read(sample.FILES["alphapose"], person=_PERSON.value, **facts)
  return keypoints.read(
    path, _FORMAT.value, video=_VIDEO.value, image_size=_size(), fps=_FPS.value, frames=_FRAMES.value,
    skeleton=_SKELETON.value, joints=_renames(), confidence=_threshold(), keypoint_scale=_SCALE.value,
    image=_IMAGE.value, person=_PERSON.value,
  )  # fmt: skip


def video() -> str | None:
  return _VIDEO.value


def described(tracks: Tracks) -> str:
  """What was found, and a line for each person."""
  size = "x".join(map(str, tracks.image_size)) if tracks.image_size else "an unknown size"
  rate = f", {tracks.fps:g} frames a second" if tracks.fps else ""
  people = f"{len(tracks.ids)} {'person' if len(tracks.ids) == 1 else 'people'}"
  first = f"{tracks.format}: {tracks.skeleton.name}, {len(tracks)} frames of {size}{rate}, {people}"
  return "\n".join([first, *gaps.describe(tracks)])


def _size() -> tuple[int, int] | None:
  if _IMAGE_SIZE.value is None:
    return None
  match = re.fullmatch(r"([1-9]\d{0,5})x([1-9]\d{0,5})", _IMAGE_SIZE.value.strip().lower())
  if not match:
    raise ValueError(f"--image_size={_IMAGE_SIZE.value}; expected WIDTHxHEIGHT in pixels, as 1920x1080")
  return int(match[1]), int(match[2])


def _threshold() -> float | str:
  try:
    return float(_CONFIDENCE.value)
  except ValueError:
    return _CONFIDENCE.value


def _renames() -> dict[str, str] | None:
  pairs = [text.split("=") for text in _JOINTS.value]
  for pair, text in zip(pairs, _JOINTS.value):
    if len(pair) != 2 or not all(pair):
      raise ValueError(f"--joints={text}; expected theirs=ours, as --joints=LeftHand=left_wrist")
  return {theirs: ours for theirs, ours in pairs} or None
