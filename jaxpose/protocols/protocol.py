"""What a protocol is: the choices that turn predictions into a number, as data."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from jaxpose.data.clip import Clip
from jaxpose.skeleton import Skeleton

# What every evaluation must be told: the data and its split, whether the mirrored prediction was averaged in, where the
# 2D keypoints come from, the model's step and seed, and a list of every piece of ground truth that the prediction used.
REQUIRED_FACTS = ("dataset", "split", "flip_averaging", "keypoints_source", "checkpoint_step", "seed", "oracles")

FACTOR = "2.5d_factor"  # the oracle's name in fingerprints


def nothing_dropped(clip: Clip) -> str | None:
  del clip
  return None


def first_word(clip: Clip) -> str:
  """The action: the text before the first blank, so that takes "Walking" and "Walking 1" are one action."""
  return clip.action.split(" ")[0]


def unchanged(clip: Clip) -> Clip:
  return clip


def no_notes(actions: Sequence[str]) -> dict:
  del actions
  return {}


@dataclasses.dataclass(frozen=True)
class Protocol:
  """A published protocol, version by version: raise `version` with every change that can move a number.

  joint_set: the skeleton it scores, None for any; `renames` lets another joint set stand in where each joint is exactly
    one joint of the source, under another name.
  scored: the joints of the set that are kept once the root is subtracted, None for all: alignments and every metric
    see these alone. It lets a pose be centred on a joint that is not scored.
  counted: the joints that PCK and AUC count, None for all that are scored. MPJPE is over all of these always.
  groups: {group: joints} of the per-joint-group table, None for left and right of each name.
  averaging: "frames" pools all frames; "actions" is frame-weighted within an action, then plain over actions.
  aligned: whether PCK, AUC and MPJPE are reported under per-frame scaling and Procrustes too.
  required: facts that it requires besides REQUIRED_FACTS.
  dropped: why a clip is left out, or None. action: a clip's action label.
  prepare: a clip as it is scored, of the same length: with another ground truth in joints_3d, or fewer valid frames.
  factor: for protocols in 2.5D image space, the metres a pixel of each frame [T], from the ground truth. Predictions
    must be made by codec image_25d and decoded with it; the fingerprint names it FACTOR among the oracles.
  notes: fingerprint entries made from the actions present.
  clip_labels, frame_labels: further groupings, {table: label of a clip, or labels of its frames, or None}.
  """

  name: str
  version: int
  joint_set: str | None
  renames: bool = False
  scored: tuple[str, ...] | None = None
  counted: tuple[str, ...] | None = None
  groups: dict[str, tuple[str, ...]] | None = None
  averaging: str = "frames"
  aligned: bool = False
  required: tuple[str, ...] = ()
  dropped: Callable[[Clip], str | None] = nothing_dropped
  action: Callable[[Clip], str] = first_word
  prepare: Callable[[Clip], Clip] = unchanged
  factor: Callable[[Clip], np.ndarray] | None = None
  notes: Callable[[Sequence[str]], dict] = no_notes
  clip_labels: dict[str, Callable[[Clip], str | None]] = dataclasses.field(default_factory=dict)
  frame_labels: Callable[[Clip], Sequence[str] | None] | None = None

  def scored_joints(self, skeleton: Skeleton) -> tuple[str, ...]:
    """Names of the joints that are scored, in the order of all results."""
    return self.scored or skeleton.names

  def counted_joints(self, skeleton: Skeleton) -> list[int]:
    """Indices, among the scored joints, of those that PCK and AUC count."""
    scored = self.scored_joints(skeleton)
    return [scored.index(n) for n in (self.counted or scored)]

  def joint_groups(self, skeleton: Skeleton) -> dict[str, list[int]]:
    """Indices, among the scored joints, of the joints of each group."""
    scored = self.scored_joints(skeleton)
    if self.groups is not None:
      return {group: [scored.index(n) for n in names] for group, names in self.groups.items()}
    groups = {}
    for j, name in enumerate(scored):
      groups.setdefault(name.removeprefix("left_").removeprefix("right_"), []).append(j)
    return groups
