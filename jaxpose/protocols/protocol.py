"""What a protocol is: the choices that turn predictions into a number, as data."""

import dataclasses
from collections.abc import Callable, Sequence

from jaxpose.data.clip import Clip
from jaxpose.skeleton import Skeleton

# What every evaluation must be told: the data and its split, whether the mirrored prediction was averaged in, where the
# 2D keypoints come from, the model's step and seed, and a list of every piece of ground truth that the prediction used.
REQUIRED_FACTS = ("dataset", "split", "flip_averaging", "keypoints_source", "checkpoint_step", "seed", "oracles")


def nothing_dropped(clip: Clip) -> str | None:
  del clip
  return None


def first_word(clip: Clip) -> str:
  """The action: the text before the first blank, so that takes "Walking" and "Walking 1" are one action."""
  return clip.action.split(" ")[0]


def no_notes(actions: Sequence[str]) -> dict:
  del actions
  return {}


@dataclasses.dataclass(frozen=True)
class Protocol:
  """A published protocol, version by version: raise `version` with every change that can move a number.

  joint_set: the skeleton it scores, None for any; `renames` lets another joint set stand in where each joint is exactly
    one joint of the source, under another name.
  counted: the joints that PCK and AUC count, None for all. MPJPE is over all joints always.
  groups: {group: joints} of the per-joint-group table, None for left and right of each name.
  averaging: "frames" pools all frames; "actions" is frame-weighted within an action, then plain over actions.
  aligned: whether PCK, AUC and MPJPE are reported under per-frame scaling and Procrustes too.
  required: facts that it requires besides REQUIRED_FACTS.
  dropped: why a clip is left out, or None. action: a clip's action label.
  notes: fingerprint entries made from the actions present.
  clip_labels, frame_labels: further groupings, {table: label of a clip, or labels of its frames, or None}.
  """

  name: str
  version: int
  joint_set: str | None
  renames: bool = False
  counted: tuple[str, ...] | None = None
  groups: dict[str, tuple[str, ...]] | None = None
  averaging: str = "frames"
  aligned: bool = False
  required: tuple[str, ...] = ()
  dropped: Callable[[Clip], str | None] = nothing_dropped
  action: Callable[[Clip], str] = first_word
  notes: Callable[[Sequence[str]], dict] = no_notes
  clip_labels: dict[str, Callable[[Clip], str | None]] = dataclasses.field(default_factory=dict)
  frame_labels: Callable[[Clip], Sequence[str] | None] | None = None

  def counted_joints(self, skeleton: Skeleton) -> list[int]:
    """Indices of the joints that PCK and AUC count."""
    return [skeleton.index(n) for n in (self.counted or skeleton.names)]

  def joint_groups(self, skeleton: Skeleton) -> dict[str, list[int]]:
    """Indices of the joints of each group."""
    if self.groups is not None:
      return {group: [skeleton.index(n) for n in names] for group, names in self.groups.items()}
    groups = {}
    for j, name in enumerate(skeleton.names):
      groups.setdefault(name.removeprefix("left_").removeprefix("right_"), []).append(j)
    return groups
