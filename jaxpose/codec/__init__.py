"""Codecs own normalisation: pixels and metres <-> network inputs and outputs.

  codec = build("root_rms", skeleton.get("h36m_17"))
  inputs = codec.encode(keypoints_2d, camera)
  targets = codec.encode_target(joints_3d, keypoints_2d, camera)
  pose = codec.decode(outputs, keypoints_2d, camera)   # root-relative metres; of targets: the truth

A codec is stored with the checkpoint by `to_json`. docs/data.md compares them.
"""

from collections.abc import Iterable
from typing import Any

from jaxpose.codec.base import Codec as Codec
from jaxpose.codec.canonical import Canonical
from jaxpose.codec.image_25d import Image25D
from jaxpose.codec.root_rms import RootRms
from jaxpose.codec.root_scaled import RootScaled
from jaxpose.codec.screen import Screen
from jaxpose.codec.zscore import ZScore
from jaxpose.data.clip import Clip
from jaxpose.skeleton import Skeleton

CODECS: dict[str, type[Codec]] = {c.name: c for c in (Screen, Image25D, RootScaled, RootRms, ZScore, Canonical)}


def build(
  name: str, skeleton: Skeleton, constants: dict[str, Any] | None = None, clips: Iterable[Clip] | None = None
) -> Codec:
  """The codec of that name; constants that are not given are measured on the training `clips`, where it has such.

  Raises ValueError for an unknown name, an unknown constant, or one that is neither given nor measured.
  """
  kind = _lookup(name)
  constants = dict(constants or {})
  if clips is not None and any(key not in constants for key in kind.measured):
    constants = {**kind.fit(skeleton, clips, {**kind.defaults, **constants}), **constants}
  return kind(skeleton, constants)


def from_json(description: dict[str, Any]) -> Codec:
  """The codec that `to_json` described."""
  for key in ("name", "skeleton", "constants"):
    if key not in description:
      raise ValueError(f"a codec's description has name, skeleton and constants; this one lacks {key!r}: {description}")
  kind, skeleton = _lookup(description["name"]), description["skeleton"]
  joints = Skeleton(skeleton["name"], tuple(skeleton["names"]), tuple(skeleton["parents"]))
  return kind(joints, dict(description["constants"]))


def _lookup(name: str) -> type[Codec]:
  if name not in CODECS:
    raise ValueError(f"unknown codec {name!r}; known are {', '.join(CODECS)}")
  return CODECS[name]
