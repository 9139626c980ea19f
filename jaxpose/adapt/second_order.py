"""Adaptation that solves for each instance: the most likely pose by the bones of the person, who is learnt on the way.

An instance and its mirror image are explained apart (fit.py), since the model lifts them apart. What a stream keeps is
the belief about the bones (person.py).
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxpose.adapt import fit, person
from jaxpose.adapt.adapter import Adapter, Instance
from jaxpose.adapt.fit import Problem
from jaxpose.adapt.person import Belief
from jaxpose.codec import Codec
from jaxpose.data import transforms
from jaxpose.models import lifter as lifters
from jaxpose.models.lifter import Lifter
from jaxpose.skeleton import Skeleton

DOUBT = 20.0  # nats by which a stranger explains the last frames better, from which on it is one


class State(NamedTuple):
  """What holds for the person, belief and doubt; and the last instance's offsets, of it and of its mirror image."""

  belief: Belief
  doubt: Array
  offsets: Array


def adapter(
  lifter: Lifter,
  codec: Codec,
  stranger: Belief,
  *,
  tau: float,
  prior_m: float,
  noise: float,
  window: int,
) -> Adapter:
  """tau, prior_m: as in `fit.Problem`; noise: as in `fit.observe`; window: frames of an instance.

  Instances hold, beside "inputs" and "flipped", "keypoints_2d", "confidence", "camera" (and "present") of a window, and
  "fresh": for how many independent frames each of its frames counts in the belief. `init` may be told a belief.
  """
  skeleton = codec.skeleton
  bones, mirrored = np.array(skeleton.bones), mirrored_bones(skeleton)
  kernel = prior_m**2 * jnp.eye(3 * skeleton.num_joints)

  def explain(variables, view, mean, factor):
    lift, shape, _ = fit.lifting(lifter, codec, variables, view)
    rays, weight, there = fit.observe(view, codec, noise)
    certain = there[:, None] / (fit.BONE_NOISE * mean)[None]
    problem = Problem(lift, shape, bones, rays, weight, certain, mean, factor, tau, prior_m)
    solution = fit.solve(problem)
    return solution.offsets[0], *fit.length_information(problem, solution, kernel)

  def init(variables, known: Belief | None = None) -> State:
    inputs = jnp.zeros((2, window, skeleton.num_joints, codec.channels))
    _, like = fit.first_layer(functools.partial(lifters.predict, lifter, variables, inputs))
    belief = Belief(*map(jnp.asarray, stranger if known is None else known))
    return State(belief, jnp.zeros(()), jnp.zeros(like.shape))

  def adapt(variables, state: State, instance: Instance, key) -> State:
    del key
    mean, covariance = person.moments(state.belief)
    factor = jnp.linalg.cholesky(covariance)
    views = _both(instance, skeleton)
    turned = jnp.stack([mean, mean[mirrored]]), jnp.stack([factor, factor[mirrored]])
    offsets, information, vector = jax.vmap(functools.partial(explain, variables))(views, *turned)
    information = information[0] + information[1][mirrored][:, mirrored]
    vector = vector[0] + vector[1][mirrored]
    information, vector = instance["fresh"] * information, instance["fresh"] * vector
    against = person.log_evidence(stranger, information, vector) - person.log_evidence(
      state.belief, information, vector
    )
    doubt = jnp.maximum(state.doubt + jnp.where(jnp.isfinite(against), against, 0.0), 0.0)
    changed = doubt > DOUBT
    known = jax.tree.map(lambda a, b: jnp.where(changed, a, b), Belief(*map(jnp.asarray, stranger)), state.belief)
    return State(person.add(known, information, vector), jnp.where(changed, 0.0, doubt), offsets)

  def predict(variables, state: State, instances: Instance, key) -> dict[str, Array]:
    del key

    def one(instance):
      rows = jnp.stack([instance["inputs"], instance["flipped"]])
      mask = jnp.stack([instance["present"]] * 2) if "present" in instance else None
      run = functools.partial(lifters.predict, lifter, variables, rows, mask)
      return fit.shifted(run, fit.first_layer(run)[0], state.offsets)

    outputs = jax.vmap(one)(instances)
    return {"inputs": outputs[:, 0], "flipped": outputs[:, 1]}

  return Adapter(init, adapt, predict)


def belief(state: State) -> Belief:
  """What is kept of a state between rounds."""
  return state.belief


def _both(instance: Instance, skeleton: Skeleton) -> dict[str, Any]:
  """The window and its mirror image, stacked."""
  seen = {n: instance[n] for n in ("keypoints_2d", "confidence", "camera", "present") if n in instance}
  mirror = transforms.flip(seen, skeleton)
  views = {**seen, "inputs": instance["inputs"]}, {**mirror, "inputs": instance["flipped"]}
  return jax.tree.map(lambda a, b: jnp.stack([a, b]), *views)


def mirrored_bones(skeleton: Skeleton) -> np.ndarray:
  """For each bone the place of its mirror image in skeleton.bones, [K]."""
  place = {child: i for i, (child, _) in enumerate(skeleton.bones)}
  return np.array([place[skeleton.flip[child]] for child, _ in skeleton.bones])


@functools.partial(jax.jit, static_argnames=("lifter", "codec"))
def sensitivity(lifter: Lifter, codec: Codec, variables: Any, windows: Instance) -> Float[Array, ""]:
  """Metres that a coordinate of a pose moves by, rms over windows [N, T, ...], for offsets of unit variance.

  By one random direction a window.
  """

  def one(view, key):
    lift, like, _ = fit.lifting(lifter, codec, variables, view)
    direction = jax.random.rademacher(key, like.shape, jnp.float32)
    _, change = jax.jvp(lift, (jnp.zeros(like.shape),), (direction,))
    return (change**2).sum() / (3 * (change.shape[1] - 1) * len(change))

  keys = jax.random.split(jax.random.key(0), len(windows["inputs"]))
  return jnp.sqrt(jnp.mean(jax.lax.map(lambda x: one(*x), (dict(windows), keys), batch_size=16)))
