"""3D Poses in the Wild: people outdoors before a moving telephone, each a clip; see README.md."""

import os
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from etils import epath

from data_builders import body_models, sources
from data_builders.pw3d import sequence_file
from data_builders.verification import Check, Example
from jaxpose import skeleton as skeletons
from jaxpose.data import cameras, features
from jaxpose.data.clip import Clip
from jaxpose.geometry import camera as geometry

FPS = 30.0
SPLITS = ("train", "validation", "test")
_FILE = rf"({'|'.join(SPLITS)})/([^/]+)\.pkl"
_WITHOUT = "without them the files' own 24 joints can be had as pw3d/smpl_24"
_VERSION = "1.0.0"
KEYPOINTS = {"projected": "ground truth", "openpose": "OpenPose, of the data set's files"}
_ANNOTATION = {
  "h36m_17": "joints regressed from the gendered SMPL mesh",
  "smpl_24": "SMPL's kinematic joints: not comparable with published numbers on 14 joints",
}


class Builder(tfds.core.GeneratorBasedBuilder):
  """Reads `sequenceFiles/{train,validation,test}/*.pkl`, unpacked or in sequenceFiles.zip."""

  VERSION = tfds.core.Version(_VERSION)
  RELEASE_NOTES = {_VERSION: "One clip a person; metres, camera axes; splits train, validation, test."}
  MANUAL_DOWNLOAD_INSTRUCTIONS = (
    "sequenceFiles.zip from https://virtualhumans.mpi-inf.mpg.de/3DPW/, and for joints of the mesh "
    f"{body_models.FOLDER}/ and {body_models.REGRESSOR}; see README.md."
  )
  BUILDER_CONFIGS = [
    tfds.core.BuilderConfig(
      name="h36m_17",
      version=_VERSION,
      description="Human3.6M's 17 joints regressed from the SMPL mesh: what published numbers are measured on.",
    ),
    tfds.core.BuilderConfig(
      name="smpl_24", version=_VERSION, description="SMPL's 24 kinematic joints, as the files hold them."
    ),
  ]

  def __init__(
    self,
    *,
    body_models: str | os.PathLike | None = None,
    regressor: str | os.PathLike | None = None,
    keypoints: str = "projected",
    archive: str | os.PathLike | None = None,
    **kwargs: Any,
  ):
    """body_models: folder of the SMPL files; regressor: J_regressor_h36m.npy; keypoints: projected or openpose."""
    self._body_models, self._regressor, self._archive = body_models, regressor, archive
    if keypoints not in KEYPOINTS:
      raise ValueError(f"pw3d: keypoints={keypoints!r}; choose one of {', '.join(KEYPOINTS)}")
    self._keypoints = keypoints
    super().__init__(**kwargs)
    self._mesh = self.builder_config.name == "h36m_17"
    if not self._mesh and (body_models is not None or regressor is not None):
      raise ValueError("pw3d/smpl_24 uses no body model and no regressor; name pw3d/h36m_17")

  def _info(self) -> tfds.core.DatasetInfo:
    name = self.builder_config.name
    return self.dataset_info_from_configs(
      features=features.clip_features(skeletons.get(name)),
      homepage="https://virtualhumans.mpi-inf.mpg.de/3DPW/",
      metadata=tfds.core.MetadataDict(
        skeleton=name,
        annotation=_ANNOTATION[name],
        keypoints_source=KEYPOINTS[self._keypoints],
        comparable_with_published=name == "h36m_17",
        notes=[],
        skipped={},
      ),
      disable_shuffling=True,  # the order of the files
    )

  def _split_generators(self, dl_manager: tfds.download.DownloadManager):
    folder = None if self._archive is not None else epath.Path(dl_manager.manual_dir)
    raw = sources.files(folder, self._archive, (".pkl",), self)
    skipped = self.info.metadata["skipped"]
    named = sources.chosen(raw, _FILE, skipped)
    if not named:
      raise ValueError(
        f"no sequence of 3DPW in {folder or self._archive}; expected sequenceFiles/{SPLITS[0]}/NAME.pkl and so on, as "
        "sequenceFiles.zip unpacks, or that archive"
      )
    bodies = None
    if self._mesh:
      bodies = body_models.load(folder, self._body_models, self._regressor, joints=(24,), without=_WITHOUT)
      self.info.metadata["notes"] += bodies.notes
    by_split = {s: [name for (split, _), name in named.items() if split == s] for s in SPLITS}

    def read(name: str) -> list[Clip]:
      sequence = sequence_file.parse(raw[name].read_bytes(), name)
      stem = name.rpartition("/")[2].removesuffix(".pkl")
      return [
        clip(sequence, person, stem, f"person{i}", name, bodies, self._keypoints)
        for i, person in enumerate(sequence.people)
      ]

    return sources.splits({s: n for s, n in by_split.items() if n}, read, skipped, to_example=features.clip_to_example)

  def _generate_examples(self):
    raise AssertionError("the splits carry their own generators")


