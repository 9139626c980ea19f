"""The Carnegie Mellon Graphics Lab Motion Capture Database: world-space motion, one split for each subject."""

import os

import numpy as np
import tensorflow_datasets as tfds

from data_builders import sources
from jaxpose import skeleton as skeletons
from jaxpose.data import features
from jaxpose.data.clip import Motion, with_gaps
from jaxpose.formats import acclaim

URL = "http://mocap.cs.cmu.edu/allasfamc.zip"
ARCHIVE = "allasfamc.zip"
_SKELETON, _MOTION = ".asf", ".amc"


class Builder(tfds.core.GeneratorBasedBuilder):
  """Reads `subjects/NN/NN.asf` and `NN_MM.amc` from the manual folder, from `allasfamc.zip`, or downloads that."""

  VERSION = tfds.core.Version("1.0.0")
  RELEASE_NOTES = {"1.0.0": "World-space h36m_17, metres, y up, 120 Hz; one split for each subject."}
  MANUAL_DOWNLOAD_INSTRUCTIONS = f"Optional: {ARCHIVE} from {URL}, or what it unpacks to."

  def __init__(self, *, archive: str | os.PathLike | None = None, **kwargs):
    """`archive`: path of a zip to read instead of the manual folder."""
    self._archive = archive
    super().__init__(**kwargs)

  def _info(self) -> tfds.core.DatasetInfo:
    return self.dataset_info_from_configs(
      features=features.motion_features(skeletons.get("h36m_17")),
      homepage="http://mocap.cs.cmu.edu",
      metadata=tfds.core.MetadataDict(skeleton="h36m_17", skipped={}),
      disable_shuffling=True,  # the order of the files
    )

  def _split_generators(self, dl_manager: tfds.download.DownloadManager):
    files, where = self._files(dl_manager)
    skipped = self.info.metadata["skipped"]
    by_subject, skeleton_of = group(files, where, skipped)
    to_h36m = skeletons.joint_map(skeletons.get("cmu"), skeletons.get("h36m_17"))
    parsed: dict[str, acclaim.Acclaim] = {}

    def read(name: str) -> Motion:
      asf = skeleton_of[name]
      if asf not in parsed:
        parsed[asf] = acclaim.parse_asf(files[asf].read_bytes(), asf)
      positions = acclaim.cmu_positions(
        parsed[asf], acclaim.parse_amc(files[name].read_bytes(), parsed[asf], name), name
      )
      return with_gaps(
        np.ascontiguousarray(to_h36m(positions)),
        skeleton=to_h36m.target,
        fps=acclaim.FPS,
        subject=stem(asf),
        sequence=stem(name),
        up="y",
      )

    return sources.splits(by_subject, read, skipped)

  def _files(self, dl_manager: tfds.download.DownloadManager) -> tuple[sources.Files, str]:
    """The raw files and the name of where they are: the given archive, the manual folder, or the download."""
    folder, archive = None, self._archive
    where = None if archive is None else os.fspath(archive)
    if archive is None:
      try:
        folder = where = os.fspath(dl_manager.manual_dir)
      except AssertionError:  # TFDS's way to say that there is no manual folder, or nothing in it
        archive, where = dl_manager.download(URL), URL
    return sources.files(folder, archive, (_SKELETON, _MOTION), self), str(where)

  def _generate_examples(self):
    raise AssertionError("the splits carry their own generators")


def group(files: sources.Files, where: str, skipped: dict[str, str]) -> tuple[dict[str, list[str]], dict[str, str]]:
  """(motion files by subject, skeleton file of each motion file): `NN_MM.amc` goes with `NN.asf` of the same folder.

  Motions without their skeleton and second copies of a motion are put in `skipped`; a ValueError if none is left.
  """
  skeletons_at = {(folder(name), stem(name)): name for name in files if name.lower().endswith(_SKELETON)}
  by_subject: dict[str, list[str]] = {}
  skeleton_of: dict[str, str] = {}
  first_copy: dict[str, str] = {}
  for name in files:
    if not name.lower().endswith(_MOTION):
      continue
    subject = stem(name).partition("_")[0]
    asf = skeletons_at.get((folder(name), subject))
    if asf is None:
      skipped[name] = f"no skeleton {subject}{_SKELETON} beside it"
    elif stem(name) in first_copy:
      skipped[name] = f"a second copy of {first_copy[stem(name)]}"
    else:
      first_copy[stem(name)] = name
      skeleton_of[name] = asf
      by_subject.setdefault(subject, []).append(name)
  if not by_subject:
    raise ValueError(
      f"no motion with its skeleton in {where} ({len(files)} {_SKELETON} and {_MOTION} files found); expected "
      f"subjects/NN/NN{_SKELETON} and NN_MM{_MOTION}, as {ARCHIVE} from {URL} unpacks, or that archive"
    )
  return by_subject, skeleton_of


def folder(name: str) -> str:
  return name.rpartition("/")[0]


def stem(name: str) -> str:
  return name.rpartition("/")[2].rpartition(".")[0]
