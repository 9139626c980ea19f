"""Solvers against known orders and an analytic posterior, aggregation by hand, guidance that explains the keypoints."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxpose import codec as codecs
from jaxpose import evaluate, metrics_many
from jaxpose.adapt import person
from jaxpose.geometry import camera as cameras
from jaxpose.graphs import graph as graphs
from jaxpose.graphs import hypotheses as many
from jaxpose.sampling import aggregate, guidance, solvers
from tests import helpers

SKELETON = helpers.clip().skeleton
CODEC = codecs.build("root_rms", SKELETON)
MOVES = np.float32(np.arange(17) != SKELETON.root)[None, :, None]


@pytest.mark.parametrize(("solver", "order"), [("euler", 1), ("midpoint", 2), ("heun", 2)])
def test_the_order_of_a_solver_is_the_slope_of_its_error(solver, order):
  """dy/dt = y + t, y(0) = 1, has y(1) = 2 e - 2."""
  run = lambda steps: solvers.integrate(lambda y, t: y + t, jnp.ones(()), steps=steps, solver=solver)  # noqa: E731
  errors = [abs(float(run(n)) - (2 * np.e - 2)) for n in (4, 8, 16)]
  slopes = np.log2(np.array(errors[:-1]) / errors[1:])
  assert np.abs(slopes - order).max() < 0.35
  for bad in (dict(steps=0), dict(steps=1, solver="rk4")):
    with pytest.raises(ValueError, match="steps=0|solver='rk4'"):
      solvers.integrate(lambda y, t: y, jnp.ones(()), **bad)


@functools.cache
def posterior():
  """(mean [48], covariance [48, 48]) of 16 joints in metres, and the exact velocity of the flow that leads there.

  The pair (x_0, x_t) of x_t = (1 - t) x_0 + t x_1 is normal: E[x_1 - x_0 | x_t] =
  m + (t S - (1 - t) I) ((1 - t)^2 I + t^2 S)^-1 (x_t - t m).
  """
  rng = np.random.default_rng(0)
  mean = (helpers.STANDING - helpers.STANDING[:1])[1:].reshape(-1).astype(np.float64)
  factors = rng.normal(0, 0.03, (48, 6))
  covariance = factors @ factors.T + 0.02**2 * np.eye(48)
  return mean, covariance


def exact(std, variables, seen, pose, time, mask):
  """The velocity of the posterior, in units of std, for each row [T = 1]."""
  mean, covariance = (jnp.asarray(x, jnp.float32) for x in (posterior()[0] / std, posterior()[1] / std**2))
  t, identity = time[0], jnp.eye(48)
  inverse = jnp.linalg.inv((1 - t) ** 2 * identity + t**2 * covariance)
  flat = pose[..., 1:, :].reshape(-1, 48) - t * mean[None]
  field = mean[None] + flat @ (inverse @ (t * covariance - (1 - t) * identity))
  return jnp.concatenate([jnp.zeros_like(pose[..., :1, :]), field.reshape(*pose.shape[:-2], 16, 3)], -2)


def test_samples_are_those_of_an_analytic_posterior():
  """Mean within 1 %, covariance within 5 %, calibration error at most 0.02, for truths drawn from it, too."""
  mean, covariance = posterior()
  graph = many.hypotheses(CODEC, functools.partial(exact, 0.25), std=0.25, count=20_000, steps=40)
  arrays = graphs.arrays_of({**_batch(helpers.clip(1)), "seed": graphs.seeds(1)})
  sampled = np.asarray(graphs.call(graph, {}, **arrays)["hypotheses"])[0, :, 0, 1:].reshape(-1, 48).astype(np.float64)
  assert np.linalg.norm(sampled.mean(0) - mean) < 0.01 * np.linalg.norm(mean)
  assert np.linalg.norm(np.cov(sampled.T) - covariance) < 0.05 * np.linalg.norm(covariance)
  truth = np.random.default_rng(1).multivariate_normal(mean, covariance, 4000).reshape(-1, 16, 3)
  chosen = np.random.default_rng(2).integers(0, len(sampled), (200, 4000))  # 200 for each truth
  drawn = sampled[chosen].reshape(200, 4000, 16, 3)
  assert metrics_many.calibration_error(metrics_many.ranks(drawn, truth)) < 0.02
  narrow = metrics_many.ranks(mean.reshape(16, 3) + 0.5 * (drawn - mean.reshape(16, 3)), truth)
  assert metrics_many.calibration_error(narrow) > 0.1


def _batch(clip):
  return evaluate.cut([clip]).batch


def hypotheses(count=12, frames=2, seed=0):
  """Poses about a true one before the camera, with what the camera sees of it: (hypotheses, truth, rays, place)."""
  clip = helpers.clip(frames, seed=seed)
  pose = np.asarray(clip.joints_3d - clip.joints_3d[:, :1])
  rng = np.random.default_rng(seed)
  noise = rng.normal(0, 0.1, (count, *pose.shape)).astype(np.float32)
  noise[:, :, 0] = 0
  rays = np.asarray(cameras.unproject(clip.keypoints_2d, clip.camera))
  return jnp.asarray(pose[None] + noise), pose, jnp.asarray(rays), jnp.asarray(clip.joints_3d[:, 0])


def test_medoid_is_the_hypothesis_nearest_to_all():
  poses, *_ = hypotheses()
  found = np.asarray(aggregate.medoid(poses))
  total = np.linalg.norm(np.asarray(poses)[:, None] - np.asarray(poses)[None], axis=-1).mean(-1).sum(1)
  for frame in range(2):
    np.testing.assert_array_equal(found[frame], np.asarray(poses)[total[:, frame].argmin(), frame])


@pytest.mark.parametrize("oracle", [False, True])
def test_rpea_weighs_each_joint_by_its_reprojection(oracle):
  poses, truth, rays, place = hypotheses()
  present = jnp.ones(truth.shape[:-1], bool).at[0, 5].set(False)
  scale = jnp.full((2, 1), 2.2)
  root = {"root": place} if oracle else {}
  found = np.asarray(aggregate.rpea(poses, rays, scale, present, **root, top=3, temperature=0.01))
  expected = np.zeros_like(truth)
  for frame in range(2):
    for joint in range(17):
      errors = []
      for pose in np.asarray(poses)[:, frame].astype(np.float64):
        where = np.asarray(place[frame]) if oracle else _place(pose, np.asarray(rays[frame]), present[frame])
        seen = pose + where
        errors.append(2.2 * np.linalg.norm(seen[joint, :2] / seen[joint, 2] - rays[frame, joint]))
      errors = np.array(errors) if present[frame, joint] else np.zeros(12)
      best = np.argsort(errors)[:3] if present[frame, joint] else np.arange(12)
      weights = np.exp(-errors[best] / 0.01)
      expected[frame, joint] = (weights / weights.sum()) @ np.asarray(poses)[best, frame, joint]
  np.testing.assert_allclose(found, expected, atol=2e-4)
  plain = np.asarray(aggregate.mean(poses))
  near = lambda x: np.linalg.norm(x - truth, axis=-1)[np.asarray(present)].mean()  # noqa: E731
  assert near(found) < near(np.asarray(poses)[0]) and np.abs(found - plain).max() > 1e-3


def _place(pose, rays, present):
  """The least-squares place by NumPy: x + tx - rx (z + tz) = 0 for each joint that is present."""
  kept = np.asarray(present)
  rows, right = [], []
  for (x, y, z), (rx, ry) in zip(pose[kept], np.asarray(rays, np.float64)[kept]):
    rows += [[1, 0, -rx], [0, 1, -ry]]
    right += [rx * z - x, ry * z - y]
  return np.linalg.lstsq(np.array(rows), np.array(right), rcond=None)[0]


def guide(where):
  lengths = np.asarray(helpers.statistics()["bone_lengths_m"])
  return guidance.Guide(where, person.prior(SKELETON, lengths))


def test_guidance_leads_a_wrong_pose_to_one_that_explains_the_keypoints():
  poses, truth, rays, _ = hypotheses(count=1, frames=1)
  clip = helpers.clip(1)
  view = dict(keypoints_2d=jnp.asarray(clip.keypoints_2d), confidence=jnp.asarray(clip.confidence), camera=clip.camera)
  run = jax.jit(
    lambda pose: pose + guidance.offsets(lambda move: pose + MOVES * move, view, CODEC, guide("after"), 1.0)
  )
  moved = np.asarray(run(poses[0]))
  off = lambda x: np.linalg.norm(_shown(x) - np.asarray(rays[0]), axis=-1).mean()  # noqa: E731
  assert off(moved[0]) < 0.5 * off(np.asarray(poses)[0, 0])
  assert np.linalg.norm(moved - truth, axis=-1).mean() < np.linalg.norm(np.asarray(poses)[0] - truth, axis=-1).mean()
  assert not moved[:, SKELETON.root].any()


def _shown(pose):
  rays = np.asarray(hypotheses(count=1, frames=1)[2][0])
  seen = pose + _place(pose, rays, np.ones(17, bool))
  return seen[:, :2] / seen[:, 2:]


@pytest.mark.parametrize("where", guidance.WHERE)
def test_a_guided_flow_explains_the_keypoints_better(where):
  arrays = graphs.arrays_of({**_batch(helpers.clip(1)), "seed": graphs.seeds(1)})
  build = functools.partial(many.hypotheses, CODEC, functools.partial(exact, 0.25), std=0.25, count=4, steps=3)
  drawn = lambda graph: np.asarray(graphs.call(graph, {}, **arrays)["hypotheses"])[0, :, 0]  # noqa: E731
  plain, guided = drawn(build()), drawn(build(guide=guide(where)))
  rays = np.asarray(hypotheses(count=1, frames=1)[2][0])
  off = lambda poses: np.mean([np.linalg.norm(_shown(p) - rays, axis=-1).mean() for p in poses])  # noqa: E731
  assert off(guided) < 0.5 * off(plain)
  assert not guided[:, SKELETON.root].any()


def test_unknown_rules_and_places_are_named():
  graph = many.hypotheses(CODEC, functools.partial(exact, 0.25), std=0.25)
  with pytest.raises(ValueError, match="rule='best', expected one of mean, medoid, rpea, rpea_oracle_root"):
    many.aggregated(graph, "best")
  with pytest.raises(ValueError, match="count=0 and std=0.25 must be positive"):
    many.hypotheses(CODEC, exact, std=0.25, count=0)
