"""The most likely pose of a window, against the same objective written in NumPy and minimised by SciPy."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize
from scipy.spatial import transform

from jaxpose import skeleton
from jaxpose.adapt import fit
from jaxpose.adapt.fit import Problem
from jaxpose.geometry import camera as cameras
from tests import helpers
from tests.adapt import tiny

H36M = skeleton.get("h36m_17")
BONES = np.array(H36M.bones)
FRAMES, HIDDEN, TAU, PRIOR_M, NOISE = 2, 24, 1.0, 0.15, 0.006
_rng = np.random.default_rng(0)
IN, OUT = np.float32(_rng.normal(size=(HIDDEN, HIDDEN))), np.float32(_rng.normal(size=(HIDDEN, 51)))
OUT[:, :3] = 0  # the root does not move
OUT *= PRIOR_M / (TAU * np.sqrt(((IN / 3 @ OUT[:, 3:]) ** 2).sum(0).mean()))  # what the prior makes of a coordinate


def lift_by(base, scale, offsets):
  """A pose that offsets [T, HIDDEN] bend, by a network of one hidden layer."""
  return base + scale * (jnp.tanh(offsets @ IN / 3) @ OUT).reshape(FRAMES, 17, 3)


def lengths_of(pose):
  return np.linalg.norm(pose[..., BONES[:, 0], :] - pose[..., BONES[:, 1], :], axis=-1)


def problem(base, rays, weight, mean, scale=1.0):
  certain = jnp.tile(1 / (fit.BONE_NOISE * mean), (FRAMES, 1))
  factor = jnp.diag(0.1 * mean) + 0.02 * scale
  covariance = factor @ factor.T
  like = jax.ShapeDtypeStruct((FRAMES, HIDDEN), jnp.float32)
  lift = functools.partial(lift_by, base, scale)
  return Problem(
    lift, like, BONES, rays, weight, certain, mean, covariance, jnp.linalg.inv(covariance), TAU, PRIOR_M * scale
  )


def solved(base, rays, weight, mean, scale=1.0):
  """(solution, first place, objective)."""
  own = problem(base, rays, weight, mean, scale)
  solution, first = fit.solve(own), fit.first_place(own, own.lift(jnp.zeros(own.like.shape)))
  return solution, first, fit.objective(own, first, solution.offsets, solution.lengths, solution.place)


solve = jax.jit(solved)


def people(seed):
  """A true pose [T, 17, 3] and its place [T, 3]: someone standing, turned about any axis, 3 to 7 m away."""
  rng = np.random.default_rng(seed)
  turn = transform.Rotation.random(FRAMES, random_state=seed).as_matrix()
  place = np.stack([*rng.uniform(-0.7, 0.7, (2, FRAMES)), rng.uniform(3, 7, FRAMES)], -1)
  return np.float32(np.einsum("tij,kj->tki", turn, helpers.STANDING)), np.float32(place)


def seen(seed):
  """(base, rays, weight, mean) of a person with other bones than the mean and a lifter that is wrong by 5 cm."""
  rng, (pose, place) = np.random.default_rng(seed + 1), people(seed)
  whole = pose + place[:, None]
  rays = whole[..., :2] / whole[..., 2:] + rng.normal(0, 0.3 * NOISE, (FRAMES, 17, 2))
  weight = np.where(rng.random((FRAMES, 17)) < 0.1, 0, 1 / NOISE)
  base = pose + rng.normal(0, 0.05, pose.shape)
  base -= base[:, :1]
  mean = lengths_of(helpers.STANDING) * rng.uniform(0.9, 1.1, len(BONES))
  return tuple(map(np.float32, (base, rays, weight, mean)))


def rows_of(base, rays, weight, mean, first):
  """Every residual, frame by frame, as a function of offsets, lengths and places, in float64."""
  base, rays, weight, mean, first = (np.float64(x) for x in (base, rays, weight, mean, first))

  def pose_of(offsets):
    return base + (np.tanh(offsets @ np.float64(IN) / 3) @ np.float64(OUT)).reshape(base.shape)

  def rows(pose, lengths, place):
    whole = pose + place[:, None]
    image = (whole[..., :2] / np.maximum(whole[..., 2:], 0.3) - rays) * weight[..., None]
    bones = (lengths_of(pose) - lengths) / (0.03 * mean)
    return np.concatenate([image.reshape(len(pose), -1), bones, 0.01 * (place - first)], -1)

  return pose_of, rows


def split(flat):
  offsets, lengths, place = np.split(flat, [FRAMES * HIDDEN, FRAMES * HIDDEN + len(BONES)])
  return offsets.reshape(FRAMES, HIDDEN), lengths, place.reshape(FRAMES, 3)


def scipys(own, first):
  """(every residual, start, the least sum of squares): of the flat vector of all unknowns, by SciPy."""
  pose_of, rows = rows_of(*own, first)
  mean = np.float64(own[3])
  whiten = np.linalg.inv(np.diag(0.1 * mean) + 0.02)

  def everything(flat):
    offsets, lengths, place = split(flat)
    prior = whiten @ (lengths - mean)
    return np.concatenate([rows(pose_of(offsets), lengths, place).ravel(), offsets.ravel() / TAU, prior])

  start = np.concatenate([np.zeros(FRAMES * HIDDEN), mean, np.ravel(first)])
  reference = optimize.least_squares(everything, start, xtol=1e-12, ftol=1e-12, gtol=1e-12)
  return everything, start, 2 * reference.cost


def flat(solution):
  return np.concatenate([np.ravel(solution.offsets), solution.lengths, np.ravel(solution.place)])


@functools.cache
def patient():
  """The solver with enough steps and iterations to end where nothing is left to gain."""
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(fit, "STEPS", 25)
    patch.setattr(fit, "ITERATIONS", 200)
    return jax.jit(lambda *own: solved(*own)).lower(*seen(0)).compile()  # not what `solve` has traced


@pytest.mark.parametrize("seed", range(4))
def test_enough_steps_end_at_scipys_minimum(seed):
  own = seen(seed)
  solution, first, value = patient()(*own)
  everything, start, least = scipys(own, first)
  np.testing.assert_allclose(value, (everything(flat(solution)) ** 2).sum(), rtol=1e-3)
  assert least < 0.1 * (everything(start) ** 2).sum()
  assert value < 1.01 * least


@pytest.mark.parametrize("seed", range(4))
def test_the_steps_taken_gain_four_fifths_of_what_there_is(seed):
  own = seen(seed)
  solution, first, value = solve(*own)
  everything, start, least = scipys(own, first)
  began = (everything(start) ** 2).sum()
  np.testing.assert_allclose(value, (everything(flat(solution)) ** 2).sum(), rtol=1e-3)
  assert value - least < 0.2 * (began - least)


def test_derivatives_are_finite_differences_and_places_are_projected_out():
  own = seen(7)
  rng = np.random.default_rng(1)
  first = np.float32(people(7)[1])
  lengths = own[3] * np.float32(rng.uniform(0.8, 1.2, len(BONES)))
  pose, place = own[0], first + np.float32([0.1, -0.1, 0.3])
  at = jax.jit(lambda *x: fit.linearise(problem(*own), *x))(pose, lengths, place, first)
  _, rows = rows_of(*own, first)
  values = [np.float64(x) for x in (pose, lengths, place)]
  np.testing.assert_allclose(at.residuals, rows(*values), rtol=1e-4, atol=1e-4)
  numeric = []
  for k, value in enumerate(values):
    flat, columns = value.reshape(len(value), -1) if k != 1 else value[None], []
    for i in range(flat.shape[1]):
      step = np.zeros_like(flat)
      step[:, i] = 1e-6
      moved = [[*values[:k], (flat + s * step).reshape(value.shape), *values[k + 1 :]] for s in (1, -1)]
      columns.append((rows(*moved[0]) - rows(*moved[1])) / 2e-6)
    numeric.append(np.stack(columns, -1))
  by_pose, by_lengths, by_place = numeric
  np.testing.assert_allclose(at.raw[0], by_pose, rtol=1e-3, atol=1e-2)
  np.testing.assert_allclose(at.raw[1], by_lengths, rtol=1e-3, atol=1e-2)
  np.testing.assert_allclose(at.basis @ at.upper, by_place, rtol=1e-3, atol=1e-2)
  for frame in range(FRAMES):  # what is left is orthogonal to every direction of the place
    kept = by_pose[frame] - by_place[frame] @ np.linalg.lstsq(by_place[frame], by_pose[frame], rcond=None)[0]
    np.testing.assert_allclose(at.pose[frame], kept, rtol=1e-3, atol=1e-2)
    np.testing.assert_allclose(by_place[frame].T @ np.float64(at.lengths[frame]), 0, atol=1e-1)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6))
def test_what_is_right_already_stays(seed):
  pose, place = people(seed)
  whole = pose + place[:, None]
  rays, weight = whole[..., :2] / whole[..., 2:], np.full((FRAMES, 17), 1 / NOISE, np.float32)
  solution, _, value = solve(pose, rays, weight, np.float32(lengths_of(helpers.STANDING)))
  assert np.abs(solution.offsets).max() < 1e-3
  np.testing.assert_allclose(solution.lengths, lengths_of(helpers.STANDING), rtol=1e-3)
  np.testing.assert_allclose(solution.place, place, rtol=1e-3, atol=1e-3)
  assert value < 1e-2


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.7, 1.5))
def test_a_giant_far_away_is_a_person_near_by(seed, scale):
  """An image tells no size: all metres times a factor give the same offsets."""
  base, rays, weight, mean = seen(seed)
  one, _, value = solve(base, rays, weight, mean)
  scaled, _, same = solve(np.float32(scale * base), rays, weight, np.float32(scale * mean), np.float32(scale))
  np.testing.assert_allclose(same, value, rtol=1e-2)
  moved = one.offsets - scaled.offsets
  assert np.sqrt((moved**2).mean()) < 0.03 * np.sqrt((one.offsets**2).mean())
  np.testing.assert_allclose(scaled.place, scale * one.place, rtol=0.02, atol=0.02)


def test_a_line_search_never_makes_it_worse():
  for seed in range(10, 16):
    own = list(seen(seed))
    own[0] = own[0][:, ::-1]  # a pose that is all wrong
    own[0] = own[0] - own[0][:, :1]
    solution, first, value = solve(*own)
    now = problem(*own)
    assert np.isfinite(value) and value <= fit.objective(
      now, first, jnp.zeros((FRAMES, HIDDEN)), jnp.asarray(now.mean), first
    )
    assert all(np.isfinite(x).all() for x in solution)


def test_a_frame_tells_proportions_and_no_size():
  own = seen(3)
  kernel = PRIOR_M**2 * jnp.eye(51)

  @jax.jit
  def run(certain):
    now = problem(*own)._replace(certain=certain)
    solution = fit.solve(now)
    return fit.length_information(now, solution, kernel), solution.lengths

  (information, vector), lengths = run(problem(*own).certain)
  information, vector, lengths = (np.float64(x) for x in (information, vector, lengths))
  np.testing.assert_allclose(information, information.T, rtol=1e-2, atol=1)
  values = np.linalg.eigvalsh(information)
  assert values.min() > -1e-3 * values.max() and values.max() > 100
  # Of the size alone, each frame says less than that it is spread by 0.3.
  assert lengths @ information @ lengths < FRAMES / fit.SCALE_SPREAD**2
  assert vector.shape == (len(BONES),)
  (nothing, silent), _ = run(jnp.zeros((FRAMES, len(BONES))))
  np.testing.assert_array_equal(nothing, np.zeros_like(nothing))
  np.testing.assert_array_equal(silent, np.zeros_like(silent))


def test_information_is_that_of_the_marginal_of_a_linear_frame():
  """The frame's pose written out and integrated away in float64: what is left of the lengths is a normal density."""
  own = seen(5)
  mean, now = own[3], problem(*own)
  solution, _, _ = solve(*own)
  pose, lengths, place = (np.asarray(x) for x in (now.lift(solution.offsets), solution.lengths, solution.place))
  (information, vector) = jax.jit(lambda s: fit.length_information(now, s, PRIOR_M**2 * jnp.eye(51)))(solution)
  _, rows = rows_of(*own, place)
  by_pose, by_place = (np.float64(x) for x in jax.jit(_derivatives)(own, pose, lengths, place))
  push = np.float64(jax.jvp(now.lift, (solution.offsets,), (solution.offsets,))[1])
  expected_information, expected_vector = np.zeros((16, 16)), np.zeros(16)
  error, lengths = rows(np.float64(pose), np.float64(lengths), np.float64(place)), np.float64(lengths)
  for t in range(FRAMES):
    # Unknown beside the lengths: pose x ~ N(-push, prior), place p (flat), size s ~ N(0, 0.3^2).
    by_length = np.zeros((53, 16))
    by_length[34:50] = -np.diag(1 / (0.03 * np.float64(mean)))
    columns = np.concatenate([by_pose[t], by_place[t], by_length @ lengths[:, None]], 1)
    precision = np.diag([*np.full(51, PRIOR_M**-2), *np.zeros(3), 0.3**-2])
    inner = columns.T @ columns + precision
    left = np.eye(53) - columns @ np.linalg.solve(inner, columns.T)  # the marginal precision of the rows
    target = by_length @ lengths - (error[t] - by_pose[t] @ push[t].ravel())
    expected_information += by_length.T @ left @ by_length
    expected_vector += by_length.T @ left @ target
  np.testing.assert_allclose(information, expected_information, rtol=0.01, atol=0.01 * expected_information.max())
  np.testing.assert_allclose(vector, expected_vector, rtol=0.01, atol=0.01 * np.abs(expected_vector).max())


