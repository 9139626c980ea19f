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
from jaxpose.geometry import placement
from jaxpose.models import first_layer
from jaxpose.models import lifter as lifters
from jaxpose.models.lifter import Lifter
from jaxpose.skeleton import Skeleton

HORIZON = 3.0  # independent looks at a person, by whom it is asked whether it is another


class Known(NamedTuple):
  """What an instance or a stream begins with: who it may be, and how far the model may be wrong.

  belief: of this person; stranger: of anybody. tau, prior_m: as in `fit.Problem`. doubt: nats by which a stranger
  explains the last frames better, from which on it is one. All are data, so that runs and settings share compiled
  programs.
  """

  belief: Belief
  stranger: Belief
  tau: Any
  prior_m: Any
  doubt: Any = np.float32(np.inf)


class State(NamedTuple):
  """known, with what was learnt of the person; recent, what the last frames (`HORIZON`) said of it; offsets of the last
  instance and of its mirror image."""

  known: Known
  recent: Belief
  offsets: Array


@functools.cache
def adapter(lifter: Lifter, codec: Codec, window: int) -> Adapter:
  """The adapter of a lifter for windows of `window` frames; the same object for equal ones. `init` is told a `Known`.

  Instances hold, beside "inputs" and "flipped", "keypoints_2d", "confidence", "camera" (and "present") of a window;
  "valid", the frames that count; "noise", as in `fit.observe`, a number a frame; "fresh": for how many independent ones
  each of them does in the belief.
  """
  skeleton = codec.skeleton
  bones, mirrored = np.array(skeleton.bones), mirrored_bones(skeleton)

  def explain(variables, known: Known, view, mean, covariance, precision):
    lift, like, _ = fit.lifting(lifter, codec, variables, view)
    rays, weight, there = fit.observe(view, codec, view["noise"])
    certain = there[:, None] / (fit.BONE_NOISE * mean)[None]
    belief = mean, covariance, precision
    problem = Problem(lift, like, bones, rays, weight, certain, *belief, known.tau, known.prior_m)
    solution = fit.solve(problem)
    kernel = known.prior_m**2 * jnp.eye(3 * skeleton.num_joints)
    return solution.offsets[0], *fit.length_information(problem, solution, kernel)

  def init(variables, known: Known) -> State:
    inputs = jnp.zeros((2, window, skeleton.num_joints, codec.channels))
    _, like = first_layer.find(functools.partial(lifters.predict, lifter, variables, inputs))
    nothing = jax.tree.map(jnp.zeros_like, known.stranger)
    return State(jax.tree.map(jnp.asarray, known), nothing, jnp.zeros(like.shape))

  def adapt(variables, state: State, instance: Instance, key) -> State:
    del key
    known = state.known
    mean, *matrices = person.moments(known.belief)
    turned = [jnp.stack([mean, mean[mirrored]]), *(jnp.stack([m, m[mirrored][:, mirrored]]) for m in matrices)]
    views = _both(instance, skeleton)
    offsets, information, vector = jax.vmap(functools.partial(explain, variables, known))(views, *turned)
    fresh = instance["fresh"]
    information = fresh * (information[0] + information[1][mirrored][:, mirrored])
    said = Belief(information, fresh * (vector[0] + vector[1][mirrored]))
    belief, recent = _learn(known, state.recent, said, jnp.exp(-fresh * window / HORIZON))
    return State(known._replace(belief=belief), recent, offsets)

  def predict(variables, state: State, instances: Instance, key) -> dict[str, Array]:
    del key

    def one(instance):
      rows = jnp.stack([instance["inputs"], instance["flipped"]])
      mask = jnp.stack([instance["present"]] * 2) if "present" in instance else None
      run = functools.partial(lifters.predict, lifter, variables, rows, mask)
      return first_layer.shifted(run, first_layer.find(run)[0], state.offsets)

    outputs = jax.vmap(one)(instances)
    return {"inputs": outputs[:, 0], "flipped": outputs[:, 1]}

  return Adapter(init, adapt, predict)


def _learn(known: Known, recent: Belief, said: Belief, keep: Array) -> tuple[Belief, Belief]:
  """The belief after a frame, and what the last ones said; if a stranger had said that, only that is believed."""
  belief, recent = person.add(known.belief, *said), person.add(Belief(*(keep * x for x in recent)), *said)
  settled = Belief(*(a - b for a, b in zip(belief, recent)))
  against = person.log_evidence(known.stranger, *recent) - person.log_evidence(settled, *recent)
  anew = person.add(known.stranger, *recent)
  return Belief(*(jnp.where(against > known.doubt, a, b) for a, b in zip(anew, belief))), recent


def belief(state: State) -> Belief:
  """What is kept of a state between rounds."""
  return state.known.belief


def _both(instance: Instance, skeleton: Skeleton) -> dict[str, Any]:
  """The window and its mirror image, stacked."""
  seen = {
    n: instance[n] for n in ("keypoints_2d", "confidence", "camera", "present", "valid", "noise") if n in instance
  }
  mirror = transforms.flip(seen, skeleton)
  views = {**seen, "inputs": instance["inputs"]}, {**mirror, "inputs": instance["flipped"]}
  return jax.tree.map(lambda a, b: jnp.stack([a, b]), *views)


def mirrored_bones(skeleton: Skeleton) -> np.ndarray:
  """For each bone the place of its mirror image in skeleton.bones, [K]."""
  place = {child: i for i, (child, _) in enumerate(skeleton.bones)}
  return np.array([place[skeleton.flip[child]] for child, _ in skeleton.bones])


@functools.partial(jax.jit, static_argnames="codec")
def misfit(poses: Float[Array, "N T J 3"], batch: Instance, *, codec: Codec) -> Float[Array, "N T"]:
  """How far poses, put where they fit best, are from their keypoints: rms over joints, [N, T], in a frame's noise."""

  def one(pose, view):
    rays, weight, _ = fit.observe(view, codec, view["noise"])
    seen = pose + placement.place_by_rays(pose, rays, weight > 0)[:, None]
    error = (seen[..., :2] / jnp.maximum(seen[..., 2:], fit.NEAREST) - rays) * weight[..., None]
    return jnp.sqrt((error**2).sum((-1, -2)) / jnp.maximum(2 * (weight > 0).sum(-1), 1))

  return jax.vmap(one)(poses, batch)
