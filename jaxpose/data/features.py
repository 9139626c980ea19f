"""How motions and clips are stored by TFDS: the features of a data set, and the way there and back.

Traps of TFDS that end here: text comes back as bytes, a scalar as a Python number, float64 with the digits of float32,
and `tfds.features.Image` would need TensorFlow (store encoded bytes as text instead). Each example carries the name of
its skeleton, so it can be read by itself.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from jaxpose import skeleton as skeletons
from jaxpose.data.clip import Clip, Motion
from jaxpose.geometry.camera import Camera

_MOTION_TEXT = ("subject", "action", "sequence", "up")
_CLIP_TEXT = ("subject", "action", "sequence", "camera_id")
_CAMERA = {
  "focal": (2,),
  "center": (2,),
  "radial": (3,),
  "tangential": (2,),
  "tangential_gain": (),
  "size": (2,),
  "rotation": (3, 3),
  "translation": (3,),
}
_VALID = tfds.features.Tensor(shape=(None,), dtype=np.bool_)
_LACKED = {"tangential_gain": 1.0}  # by data sets that were built before it was stored


def motion_features(skeleton: skeletons.Skeleton) -> tfds.features.FeaturesDict:
  """Features of a data set of `Motion`s of one skeleton: `positions_world` float32 [T, J, 3], `valid`, provenance."""
  return tfds.features.FeaturesDict(
    {"positions_world": _frames(skeleton.num_joints, 3), "valid": _VALID, **_provenance(_MOTION_TEXT)},
  )


def clip_features(
  skeleton: skeletons.Skeleton, *, joints_3d: bool = True, extra: Mapping[str, Any] | None = None
) -> tfds.features.FeaturesDict:
  """Features of a data set of `Clip`s of one skeleton; `joints_3d=False` for 2D-only sets.

  `extra`: TFDS features of `Clip.extra`, by name, the same for all clips of the data set.
  """
  features: dict[str, Any] = {
    "keypoints_2d": _frames(skeleton.num_joints, 2),
    "confidence": _frames(skeleton.num_joints),
    "valid": _VALID,
    "camera": {name: tfds.features.Tensor(shape=shape, dtype=np.float32) for name, shape in _CAMERA.items()},
    **_provenance(_CLIP_TEXT),
  }
  if joints_3d:
    features["joints_3d"] = _frames(skeleton.num_joints, 3)
  if extra:
    features["extra"] = dict(extra)
  return tfds.features.FeaturesDict(features)


def motion_to_example(motion: Motion) -> dict[str, Any]:
  """A motion as an example of `motion_features`."""
  return {
    "positions_world": motion.positions_world,
    "valid": motion.valid,
    "fps": motion.fps,
    "skeleton": _stored_name(motion.skeleton),
    **{name: getattr(motion, name) for name in _MOTION_TEXT},
  }


def example_to_motion(example: Mapping[str, Any]) -> Motion:
  """The inverse of `motion_to_example`, after reading. Raises ValueError for a skeleton that this version lacks."""
  valid = example.get("valid")  # data sets that were built before it was stored lack it
  return Motion(
    positions_world=np.asarray(example["positions_world"], np.float32),
    valid=None if valid is None else np.asarray(valid, np.bool_),
    skeleton=skeletons.get(_text(example["skeleton"])),
    fps=_number(example["fps"]),
    **{name: _text(example[name]) for name in _MOTION_TEXT},
  )


def clip_to_example(clip: Clip) -> dict[str, Any]:
  """A clip as an example of `clip_features`; `joints_3d` and `extra` are left out where the clip has none."""
  example = {
    "keypoints_2d": clip.keypoints_2d,
    "confidence": clip.confidence,
    "valid": clip.valid,
    "camera": {name: np.asarray(getattr(clip.camera, name), np.float32) for name in _CAMERA},
    "fps": clip.fps,
    "skeleton": _stored_name(clip.skeleton),
    **{name: getattr(clip, name) for name in _CLIP_TEXT},
  }
  if clip.joints_3d is not None:
    example["joints_3d"] = clip.joints_3d
  if clip.extra:
    example["extra"] = dict(clip.extra)
  return example


def example_to_clip(example: Mapping[str, Any]) -> Clip:
  """The inverse of `clip_to_example`, after reading. Raises ValueError for a skeleton that this version lacks."""
  joints_3d, camera = example.get("joints_3d"), {**_LACKED, **example["camera"]}
  return Clip(
    keypoints_2d=np.asarray(example["keypoints_2d"], np.float32),
    confidence=np.asarray(example["confidence"], np.float32),
    joints_3d=None if joints_3d is None else np.asarray(joints_3d, np.float32),
    valid=np.asarray(example["valid"], np.bool_),
    camera=Camera(**{name: np.asarray(camera[name], np.float32) for name in _CAMERA}),
    skeleton=skeletons.get(_text(example["skeleton"])),
    fps=_number(example["fps"]),
    extra={name: _text(v) if isinstance(v, bytes) else v for name, v in example.get("extra", {}).items()},
    **{name: _text(example[name]) for name in _CLIP_TEXT},
  )


def _frames(*shape: int) -> tfds.features.Tensor:
  return tfds.features.Tensor(shape=(None, *shape), dtype=np.float32)


def _provenance(names: tuple[str, ...]) -> dict[str, Any]:
  return {
    "fps": tfds.features.Scalar(np.float32),
    **{name: tfds.features.Text() for name in (*names, "skeleton")},
  }


def _stored_name(skeleton: skeletons.Skeleton) -> str:
  """The name by which readers find the skeleton; one that no reader knows is an error before anything is written."""
  if skeletons.get(skeleton.name) != skeleton:
    raise ValueError(f"skeleton {skeleton.name!r} is not the library's of that name; map the joints to a known one")
  return skeleton.name


def _number(value: float) -> float:
  """29.97 as it went in, not the 29.9699993 that its float32 is: the shortest decimal that stands for it."""
  return float(str(np.float32(value)))


def _text(value: bytes | str) -> str:
  return value.decode() if isinstance(value, bytes) else str(value)
