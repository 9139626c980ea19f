"""The most likely pose of a window, given its keypoints, a lifter and what is known of the person's bones.

Unknown are offsets d of the output of the trunk's first layer (a change of its bias, token by token), the person's
bone lengths l, and where the root stands in each frame, t. With X = decode(lifter(x; d)), root-relative metres,

  |(pi(X + t) - u) w|^2 + |(|bones of X| - l) / (s l_0)|^2 + |d|^2 / tau^2 + (l - m)' P^-1 (l - m)

is least at the maximum a posteriori: u are the keypoints' rays, 1 / w their noise, pi(x, y, z) = (x, y) / z, N(m, P)
the belief about the bones (person.py). tau is such that the prior moves a joint's coordinate by `prior_m` metres. A
place t has no prior: it is eliminated, frame by frame, by projecting its three directions out.

Gauss-Newton, four steps. A step's normal equations are solved in the space of residuals, some fifty a frame, where
their kernel is J tau^2 J' + ... + 1, by conjugate gradients that never write the Jacobian J of the lifter: any
architecture will do. Offsets of the first layer reach every later one and are few (Sun et al. 2020 adapt whole
networks; all layers instead of the first gave no more in our measurements, late layers less).
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxpose.codec import Codec
from jaxpose.codec.base import fill_missing
from jaxpose.geometry import camera as cameras
from jaxpose.geometry import dense, placement
from jaxpose.models import first_layer
from jaxpose.models import lifter as lifters
from jaxpose.models.lifter import Lifter

STEPS, ITERATIONS = 4, 8  # Gauss-Newton; conjugate gradients in each
SHARES = (1.0, 0.5, 0.2, 0.05)  # of a step, of which the line search takes the best
BONE_NOISE = 0.03  # of a bone's length, from frame to frame: joint centres move in the body
NEAREST = 0.3  # metres before the camera; a joint is never projected from nearer
FAR = 20.0  # metres, where the first guess of a person's distance ends
LOOSE = 1e-2  # per metre: keeps t where a frame says nothing of it
SCALE_SPREAD = 0.3  # of a body's size against its bones, which a frame is not asked about


class Problem(NamedTuple):
  """What is to be explained. T frames, J joints, K bones.

  lift: offsets -> root-relative metres [T, J, 3]; like: the offsets' shape. rays, weight: [T, J, 2], [T, J], 0 where a
  joint is missing. certain: [T, K], 1 / metres, 0 in frames that are not there. mean, covariance: of the belief, m and
  P; precision = P^-1. tau: standard deviation of the offsets; prior_m: what that makes of a coordinate.
  """

  lift: Callable[[Array], Array]
  like: Any
  bones: np.ndarray
  rays: Array
  weight: Array
  certain: Array
  mean: Array
  covariance: Array
  precision: Array
  tau: Array | float
  prior_m: Array | float


class Solution(NamedTuple):
  """offsets, as the layer's output; lengths [K] and place [T, 3] in metres; dual, of the last step."""

  offsets: Array
  lengths: Array
  place: Array
  dual: Array


def solve(problem: Problem) -> Solution:
  """The most likely offsets, lengths and places, from the model as it is and a first guess of the distance."""
  begin = jnp.zeros(problem.like.shape)
  place = first_place(problem, problem.lift(begin))
  frames, joints, bones = *problem.weight.shape, len(problem.bones)
  start = Solution(begin, problem.mean, place, jnp.zeros((frames, 2 * joints + bones + 3)))
  step = functools.partial(_step, problem, place)
  return jax.lax.scan(lambda s, _: (step(s), None), start, None, length=STEPS)[0]


def first_place(problem: Problem, pose: Float[Array, "T J 3"]) -> Float[Array, "T 3"]:
  """Where the root stands if the pose is right, 1 m to `FAR` away."""
  place = placement.place_by_rays(pose, problem.rays, problem.weight > 0)
  return place.at[:, 2].set(jnp.clip(place[:, 2], 1.0, FAR))


def residuals(problem: Problem, pose: Array, lengths: Array, place: Array, first: Array) -> Float[Array, "T M"]:
  """All residuals of a window, a row a frame: 2 J of the image, K of the bones, 3 that keep the place loosely."""
  return jax.vmap(_frame_residuals, (None, 0, None, 0, 0, 0, 0, 0))(
    problem.bones, pose, lengths, place, first, problem.rays, problem.weight, problem.certain
  )


def _frame_residuals(bones, pose, lengths, place, first, rays, weight, certain) -> Array:
  seen = pose + place[None]
  image = (seen[:, :2] / jnp.maximum(seen[:, 2:], NEAREST) - rays) * weight[:, None]
  body = (_lengths(pose, bones) - lengths) * certain
  return jnp.concatenate([image.reshape(-1), body, LOOSE * (place - first)])


