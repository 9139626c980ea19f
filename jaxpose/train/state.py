"""What training carries from step to step, and what a checkpoint holds: nothing else."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct

from jaxpose.methods.method import Method


@struct.dataclass
class TrainState:
  """step: int32 scalar; params; model_state: the other variable collections (batch_stats); opt_state."""

  step: Any
  params: Any
  model_state: Any
  opt_state: Any

  @property
  def variables(self) -> dict:
    return {"params": self.params, **self.model_state}


def create(key: jax.Array, batch: dict, *, method: Method, tx: optax.GradientTransformation) -> TrainState:
  """The state before the first step; `batch` gives shapes only. Pure, so it runs under jit with out_shardings."""
  variables = dict(method.init(key, batch))
  params = variables.pop("params")
  return TrainState(jnp.zeros((), jnp.int32), params, variables, tx.init(params))
