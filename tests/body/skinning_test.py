"""Skinning against an independent float64 implementation, and the properties that it has by definition."""

import dataclasses
import functools

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_builders import body_fixture
from jaxpose import skeleton
from jaxpose.body import model as models
from jaxpose.body import regressor as regressors
from jaxpose.body import skinning
from tests.body import lbs_reference

SMPL = skeleton.get("smpl_24")
FRAMES = 6


@functools.cache
def body(kind="smpl"):
  """The arrays of a model's file, and the model of them."""
  arrays = body_fixture.make(kind).arrays
  return arrays, models.from_arrays(arrays, kind)


@functools.cache
def rigid():
  """A model whose vertices follow one joint each, without pose blend shapes; and that joint, [V]."""
  _, model = body()
  weights = np.eye(24, dtype=np.float32)[model.weights.argmax(1)]
  return dataclasses.replace(model, weights=weights, pose_dirs=np.zeros_like(model.pose_dirs)), weights.argmax(1)


def parameters(model, frames=FRAMES, seed=0, dtype=np.float32):
  """Poses of any angle up to pi, shapes and translations."""
  rng = np.random.default_rng(seed)
  axis = rng.normal(0, 1, (frames, model.num_joints, 3))
  axis *= rng.uniform(0, np.pi, axis.shape[:2])[..., None] / np.linalg.norm(axis, axis=-1, keepdims=True)
  betas, translation = rng.normal(0, 1, model.num_betas), rng.normal(0, 1, (frames, 3))
  return axis.astype(dtype), betas.astype(dtype), translation.astype(dtype)


def still(model):
  return np.zeros((FRAMES, model.num_joints, 3), np.float32), np.zeros(model.num_betas, np.float32)


def test_the_rest_pose_is_the_template():
  arrays, model = body()
  pose, betas = still(model)
  posed = skinning.skin_frames(model, pose, betas, np.zeros((FRAMES, 3), np.float32))
  np.testing.assert_allclose(posed.vertices, np.tile(arrays["v_template"], (FRAMES, 1, 1)), atol=2e-7)
  rest = arrays["J_regressor"] @ arrays["v_template"]
  np.testing.assert_allclose(posed.joints, np.tile(rest, (FRAMES, 1, 1)), atol=2e-7)


@pytest.mark.parametrize("kind", ["smpl", "smplx"])
def test_agrees_with_the_reference_to_a_micrometre(kind):
  arrays, model = body(kind)
  assert model.num_joints == {"smpl": 24, "smplx": 55}[kind]
  with jax.enable_x64(True):
    model = models.from_arrays(arrays, kind, np.float64)
    pose, betas, translation = parameters(model, dtype=np.float64)
    posed = skinning.skin_frames(model, pose, betas, translation)
    expected = [lbs_reference.skin(arrays, p, betas, t) for p, t in zip(pose, translation)]
    for made, wanted in zip(posed, zip(*expected)):
      assert made.dtype == np.float64
      np.testing.assert_allclose(made, np.array(wanted), rtol=0, atol=1e-12)
  # In float32 too, although every joint is turned by up to pi, eight matrix products deep.
  single = skinning.skin_frames(body(kind)[1], *(x.astype(np.float32) for x in (pose, betas, translation)))
  for made, wanted in zip(single, zip(*expected)):
    assert made.dtype == np.float32
    np.testing.assert_allclose(made, np.array(wanted), rtol=0, atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 23), st.tuples(*[st.floats(-3, 3, width=32)] * 3))
def test_turning_a_joint_moves_its_subtree_rigidly_and_nothing_else(joint, vector):
  model, follows = rigid()
  pose, betas = still(model)
  pose[:, joint] = vector
  posed = skinning.skin_frames(model, pose, betas, np.zeros((FRAMES, 3), np.float32))
  below = [j for j in range(24) if joint in ancestors(j)]
  moves = np.isin(follows, below)
  rest = np.asarray(model.template, np.float64)
  np.testing.assert_allclose(posed.vertices[0][~moves], rest[~moves], rtol=0, atol=1e-6)
  center = np.asarray(model.rest_joints, np.float64)[joint]
  expected = (rest[moves] - center) @ lbs_reference.rodrigues(np.array(vector, np.float64)).T + center
  np.testing.assert_allclose(posed.vertices[0][moves], expected, rtol=0, atol=1e-6)


def ancestors(joint):
  return [] if joint < 0 else [joint, *ancestors(SMPL.parents[joint])]


def test_the_translation_comes_last_and_is_not_the_pelvis():
  _, model = body()
  pose, betas, translation = parameters(model)
  posed = skinning.skin_frames(model, pose, betas, translation)
  unmoved = skinning.skin_frames(model, pose, betas, np.zeros_like(translation))
  np.testing.assert_allclose(posed.vertices - unmoved.vertices, np.tile(translation[:, None], (1, 324, 1)), atol=1e-6)
  pelvis = model.rest_joints[0] + model.rest_joint_dirs[0] @ betas
  np.testing.assert_allclose(posed.joints[:, 0], pelvis + translation, atol=1e-6)
  assert np.linalg.norm(pelvis) > 0.1


@pytest.mark.parametrize("frames", [1, 4, 7])
def test_chunks_and_the_vertices_that_are_left_out_change_nothing(frames):
  arrays, model = body()
  ordered = regressors.ordered(body_fixture.make("smpl").h36m, model)
  small, matrix = regressors.restrict(model, ordered)
  assert len(small.template) < 0.5 * len(model.template)
  pose, betas, translation = parameters(model, frames)
  joints = skinning.regress(small, matrix, pose, betas, translation, chunk=4)
  assert joints.shape == (frames, 17, 3) and joints.dtype == np.float32
  for frame in range(frames):
    vertices, _ = lbs_reference.skin(arrays, pose[frame], betas, 0)
    np.testing.assert_allclose(joints[frame], ordered.matrix @ vertices + translation[frame], rtol=0, atol=1e-6)


def test_rows_that_do_not_sum_to_one_do_not_shrink_the_translation():
  _, model = body()
  ordered = regressors.ordered(body_fixture.make("smpl").h36m, model)
  np.testing.assert_allclose(ordered.matrix.sum(1), 0.9999, rtol=1e-6)
  small, matrix = regressors.restrict(model, ordered)
  pose, betas, _ = parameters(model)
  near, far = (
    skinning.regress(small, matrix, pose, betas, np.full((FRAMES, 3), x, np.float32), chunk=4) for x in (0, 64)
  )
  np.testing.assert_allclose(far - near, 64, rtol=0, atol=1e-5)  # 6.4 mm less if the rows had their way
