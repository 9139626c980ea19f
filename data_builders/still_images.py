"""What data sets of annotated photographs share: a person in an image is a clip of one frame without 3D."""

import io
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from jaxpose.data import features
from jaxpose.data.clip import Clip
from jaxpose.data.crop import MARGIN
from jaxpose.geometry import camera as geometry
from jaxpose.geometry.camera import Camera
from jaxpose.skeleton import Skeleton

IMAGES = ("path", "bytes", "crops")  # where the image is, the encoded file itself, or a crop of the person
CROP_PX = 256
_QUALITY = 95  # of a crop's JPEG
SUFFIXES = (".jpg", ".jpeg", ".png")


def check_options(dataset: str, images: str, occluded: float, known: Sequence[str] = IMAGES) -> None:
  """Raises ValueError for options that the builder of this data set does not know."""
  if images not in known:
    raise ValueError(f"{dataset}: images={images!r}; it is one of {', '.join(known)}")
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
  if images == "crops":
    specific["crop"] = tfds.features.Tensor(shape=(3,), dtype=np.float32)  # left, top, side in the photograph, pixels
  if images != "path":
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
    if images != "path":
      raise ValueError(f"image {name} is not there, and images={images!r} stores it")
    return None, None
  try:
    with Image.open(path) as opened:
      size = (float(opened.width), float(opened.height))
  except OSError as error:
    raise ValueError(f"{name} is no image, or is cut short ({error})") from None
  return size, None if images == "path" else path.read_bytes()


def cropped(clip: Clip, center: np.ndarray, height: float) -> Clip:
  """The clip of a stored photograph as one of a square crop of 256 px: MARGIN times `height` around `center`.

  What lies outside the photograph is black. The camera's image is the crop's, so that keypoints and camera still agree;
  `extra["crop"]` (left, top, side) is where it was. Raises ValueError for a box without extent, and where the image
  cannot be decoded.
  """
  side = MARGIN * float(height)
  left, top = (float(x) for x in np.asarray(center) - side / 2)
  if not (np.isfinite((left, top, side)).all() and side > 0):
    raise ValueError(f"{clip.name}: a box of height {height} around {np.asarray(center).tolist()} holds nobody")
  low = np.floor((left, top)).astype(int)
  high = np.maximum(np.ceil((left + side, top + side)).astype(int), low + 1)
  try:
    with Image.open(io.BytesIO(clip.extra["encoded_image"][0])) as photograph:
      part = photograph.convert("RGB").crop((*low.tolist(), *high.tolist()))  # black outside
  except OSError as error:
    raise ValueError(f"{clip.name}: its image cannot be decoded ({error})") from None
  box = (left - low[0], top - low[1], left - low[0] + side, top - low[1] + side)
  small = part.resize((CROP_PX, CROP_PX), Image.Resampling.BILINEAR, box=box)  # which smooths where it shrinks
  stored = io.BytesIO()
  small.save(stored, "JPEG", quality=_QUALITY)
  scale, corner = CROP_PX / side, np.array([left, top], np.float32)
  there = clip.confidence[..., None] > 0
  camera = clip.camera._replace(
    focal=(clip.camera.focal * scale).astype(np.float32),
    center=((clip.camera.center - corner) * scale).astype(np.float32),
    size=np.full(2, CROP_PX, np.float32),
  )
  return clip.replace(
    keypoints_2d=np.where(there, (clip.keypoints_2d - corner) * scale, 0).astype(np.float32),
    camera=camera,
    extra={**clip.extra, "encoded_image": [stored.getvalue()], "crop": np.array([left, top, side], np.float32)},
  )
