"""One training step, for every method, on one device or a mesh: pure, at module level, static parts bound."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxpose.data import pipeline
from jaxpose.methods.method import Method
from jaxpose.train.state import TrainState

Metrics = dict[str, jax.Array]


def train_step(
  state: TrainState,
  batch: dict[str, Any],
  *,
  method: Method,
  tx: optax.GradientTransformationExtraArgs,
  base_key: jax.Array,
) -> tuple[TrainState, Metrics]:
  """One update of the parameters on one batch; returns the new state and scalar metrics.

  The key is fold_in(base_key, state.step), so a resumed run needs no stored key.
  """
  key = jax.random.fold_in(base_key, state.step)

  def loss_fn(params):
    return method.loss({"params": params, **state.model_state}, batch, key)

  (loss, (metrics, model_state)), grads = jax.value_and_grad(loss_fn, has_aux=True)(state.params)
  updates, opt_state = tx.update(grads, state.opt_state, state.params, value=loss)
  params = optax.apply_updates(state.params, updates)
  metrics = {"loss": loss, "grad_norm": optax.tree.norm(grads), **metrics}
  return TrainState(state.step + 1, params, model_state, opt_state), metrics


def resident_steps(
  state: TrainState,
  data: pipeline.Windows,
  index: jax.Array,
  *,
  length: int,
  method: Method,
  tx: optax.GradientTransformationExtraArgs,
  base_key: jax.Array,
) -> tuple[TrainState, Metrics]:
  """As many steps as `index` [K, B] has rows, in one scan over a data set that lives on the device.

  Returns the state and, a metric, its mean over the K steps; `first_bad` is the first step (from 0 in this stretch)
  whose loss or gradient was not finite, or K.
  """

  def body(carry, rows):
    return train_step(carry, pipeline.gather(data, rows, length), method=method, tx=tx, base_key=base_key)

  state, metrics = jax.lax.scan(body, state, index)
  finite = jnp.isfinite(metrics["loss"]) & jnp.isfinite(metrics["grad_norm"])
  first_bad = jnp.where(finite.all(), len(index), jnp.argmin(finite))
  return state, {**{k: v.mean(0) for k, v in metrics.items()}, "first_bad": first_bad}
