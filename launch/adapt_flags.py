"""How to adapt, as flags: the fields of AdaptConfig."""

import dataclasses
from typing import Any

from absl import flags

from jaxpose.adapt import settings
from jaxpose.adapt.adapt import MODES

_MODE = flags.DEFINE_enum("mode", "vanilla", list(MODES), "How to adapt; each mode brings the paper's numbers.")
_RECOMMENDED = flags.DEFINE_bool("recommended", False, "Begin from the mode's recommended numbers, not the paper's.")

# A setting that is not given keeps the mode's own value, or the recommended one.
_SETTINGS = (
  flags.DEFINE_string("objective", None, "Names joined by +, with factors: reprojection*10+bone_lengths*0.5."),
  flags.DEFINE_integer("num_steps", None, "Steps an instance, the paper's T."),
  flags.DEFINE_float("learning_rate", None, "The paper's alpha."),
  flags.DEFINE_integer("every", None, "Online: adapt on every n-th instance."),
  flags.DEFINE_integer("copies", None, "Rows that one step sees."),
  flags.DEFINE_integer("memory", None, "Online: the rows are the last n instances, in turn."),
  flags.DEFINE_list("groups", None, "Parts of the model that adapt."),
  flags.DEFINE_enum("optimizer", None, settings.OPTIMIZERS, "What takes the steps."),
  flags.DEFINE_float("damping", None, "gauss_newton: of the normal equations, relative to their mean diagonal."),
  flags.DEFINE_float("carry", None, "gauss_newton online: the share of an instance's first step that a stream keeps."),
  flags.DEFINE_enum("stream", None, settings.STREAMS, "Online: a clip is a stream, or all that a camera sees is."),
  flags.DEFINE_bool("carry_optimizer", None, "Online: keep the optimizer's moments from instance to instance."),
  flags.DEFINE_float("gate", None, "Adapt only to losses above this quantile of the source's own; 0 for all."),
  flags.DEFINE_float("teacher_decay", None, "Of the moving average of an online stream's weights."),
  flags.DEFINE_float("soft_reset", None, "Online: the share by which each step takes the weights back."),
  flags.DEFINE_enum("reset_to", None, ["teacher", "source"], "Where soft_reset takes the weights back to."),
  flags.DEFINE_integer("chunk", None, "Instances (vanilla) or streams (online) at once; by the memory when absent."),
  flags.DEFINE_integer("seed", None, "Of the random projections."),
)


def config() -> settings.AdaptConfig:
  """The setting that the flags ask for."""
  given: dict[str, Any] = {flag.name: flag.value for flag in _SETTINGS if flag.value is not None}
  given |= {"groups": tuple(given["groups"])} if "groups" in given else {}
  base = settings.recommended(_MODE.value) if _RECOMMENDED.value else settings.AdaptConfig(mode=_MODE.value)
  return dataclasses.replace(base, **given)
