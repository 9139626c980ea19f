"""Human3.6M: the official poses, and the derived files that papers train and are scored on; see README.md."""

import os

import numpy as np
import tensorflow_datasets as tfds

from data_builders import sources
from data_builders.human36m import calibration, motionbert, official, videopose3d
from data_builders.human36m import checks as counts
from data_builders.human36m.calibration import Cameras
from data_builders.verification import Check
from jaxpose import skeleton as skeletons
from jaxpose.data import features

_VERSION = "1.0.0"
_OFFICIAL, _MOTIONBERT = "official", "motionbert"
_GROUND_TRUTH = "ground truth"
_DETECTORS = {  # config -> what its keypoints are
  "gt": _GROUND_TRUTH,
  "cpn_ft_h36m_dbb": "a cascaded pyramid network, fine-tuned, on detected boxes",
  "detectron_ft_h36m": "Mask R-CNN, fine-tuned",
  "sh_ft_h36m": "stacked hourglasses, fine-tuned: 16 joints, the nose has confidence 0",
}


def checks(config: str = "") -> tuple[Check, ...]:
  """The published counts of a configuration; of the first one when empty."""
  return counts.of_motionbert() if config == _MOTIONBERT else counts.of_subjects(config in _DETECTORS)


class Builder(tfds.core.GeneratorBasedBuilder):
  """Reads the official CDF files, VideoPose3D's npz files or MotionBERT's pickle, wherever they lie in the folder."""

  VERSION = tfds.core.Version(_VERSION)
  RELEASE_NOTES = {_VERSION: "Clips of h36m_17 before the four real cameras, metres, 50 Hz."}
  MANUAL_DOWNLOAD_INSTRUCTIONS = (
    "human36m is for registered users (vision.imar.ro/human3.6m): give the folder of Poses_D3_Positions_S*.tgz, of "
    "what they unpack to, or of derived files, as manual_dir; data_builders/human36m/README.md says which."
  )
  BUILDER_CONFIGS = [
    tfds.core.BuilderConfig(
      name=_OFFICIAL, version=_VERSION, description="D3_Positions of the official download; keypoints are projections."
    ),
    *(
      tfds.core.BuilderConfig(
        name=name, version=_VERSION, description=f"VideoPose3D's {videopose3d.file_2d(name)}: {what}."
      )
      for name, what in _DETECTORS.items()
    ),
    tfds.core.BuilderConfig(
      name=_MOTIONBERT, version=_VERSION, description=f"{motionbert.FILE}: hourglass keypoints with confidence."
    ),
  ]

  def _info(self) -> tfds.core.DatasetInfo:
    extra, config = None, self.builder_config.name
    keypoints = {_OFFICIAL: _GROUND_TRUTH, "gt": _GROUND_TRUTH, _MOTIONBERT: "sh_ft_h36m with confidence"}.get(config)
    if config == _MOTIONBERT:
      extra = {"factor_25d": tfds.features.Tensor(shape=(None,), dtype=np.float32), "depth_from": tfds.features.Text()}
    return self.dataset_info_from_configs(
      features=features.clip_features(skeletons.get("h36m_17"), extra=extra),
      homepage="http://vision.imar.ro/human3.6m/",
      metadata=tfds.core.MetadataDict(
        skeleton="h36m_17", keypoints_source=keypoints or config, calibration="", skipped={}
      ),
      disable_shuffling=True,  # the order of the files
    )

  def _split_generators(self, dl_manager: tfds.download.DownloadManager):
    try:
      folder = os.fspath(dl_manager.manual_dir)
    except AssertionError:  # TFDS's way to say that there is no manual folder, or nothing in it
      raise ValueError(self.MANUAL_DOWNLOAD_INSTRUCTIONS) from None
    skipped, config = self.info.metadata["skipped"], self.builder_config.name
    cameras, self.info.metadata["calibration"] = _cameras(self, folder)
    if config in _DETECTORS:
      return _derived(self, folder, config, cameras, skipped)
    return (_motionbert if config == _MOTIONBERT else _official)(self, folder, cameras, skipped)

  def _generate_examples(self):
    raise AssertionError("the splits carry their own generators")


def _cameras(builder: Builder, folder: str) -> tuple[Cameras, str]:
  """The calibration, and where it is from: metadata.xml where the folder has one, else the published constants."""
  for name, path in sources.files(folder, None, ("metadata.xml",), builder).items():
    return calibration.from_metadata(path.read_text("utf-8", "replace"), name), "metadata.xml"
  return calibration.published(), "published constants"


def _official(builder: Builder, folder: str, cameras: Cameras, skipped: dict[str, str]):
  files = official.find(folder, builder)
  by_subject = official.group(files, skipped)
  if not by_subject:
    reason = f"; {next(iter(skipped))}: {next(iter(skipped.values()))}" if skipped else ""
    raise ValueError(
      f"{folder} holds no CDF file of D3_Positions{reason}; expected Poses_D3_Positions_S1.tgz, ... or what they "
      "unpack to, as S1/MyPoseFeatures/D3_Positions/Directions 1.cdf"
    )
  return sources.splits(
    by_subject, lambda name: official.read(files[name], name, cameras), skipped, to_example=features.clip_to_example
  )


def _derived(builder: Builder, folder: str, config: str, cameras: Cameras, skipped: dict[str, str]):
  wanted = (videopose3d.FILE_3D, videopose3d.file_2d(config))
  raw = sources.files(folder, None, wanted, builder)
  poses, keypoints = (_one(raw, file, folder, skipped) for file in wanted)
  loaded = videopose3d.load(raw[poses], raw[keypoints], poses, keypoints)
  by_subject = videopose3d.names(loaded, skipped)
  return sources.splits(
    by_subject, lambda name: videopose3d.clips(loaded, name, cameras), skipped, to_example=features.clip_to_example
  )


def _motionbert(builder: Builder, folder: str, cameras: Cameras, skipped: dict[str, str]):
  raw = sources.files(folder, None, (motionbert.FILE,), builder)
  name = _one(raw, motionbert.FILE, folder, skipped)
  parts = motionbert.load(raw[name].read_bytes(), name, skipped)
  split_of = {source: split for split, part in parts.items() for source in part.spans}
  by_split = {split: [s for s in part.spans if split_of[s] == split] for split, part in parts.items()}
  return sources.splits(
    by_split,
    lambda source: motionbert.clip(parts, split_of[source], source, cameras),
    skipped,
    to_example=features.clip_to_example,
  )


def _one(files: sources.Files, file: str, folder: str, skipped: dict[str, str]) -> str:
  """The name under which a file was found; copies are put in `skipped`."""
  names = [name for name in files if name.rpartition("/")[2] == file]
  if not names:
    raise ValueError(f"{folder} holds no {file}; data_builders/human36m/README.md says where it comes from")
  skipped.update({name: f"a second copy of {names[0]}" for name in names[1:]})
  return names[0]
