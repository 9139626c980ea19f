"""Lifters by name. A new architecture is one file with a `create` that returns a Lifter, and one line in MODELS."""

import inspect
from collections.abc import Callable
from typing import Any

from jaxpose.models import dstformer, mlp
from jaxpose.models.lifter import Lifter

MODELS: dict[str, Callable[..., Lifter]] = {"dstformer": dstformer.create, "mlp": mlp.create}


def build(name: str, **kwargs: Any) -> Lifter:
  """The lifter of that name; a ValueError lists the known names, or the options that the model takes."""
  if name not in MODELS:
    raise ValueError(f"unknown model {name!r}; known are {', '.join(sorted(MODELS))}")
  accepted = inspect.signature(MODELS[name]).parameters
  unknown = [k for k in kwargs if k not in accepted]
  if unknown:
    raise ValueError(f"model {name!r} has no option {unknown[0]!r}; it takes {', '.join(accepted)}")
  return MODELS[name](**kwargs)
