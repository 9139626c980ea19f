"""How to adapt, as flags: the fields of AdaptConfig."""

import dataclasses
from typing import Any

from absl import flags

from jaxpose.adapt import settings
from jaxpose.formats import bone_lengths

_MODE = flags.DEFINE_enum("mode", "vanilla", list(settings.MODES), "Each mode brings the paper's numbers.")
_RECOMMENDED = flags.DEFINE_bool("recommended", False, "Begin from the mode's recommended numbers, not the paper's.")

# A setting that is not given keeps the mode's own value, or the recommended one.
_SETTINGS = (
  flags.DEFINE_string("objective", None, "adam and sgd: one of the method's self-supervised losses."),
  flags.DEFINE_integer("num_steps", None, "Steps an instance, the paper's T."),
  flags.DEFINE_float("learning_rate", None, "The paper's alpha."),
  flags.DEFINE_integer("every", None, "Online: adapt on every n-th instance."),
  flags.DEFINE_integer("copies", None, "Random draws that one step sees."),
  flags.DEFINE_list("groups", None, "Parts of the model that adapt."),
  flags.DEFINE_enum("optimizer", None, settings.OPTIMIZERS, "What takes the steps; gauss_newton solves instead."),
  flags.DEFINE_bool("carry_optimizer", None, "Online: keep the optimizer's moments from instance to instance."),
  flags.DEFINE_float("prior_m", None, "gauss_newton: metres by which a coordinate of a pose is expected to be wrong."),
  flags.DEFINE_float(
    "noise",
    None,
    "gauss_newton: of a keypoint, as a share of the person's rms extent; by how they tremble if not given.",
  ),
  flags.DEFINE_float("height", None, "gauss_newton: metres, where everyone's height is known."),
  flags.DEFINE_enum("stream", None, settings.STREAMS, "What shares what was learnt."),
  flags.DEFINE_integer("chunk", None, "Instances (alone) or streams (online) at once; by the memory when absent."),
  flags.DEFINE_integer("seed", None, "Of the random projections."),
)
_BONES = flags.DEFINE_string(
  "bones", None, 'gauss_newton: JSON file of known lengths, {subject, or "" for all: {far joint of a bone: metres}}.'
)


def config() -> settings.AdaptConfig:
  """The setting that the flags ask for."""
  given: dict[str, Any] = {flag.name: flag.value for flag in _SETTINGS if flag.value is not None}
  given |= {"groups": tuple(given["groups"])} if "groups" in given else {}
  given |= {"bones": bone_lengths.read(_BONES.value)} if _BONES.value else {}
  base = settings.recommended(_MODE.value) if _RECOMMENDED.value else settings.AdaptConfig(mode=_MODE.value)
  return dataclasses.replace(base, **given)
