"""MPI-INF-3DHP: the dataset's own evaluation, and PoseAug's, whose numbers are higher and never to be mixed with it."""

import re
from collections.abc import Sequence
from typing import Any

from jaxpose.data.clip import Clip
from jaxpose.protocols.protocol import Protocol

# The official tool's groups, 14 joints; pelvis, spine and head count in MPJPE alone.
GROUPS: dict[str, tuple[str, ...]] = {
  "Head": ("head_top",),
  "Neck": ("neck",),
  "Shou": ("right_shoulder", "left_shoulder"),
  "Elbow": ("right_elbow", "left_elbow"),
  "Wrist": ("right_wrist", "left_wrist"),
  "Hip": ("right_hip", "left_hip"),
  "Knee": ("right_knee", "left_knee"),
  "Ankle": ("right_ankle", "left_ankle"),
}
ACTIVITIES = (
  "Standing/Walking", "Exercising", "Sitting", "Reaching/Crouching", "On The Floor", "Sports", "Miscellaneous",
)  # fmt: skip
_SCENES = {"TS1": "GS", "TS2": "GS", "TS3": "noGS", "TS4": "noGS", "TS5": "outdoor", "TS6": "outdoor"}


def scene(clip: Clip) -> str | None:
  """GS, noGS (with and without green screen) or outdoor, from a test sequence's name TS1 to TS6; else None."""
  words = re.findall(r"[A-Za-z0-9]+", clip.name)
  return next((_SCENES[w] for w in words if w in _SCENES), None)


def activities(clip: Clip) -> Sequence[str] | None:
  """The activity of each frame from `clip.extra["activity"]`: texts, or the test files' numbers 1 to 7."""
  labels = clip.extra.get("activity")
  if labels is None:
    return None
  if len(labels) != len(clip):
    raise ValueError(f"clip {clip.name}: extra['activity'] has {len(labels)} labels for {len(clip)} frames")
  return [_activity(clip, label) for label in labels]


def _activity(clip: Clip, label) -> str:
  if isinstance(label, str | bytes):
    return label if isinstance(label, str) else label.decode()
  if label not in range(1, len(ACTIVITIES) + 1):
    raise ValueError(f"clip {clip.name}: activity {label!r}; activities are numbered 1 to {len(ACTIVITIES)}")
  return ACTIVITIES[int(label) - 1]


_TABLES: dict[str, Any] = dict(
  required=("annotation",), renames=True, clip_labels={"per_scene": scene}, frame_labels=activities
)

# mpii_get_pck_auc_joint_groups.m and mpii_test_predictions_py.m; scaled and Procrustes variants are the papers' own.
OFFICIAL = Protocol(
  "mpi_inf_3dhp",
  version=2,
  joint_set="mpi_inf_3dhp_17",
  counted=tuple(n for names in GROUPS.values() for n in names),
  groups=GROUPS,
  aligned=True,
  **_TABLES,
)

# PoseAug (Gong 2021), and with it AdaptPose and PoseDA: PCK and AUC over all 16 joints, the zero root among them.
POSEAUG = Protocol("mpi_inf_3dhp_16", version=2, joint_set="h36m_16", **_TABLES)
