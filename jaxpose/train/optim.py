"""Optimizers and schedules, from a small config: optax parts put together."""

from collections.abc import Callable, Hashable, Mapping

import jax
import jax.numpy as jnp
import optax

from jaxpose.config import OptimConfig
from jaxpose.train import rates


def schedule(config: OptimConfig, num_updates: int) -> optax.Schedule:
  """Learning rate by update. Exponential and cosine end at final_fraction of the peak; plateau scales it later."""
  peak, end = config.learning_rate, config.learning_rate * config.final_fraction
  if config.schedule == "exponential":
    decay = optax.exponential_decay(peak, max(num_updates, 1), config.final_fraction, end_value=end)
  elif config.schedule == "cosine":
    decay = optax.cosine_decay_schedule(peak, max(num_updates, 1), config.final_fraction)
  else:  # constant, plateau
    decay = optax.constant_schedule(peak)
  if not config.warmup_steps:
    return decay
  return optax.join_schedules([optax.linear_schedule(0.0, peak, config.warmup_steps), decay], [config.warmup_steps])


def max_norm(limit: float) -> optax.GradientTransformation:
  """Keeps every unit's incoming weights (a kernel's column) within `limit`: w <- w min(1, limit / |w|_2).

  Goes last in a chain: it makes the update end on the projected weights (Srivastava 2014, Martinez 2017).
  """

  def project(path, param, update):
    if update is None or path[-1].key != "kernel":
      return update
    moved = param + update
    norm = jnp.sqrt(jnp.sum(moved**2, axis=-2, keepdims=True) + 1e-12)
    return moved * jnp.minimum(1, limit / norm) - param

  def update_fn(updates, state, params=None):
    return jax.tree_util.tree_map_with_path(project, params, updates), state

  return optax.GradientTransformation(lambda params: optax.EmptyState(), update_fn)


def scale_by_path(factors: Mapping[str, rates.Factor]) -> optax.GradientTransformation:
  """Multiplies each parameter's update by the factor of its path, a number or an array to broadcast; see `rates`."""

  def update_fn(updates, state, params=None):
    del params
    scaled = lambda path, update: update * jnp.asarray(factors[rates.path_name(path)], update.dtype)  # noqa: E731
    return jax.tree_util.tree_map_with_path(scaled, updates), state

  return optax.GradientTransformation(lambda params: optax.EmptyState(), update_fn)


def _one(
  config: OptimConfig, learning_rate: optax.Schedule | float, factors: Mapping[str, rates.Factor]
) -> optax.GradientTransformationExtraArgs:
  parts: list[optax.GradientTransformation] = []
  if config.clip_norm:
    parts.append(optax.clip_by_global_norm(config.clip_norm))
  if config.name == "adamw":
    parts.append(optax.adamw(learning_rate, b1=config.b1, b2=config.b2, weight_decay=config.weight_decay))
  else:
    parts.append(optax.adam(learning_rate, b1=config.b1, b2=config.b2))
  if any(not isinstance(f, float) or f != 1 for f in factors.values()):
    parts.append(scale_by_path(factors))
  if config.schedule == "plateau":
    parts.append(
      optax.contrib.reduce_on_plateau(
        factor=config.plateau_factor,
        patience=config.plateau_patience,
        accumulation_size=config.plateau_window,
        min_scale=config.final_fraction,
      )
    )
  if config.max_norm:
    parts.append(max_norm(config.max_norm))
  return optax.with_extra_args_support(optax.chain(*parts))


def build(
  config: OptimConfig, num_steps: int, labels: Callable[[optax.Params], optax.Params]
) -> optax.GradientTransformationExtraArgs:
  """The optimizer of a run. `labels` (Method.labels) names each parameter's group: "lifter" or "discriminator".

  The discriminator has its own Adam at its own constant rate; `rates` and `layer_decay` are the lifter's. Frozen
  parameters, of rate 0, have no state at all and no update. With accumulation, `num_steps` counts micro-steps, and the
  schedule counts updates.

  `init` raises the ValueErrors of `rates.factors`. `update` must be given the parameters.
  """
  rate = schedule(config, num_steps // config.accumulate_steps)

  def of(params: optax.Params) -> optax.GradientTransformationExtraArgs:
    factors = rates.factors(params, config, labels)
    groups: dict[Hashable, optax.GradientTransformation] = {
      "lifter": _one(config, rate, factors),
      "discriminator": optax.adam(config.discriminator_learning_rate, b1=config.b1),
    }
    tx = optax.with_extra_args_support(optax.multi_transform(groups, labels))
    if config.accumulate_steps > 1:
      tx = optax.with_extra_args_support(optax.MultiSteps(tx, config.accumulate_steps).gradient_transformation())
    still = rates.frozen(factors)
    if not still:
      return tx
    # Around the accumulation, whose sums are state too.
    trains = jax.tree_util.tree_map_with_path(
      lambda path, _: "frozen" if rates.path_name(path) in still else "trained", params
    )
    return optax.with_extra_args_support(optax.multi_transform({"trained": tx, "frozen": optax.set_to_zero()}, trains))

  def update(updates, state, params=None, **extra):
    if params is None:
      raise ValueError("this optimizer needs the parameters: tx.update(updates, state, params)")
    return of(params).update(updates, state, params, **extra)

  return optax.GradientTransformationExtraArgs(lambda params: of(params).init(params), update)