def clip(
  sequence: sequence_file.Sequence,
  person: sequence_file.Person,
  name: str,
  subject: str,
  file: str,
  bodies: body_models.Bodies | None,
  keypoints: str,
) -> Clip:
  """A person as a clip: in Human3.6M's joints with body models, else in SMPL's; joints in each frame's camera axes.

  A frame is valid where the data set trusts the camera's pose for this person and every joint is before the camera.
  The camera moves, so the clip's has intrinsics alone.
  """
  joints, skeleton = person.joints, sequence_file.SMPL
  if bodies is not None:
    joints = body_models.h36m_joints(bodies, person.gender, person.pose, person.betas, person.translation, file)
    skeleton = skeletons.get("h36m_17")
  trusted = person.valid & np.isfinite(sequence.rotation).all((1, 2)) & np.isfinite(sequence.translation).all(1)
  seen = np.einsum("tab,tjb->tja", np.where(trusted[:, None, None], sequence.rotation, 0), joints)
  seen = seen + np.where(trusted[:, None], sequence.translation, 0)[:, None]
  camera = _camera(sequence.intrinsics, file)
  joints_3d, pixels, _, near = cameras.see(seen, camera)
  confidence = np.repeat(trusted[:, None], joints.shape[1], 1).astype(np.float32)
  if keypoints == "openpose":
    to = skeletons.joint_map(sequence_file.OPENPOSE_18, skeleton)
    confidence = to.confidence(person.detected[..., 2].astype(np.float32))
    pixels = np.where(confidence[..., None] > 0, to(person.detected[..., :2]), 0).astype(np.float32)
  return Clip(
    keypoints_2d=pixels,
    confidence=confidence,
    joints_3d=joints_3d,
    valid=trusted & ~near.any(1),
    camera=camera,
    skeleton=skeleton,
    fps=FPS,
    subject=subject,
    action=re.sub(r"^[^_]*_|_\d+$", "", name),  # downtown_walkUphill_00 is walkUphill
    sequence=name,
  )


def _camera(intrinsics: np.ndarray, file: str) -> geometry.Camera:
  """A pinhole camera at the origin. The file states no image size: the principal point is the middle of the image."""
  (fx, skew, cx), (_, fy, cy), _ = intrinsics
  if not (fx > 0 and fy > 0 and cx > 0 and cy > 0) or abs(skew) > 1e-3 * fx:
    raise ValueError(f"{file}: cam_intrinsics {intrinsics.tolist()} are no focal lengths and centre in pixels")
  return geometry.create((fx, fy), (cx, cy), (round(2 * cx), round(2 * cy)))


def checks(config: str = "") -> tuple[Check, ...]:
  """The published counts, the same for both configs."""
  del config
  paper, page = "von Marcard 2018: 60 clips", "the data set's folders"
  tracks = "87 person tracks, counted in the files (posepile)"
  frames = "SPIN's 3dpw_test.npz, as TCMR_RELEASE issue 32 and VIBE issue 57 count it"

  def sequences(split: str | None):
    return lambda examples: len({(e.split, e.sequence) for e in examples if split in (None, e.split)})

  def people(split: str | None):
    return lambda examples: sum(split in (None, e.split) for e in examples)

  def scored(examples: Sequence[Example]) -> int:
    return sum(e.valid for e in examples if e.split == "test")

  return (
    Check("sequences", 60, paper, sequences(None)),
    Check("training sequences", 24, page, sequences("train")),
    Check("validation sequences", 12, page, sequences("validation")),
    Check("test sequences", 24, page, sequences("test")),
    Check("people", 87, tracks, people(None), note=True),
    Check("people in the test sequences", 37, tracks, people("test"), note=True),
    Check("scored test frames", 35515, frames, scored, note=True),
  )
