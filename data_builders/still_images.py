"""What data sets of annotated photographs share: a person in an image is a clip of one frame without 3D."""

import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from jaxpose.data import features
from jaxpose.data.clip import Clip
from jaxpose.geometry import camera as geometry
from jaxpose.geometry.camera import Camera
from jaxpose.skeleton import Skeleton

IMAGES = ("path", "bytes")  # where the image is, or the encoded file itself
SUFFIXES = (".jpg", ".jpeg", ".png")


def check_options(dataset: str, images: str, occluded: float) -> None:
  """Raises ValueError for options that no builder of photographs knows."""
  if images not in IMAGES:
    raise ValueError(f"{dataset}: images={images!r}; it is one of {', '.join(IMAGES)}")
  if not 0 <= occluded <= 1:
    raise ValueError(f"{dataset}: occluded={occluded}; it is the confidence of an occluded joint, from 0 to 1")


def clip_features(skeleton: Skeleton, images: str, **extra: Any) -> tfds.features.FeaturesDict:
  """Features of clips made by `clip`, with further ones of `Clip.extra`."""
  specific: dict[str, Any] = {
    "image": tfds.features.Text(),
    "visible": tfds.features.Tensor(shape=(None, skeleton.num_joints), dtype=np.float32),
    "center": tfds.features.Tensor(shape=(2,), dtype=np.float32),
    "scale": tfds.features.Scalar(np.float32),
    **extra,
  }
  if images == "bytes":
    specific["encoded_image"] = tfds.features.Sequence(tfds.features.Text())  # one a frame; Image would need TensorFlow
  return features.clip_features(skeleton, joints_3d=False, extra=specific)


def clip(
  skeleton: Skeleton,
  keypoints: np.ndarray,
  annotated: np.ndarray,
  visible: np.ndarray,
  *,
  occluded: float,
  image: str,
  size: tuple[float, float] | None,
  encoded: bytes | None,
  extra: Mapping[str, Any],
  **provenance: Any,
) -> Clip:
  """A clip of one frame from pixels [J, 2] and, bool [J], which joints are annotated and which of them visible.

  Confidence is 1 for a visible joint, `occluded` for one that is annotated but hidden, 0 for a missing one, whose
  pixels become 0; a frame is valid if a joint is annotated. size: (width, height), None where the image is not at
  hand: then the annotation's own extent stands in for it. extra: with `center` [2] and `scale`.
  """
  annotated = annotated & np.isfinite(keypoints).all(-1)
  points = np.where(annotated[:, None], keypoints, 0).astype(np.float32)
  if size is None:
    right, bottom = np.ceil(np.maximum(points.max(0), extra["center"]) + 1).clip(1).tolist()
    size = (right, bottom)
  more = {} if encoded is None else {"encoded_image": [encoded]}
  return Clip(
    keypoints_2d=points[None],
    confidence=np.where(annotated, np.where(visible, 1, occluded), 0).astype(np.float32)[None],
    joints_3d=None,
    valid=np.array([annotated.any()]),
    camera=nominal_camera(size),
    skeleton=skeleton,
    fps=1.0,
    extra={"image": image, "visible": (annotated & visible).astype(np.float32)[None], **more, **extra},
    **provenance,
  )


def nominal_camera(size: tuple[float, float]) -> Camera:
  """A pinhole camera for an uncalibrated photograph: focal length the longer side, centre in the middle."""
  return geometry.create((max(size), max(size)), (size[0] / 2, size[1] / 2), size)


def look_up(path: pathlib.Path | None, name: str, images: str) -> tuple[tuple[float, float] | None, bytes | None]:
  """(width and height, encoded bytes) of an image; None for what is not there or not stored.

  Raises ValueError for a file that is no image, and, where its bytes are to be stored, for one that is not there;
  `name` is what errors call it.
  """
  if path is None:
    if images == "bytes":
      raise ValueError(f"image {name} is not there, and images='bytes' stores it")
    return None, None
  try:
    with Image.open(path) as opened:
      size = (float(opened.width), float(opened.height))
  except OSError as error:
    raise ValueError(f"{name} is no image, or is cut short ({error})") from None
  return size, path.read_bytes() if images == "bytes" else None