def _lengths(pose: Float[Array, "*b J 3"], bones: np.ndarray) -> Float[Array, "*b K"]:
  vectors = pose[..., bones[:, 0], :] - pose[..., bones[:, 1], :]
  return jnp.sqrt(jnp.sum(vectors**2, -1) + 1e-8)


class Linear(NamedTuple):
  """The residuals' derivatives by the pose [T, M, 3 J] and the lengths [T, M, K], places projected out."""

  residuals: Array  # [T, M], as they are
  pose: Array
  lengths: Array
  raw: tuple[Array, Array]  # both before that
  basis: Array  # [T, M, 3], orthonormal, of the places' directions
  upper: Array  # [T, 3, 3]: by place = basis @ upper

  def without_place(self, rows: Float[Array, "T M"]) -> Float[Array, "T M"]:
    return rows - jnp.einsum("tmi,tni,tn->tm", self.basis, self.basis, rows)


def linearise(problem: Problem, pose: Array, lengths: Array, place: Array, first: Array) -> Linear:
  """The residuals and their derivatives at a pose, frame by frame."""
  derive = jax.vmap(jax.jacrev(_frame_residuals, (1, 2, 3)), (None, 0, None, 0, 0, 0, 0, 0))
  args = (problem.bones, pose, lengths, place, first, problem.rays, problem.weight, problem.certain)
  by_pose, by_lengths, by_place = derive(*args)
  by_pose = by_pose.reshape(*by_pose.shape[:2], -1)
  basis, upper = jax.vmap(dense.orthonormal)(by_place)

  def without(rows):
    return rows - basis @ (jnp.swapaxes(basis, 1, 2) @ rows)

  now = residuals(problem, pose, lengths, place, first)
  return Linear(now, without(by_pose), without(by_lengths), (by_pose, by_lengths), basis, upper)


def _step(problem: Problem, first: Array, now: Solution) -> Solution:
  tau = problem.tau
  pose, push = jax.linearize(problem.lift, now.offsets)
  pull = jax.linear_transpose(push, now.offsets)
  at = linearise(problem, pose, now.lengths, now.place, first)

  def forward(offsets):
    return jnp.einsum("tmi,ti->tm", at.pose, push(offsets).reshape(len(pose), -1))

  def backward(rows):
    return pull(jnp.einsum("tmi,tm->ti", at.pose, rows).reshape(pose.shape))[0]

  def of_lengths(rows):
    return problem.covariance @ jnp.einsum("tmk,tm->k", at.lengths, rows)

  wanted = forward(now.offsets) + at.lengths @ (now.lengths - problem.mean) - at.without_place(at.residuals)
  dual, offsets = _conjugate_gradients(problem, at, forward, backward, of_lengths, wanted, now.dual)
  move, grow = tau**2 * offsets - now.offsets, problem.mean + of_lengths(dual) - now.lengths
  by_pose, by_lengths = at.raw
  moved = at.residuals + jnp.einsum("tmi,ti->tm", by_pose, push(move).reshape(len(pose), -1)) + by_lengths @ grow
  walk = -jax.vmap(dense.solve_upper)(at.upper, jnp.einsum("tmi,tm->ti", at.basis, moved))

  def after(share):
    return now.offsets + share * move, now.lengths + share * grow, now.place + share * walk

  def value(share):
    return objective(problem, first, *after(share))

  shares = jnp.array(SHARES)
  values = jax.vmap(value)(shares)
  best = jnp.argmin(values)
  share = jnp.where(values[best] < value(0.0), shares[best], 0.0)
  return Solution(*after(share), jnp.where(share > 0, dual, 0.0))


def objective(problem: Problem, first: Array, offsets: Array, lengths: Array, place: Array) -> Float[Array, ""]:
  """Twice the negative logarithm of the posterior, but for a constant."""
  rows, away = residuals(problem, problem.lift(offsets), lengths, place, first), lengths - problem.mean
  return (rows**2).sum() + (offsets**2).sum() / problem.tau**2 + away @ problem.precision @ away


