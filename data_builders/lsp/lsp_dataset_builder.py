"""Leeds Sports Pose and its extension: one person a photograph, with 14 joints in pixels; see README.md."""

import os
import pathlib
from typing import Any, NamedTuple

import numpy as np
import tensorflow_datasets as tfds
from etils import epath

from data_builders import sources, still_images, verification
from jaxpose import skeleton as skeletons
from jaxpose.data import features
from jaxpose.data.clip import Clip
from jaxpose.formats import matlab

SKELETON = skeletons.get("lsp_14")
TRAIN_IMAGES = 1000  # of the 2,000 of LSP; its extension is for training alone
_VERSION = "1.0.0"


class Layout(NamedTuple):
  """One set's joints.mat: where its axes are, what its third value says, and how its images are called."""

  axes: tuple[int, int, int]  # of (image, joint, value)
  shape: str
  third_is_occlusion: bool
  image: str


LAYOUTS = {
  "lsp": Layout((2, 1, 0), "3 x 14 x images", True, "im{:04d}.jpg"),
  "lspet": Layout((2, 0, 1), "14 x 3 x images", False, "im{:05d}.jpg"),
}


class Builder(tfds.core.GeneratorBasedBuilder):
  """Reads joints.mat and, where they are at hand, the images; one clip of one frame a person."""

  VERSION = tfds.core.Version(_VERSION)
  RELEASE_NOTES = {_VERSION: "2D clips of one frame, lsp_14, pixels."}
  MANUAL_DOWNLOAD_INSTRUCTIONS = "lsp_dataset.zip (config lsp) or lspet_dataset.zip (config lspet), zipped or unpacked."
  BUILDER_CONFIGS = [
    tfds.core.BuilderConfig(
      name="lsp", version=_VERSION, description="Leeds Sports Pose: 1,000 images to train on, 1,000 to test."
    ),
    tfds.core.BuilderConfig(
      name="lspet", version=_VERSION, description="Leeds Sports Pose Extended Training: 10,000 images to train on."
    ),
  ]

  def __init__(
    self,
    *,
    images: str = "path",
    occluded: float = 1.0,
    archive: str | os.PathLike | None = None,
    **kwargs: Any,
  ):
    """images: "path" or "bytes"; occluded: confidence of hidden joints; archive: a zip instead of the folder."""
    still_images.check_options("lsp", images, occluded, ("path", "bytes"))
    self._images, self._occluded, self._archive = images, float(occluded), archive
    super().__init__(**kwargs)

  def _info(self) -> tfds.core.DatasetInfo:
    return self.dataset_info_from_configs(
      features=still_images.clip_features(SKELETON, self._images),
      homepage="http://sam.johnson.io/research/lsp.html",
      metadata=tfds.core.MetadataDict(skeleton=SKELETON.name, skipped={}),
      disable_shuffling=True,  # the order of the file
    )

  def _split_generators(self, dl_manager: tfds.download.DownloadManager):
    folder = None if self._archive is not None else epath.Path(dl_manager.manual_dir)
    raw = sources.files(folder, self._archive, (".mat", *still_images.SUFFIXES), self)
    skipped = self.info.metadata["skipped"]
    layout = LAYOUTS[self.builder_config.name]
    name, people = _find(raw, layout, f"{folder or self._archive}", skipped)
    beside = name.rpartition("/")[0]
    keys = {layout.image.format(number + 1): number for number in range(len(people))}

    def read(key: str) -> Clip:
      path = f"{beside}/images/{key}" if beside else f"images/{key}"
      size, encoded = still_images.look_up(raw.get(path), path, self._images)
      return _clip(people[keys[key]], layout, self._occluded, image=path, size=size, encoded=encoded)

    split = TRAIN_IMAGES if self.builder_config.name == "lsp" else len(people)
    wanted = {"train": list(keys)[:split], "test": list(keys)[split:]}
    return sources.splits({k: v for k, v in wanted.items() if v}, read, skipped, to_example=features.clip_to_example)

  def _generate_examples(self):
    raise AssertionError("the splits carry their own generators")


def _find(files: sources.Files, layout: Layout, where: str, skipped: dict[str, str]) -> tuple[str, np.ndarray]:
  """The name of the one joints.mat of the layout's shape, and its values [image, joint, (x, y, flag)]."""
  taken: tuple[str, np.ndarray] | None = None
  others = {}
  for name in files:
    if pathlib.PurePosixPath(name).name != "joints.mat":
      continue
    joints = np.asarray(matlab.read(files[name], ("joints",), where=name)["joints"])
    joints = joints[..., None] if joints.ndim == 2 else joints  # MATLAB has no trailing axis of length 1
    people = joints.transpose(layout.axes) if joints.ndim == 3 else joints
    if people.ndim != 3 or people.shape[1:] != (SKELETON.num_joints, 3):
      others[name] = joints.shape
    elif taken is None:
      taken = name, people
    elif np.array_equal(people, taken[1]):
      skipped[name] = f"a second copy of {taken[0]}"
    else:
      raise ValueError(f"{where} holds two sets of joints, {taken[0]} and {name}; give the folder of one of them")
  if taken is None:
    seen = "; ".join(f"{name} is {' x '.join(map(str, shape))}" for name, shape in others.items())
    raise ValueError(f"{where} holds no joints.mat of {layout.shape}" + (f": {seen}" if seen else ""))
  return taken


def _clip(
  values: np.ndarray,
  layout: Layout,
  occluded: float,
  *,
  image: str,
  size: tuple[float, float] | None,
  encoded: bytes | None,
) -> Clip:
  """The clip of one person's values [14, 3]."""
  flagged = values[:, 2] > 0
  annotated = np.ones_like(flagged) if layout.third_is_occlusion else flagged
  center, scale = box(values[:, :2], annotated)
  return still_images.clip(
    SKELETON,
    values[:, :2],
    annotated,
    ~flagged if layout.third_is_occlusion else flagged,
    occluded=occluded,
    image=image,
    size=size,
    encoded=encoded,
    extra={"center": center, "scale": scale},
    subject="1",
    sequence=pathlib.PurePosixPath(image).stem,
  )


def box(keypoints: np.ndarray, annotated: np.ndarray) -> tuple[np.ndarray, float]:
  """Centre [2] of the annotated joints' bounding box, and its longer side in units of 200 px; zeros without a joint."""
  points = keypoints[annotated & np.isfinite(keypoints).all(-1)]
  if not len(points):
    return np.zeros(2, np.float32), 0.0
  low, high = points.min(0), points.max(0)
  return ((low + high) / 2).astype(np.float32), float((high - low).max() / 200)


def checks(config: str = "") -> tuple[verification.Check, ...]:
  """The published numbers of images."""
  expected = {"lspet": {"train": 10000}}.get(config, {"train": TRAIN_IMAGES, "test": 1000})
  source = "Johnson & Everingham 2011" if config == "lspet" else "Johnson & Everingham 2010"

  def count(split: str):
    return lambda examples: sum(e.split == split for e in examples)

  return tuple(verification.Check(f"people in {s}", n, source, count(s)) for s, n in expected.items())
