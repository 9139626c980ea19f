"""Human3.6M as VideoPose3D and its line score it: P1 (MPJPE), P2 (Procrustes), P3 (scale), MPJVE; 15-action mean."""

from collections.abc import Sequence

from jaxpose import skeleton as skeletons
from jaxpose.data.clip import Clip
from jaxpose.protocols.protocol import Protocol

ACTIONS = (
  "Directions", "Discussion", "Eating", "Greeting", "Phoning", "Photo", "Posing", "Purchases", "Sitting",
  "SittingDown", "Smoking", "Waiting", "WalkDog", "Walking", "WalkTogether",
)  # fmt: skip
_OTHER_NAMES = {"TakingPhoto": "Photo", "WalkingDog": "WalkDog"}


def action(clip: Clip) -> str:
  """One of ACTIONS: the text before the first blank, under VideoPose3D's name.

  Trap: never match by prefix, Sitting begins SittingDown.
  """
  word = clip.action.split(" ")[0]
  name = _OTHER_NAMES.get(word, word)
  if name not in ACTIONS:
    raise ValueError(
      f"clip {clip.name} has action {clip.action!r}, which is none of Human3.6M's {', '.join(ACTIONS)}; "
      "protocol 'generic' scores data of other kinds"
    )
  return name


def dropped(clip: Clip) -> str | None:
  """S11's "Directions" is corrupt and left out by every paper of this line; "Directions 1" stays."""
  take = clip.sequence if clip.sequence.split(" ")[0] == "Directions" else clip.action
  return "corrupt annotation" if clip.subject == "S11" and take == "Directions" else None


def missing_actions(actions: Sequence[str]) -> dict:
  """A mean over fewer than 15 actions is another number; the fingerprint says which are missing."""
  return {"missing_actions": [a for a in ACTIONS if a not in actions]}


SKELETON = skeletons.get("h36m_17")

H36M = Protocol(
  "h36m", version=2, joint_set="h36m_17", averaging="actions", dropped=dropped, action=action, notes=missing_actions
)