def _derivatives(own, pose, lengths, place):
  at = fit.linearise(problem(*own), pose, lengths, place, place)
  return at.raw[0], at.basis @ at.upper


def view(confidence, present=None):
  clip = helpers.clip(3, camera=cameras.create((1100.0, 1200.0), (500.0, 510.0), (1000, 1000)))
  seen = {"keypoints_2d": clip.keypoints_2d, "confidence": np.float32(confidence), "camera": clip.camera}
  return clip, {**seen, **({} if present is None else {"present": np.array(present)})}


def test_a_keypoints_noise_is_a_share_of_what_the_person_spans():
  confidence = np.random.default_rng(0).uniform(0.2, 1.0, (3, 17))
  confidence[0, 5] = confidence[1] = 0
  clip, own = view(confidence)
  rays, weight, there = fit.observe(own, tiny.CODEC, np.full(3, 0.05, np.float32))
  expected = (clip.keypoints_2d - np.float32([500, 510])) / np.float32([1100, 1200])
  for t, joints in ((0, [j for j in range(17) if j != 5]), (2, list(range(17)))):
    np.testing.assert_allclose(rays[t, joints], expected[t, joints], atol=1e-5)
    points = expected[t, joints]
    extent = np.sqrt(((points - points.mean(0)) ** 2).mean())
    np.testing.assert_allclose(weight[t, joints], confidence[t, joints] / (0.05 * extent), rtol=1e-4)
  assert weight[0, 5] == 0 and not np.any(weight[1]) and np.isfinite(weight).all()
  np.testing.assert_array_equal(there, [1, 0, 1])
  _, filling = view(np.ones((3, 17)), present=[True, True, False])
  assert fit.observe(filling, tiny.CODEC, np.full(3, 0.05, np.float32))[2].tolist() == [1, 1, 0]