def _conjugate_gradients(problem: Problem, at: Linear, forward, backward, of_lengths, wanted, dual):
  """(y, J' y) with (tau^2 J J' + L P L' + 1) y = wanted, from the last step's y; L, by the lengths.

  Preconditioned frame by frame by the same with prior_m^2 / 10 in place of the lifter's tau^2 J J', which measured as
  well as the true one, and no worse from a tenth to ten times of it.
  """
  of_pose = 0.1 * problem.prior_m**2 * at.pose @ jnp.swapaxes(at.pose, 1, 2)
  of_pose += at.lengths @ problem.covariance @ jnp.swapaxes(at.lengths, 1, 2)
  inverse, _ = jax.vmap(dense.inverse)(of_pose + jnp.eye(of_pose.shape[1])[None])

  def precondition(rows):
    return jnp.einsum("tmn,tn->tm", inverse, rows)

  def kernel(rows):
    pulled = backward(rows)
    return pulled, problem.tau**2 * forward(pulled) + at.lengths @ of_lengths(rows) + rows

  def iterate(_, carry):
    dual, left, search, product, offsets = carry
    pulled, image = kernel(search)
    length = product / jnp.maximum((search * image).sum(), 1e-20)
    left -= length * image
    near = precondition(left)
    following = (left * near).sum()
    search_next = near + following / jnp.maximum(product, 1e-20) * search
    return dual + length * search, left, search_next, following, offsets + length * pulled

  offsets, image = kernel(dual)
  left = wanted - image
  search = precondition(left)
  start = dual, left, search, (left * search).sum(), offsets
  dual, *_, offsets = jax.lax.fori_loop(0, ITERATIONS, iterate, start)
  return dual, offsets


def length_information(
  problem: Problem, solution: Solution, kernel: Float[Array, "D D"]
) -> tuple[Float[Array, "K K"], Float[Array, " K"]]:
  """What the frames say of the person's lengths, as information: (I, v) with log p = v l - l' I l / 2 + constant.

  kernel: the covariance of the lifter's error of a frame's pose, metres^2, D = 3 J. A body's size is left open, since
  no image tells it: the answer is about proportions, and size is known from the belief alone.
  """
  pose, push = jax.linearize(problem.lift, solution.offsets)
  at = linearise(problem, pose, solution.lengths, solution.place, solution.place)
  moved = jnp.einsum("tmi,ti->tm", at.pose, push(solution.offsets).reshape(len(pose), -1))
  error = at.without_place(at.residuals) - moved
  joints, bones = problem.weight.shape[1], len(problem.bones)

  def frame(pose, basis, certain, error):
    def without(rows):
      return rows - basis @ (basis.T @ rows)

    by_length = jnp.zeros((2 * joints + bones + 3, bones)).at[2 * joints : -3].set(-jnp.diag(certain))
    size = without(by_length @ solution.lengths) * SCALE_SPREAD
    by_length = without(by_length)
    spread = pose @ kernel @ pose.T + jnp.outer(size, size) + jnp.eye(len(error))
    weighted = by_length.T @ dense.inverse(spread)[0]
    information = weighted @ by_length
    return information, information @ solution.lengths - weighted @ error

  information, vector = jax.vmap(frame)(at.pose, at.basis, problem.certain, error)
  return information.sum(0), vector.sum(0)


def observe(
  view: Mapping[str, Any], codec: Codec, noise: Float[Array | np.ndarray, " T"]
) -> tuple[Float[Array, "T J 2"], Float[Array, "T J"], Float[Array, " T"]]:
  """(rays, weight, there) of a window: undistorted rays, 1 / their noise, and which frames hold anything.

  noise: standard deviation of a frame's keypoints, as a share of the rms extent of the person; a joint's is divided
  by its confidence.
  """
  confidence = jnp.asarray(view["confidence"])
  for frames in ("present", "valid"):
    confidence *= view[frames][..., None] if frames in view else 1
  points, present = fill_missing(jnp.asarray(view["keypoints_2d"]), confidence[..., None] > 0, codec.skeleton.root)
  rays = cameras.unproject(points, view["camera"])
  count = jnp.maximum(present.sum(-2, keepdims=True), 1)
  centre = jnp.where(present, rays, 0).sum(-2, keepdims=True) / count
  extent = jnp.sqrt(jnp.where(present, (rays - centre) ** 2, 0).sum((-1, -2)) / (2 * count[..., 0, 0]))
  weight = jnp.clip(confidence, 0, 1) / (noise * jnp.maximum(extent, 1e-3))[..., None]
  return rays, weight, present.any((-1, -2)).astype(jnp.float32)


def lifting(
  lifter: Lifter, codec: Codec, variables: Any, view: Mapping[str, Any]
) -> tuple[Callable[[Array], Array], Any, Callable[[Array], Array]]:
  """(lift, like, outputs): root-relative metres of a window by the offsets of the first layer, their shape, and the
  network's own outputs [T, J, 3]. view: as `evaluate.cut` makes a window, with the network's "inputs"."""
  inputs = view["inputs"][None]
  mask = view["present"][None] if "present" in view else None
  run = functools.partial(lifters.predict, lifter, variables, inputs, mask)
  path, like = first_layer.find(run)
  root = codec.skeleton.root

  def outputs(offsets):
    return first_layer.shifted(run, path, offsets)[0]

  def lift(offsets):
    centred = outputs(offsets).at[:, root].set(0.0)  # as `evaluate.decode_both` takes a prediction
    pose = codec.decode(centred, view["keypoints_2d"], view["camera"], view["confidence"])
    return pose - pose[:, root][:, None]

  return lift, like, outputs
