"""Root placement: each closed form against a solver, exact where it claims to be."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxpose.geometry import placement

by_boxes, by_rays = jax.jit(placement.place_by_boxes), jax.jit(placement.place_by_rays)
seeds = st.integers(0, 2**32 - 1)


def body(seed, flat=False):
  """Root-relative poses [4, 17, 3] of about a metre, and where they stand [4, 3]."""
  rng = np.random.default_rng(seed)
  pose = rng.uniform([-0.5, -0.9, -0.4], [0.5, 0.9, 0.4], (4, 17, 3))
  pose -= pose[:, :1]
  if flat:
    pose[..., 2] = 0
  return pose, rng.uniform([-2, -1, 2.5], [2, 1, 30], (4, 3))


def rays_of(pose, place):
  absolute = pose + place[:, None]
  return absolute[..., :2] / absolute[..., 2:]


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_boxes_place_a_body_parallel_to_the_image_exactly(seed):
  pose, place = body(seed, flat=True)
  np.testing.assert_allclose(by_boxes(pose, rays_of(pose, place)), place, rtol=1e-4, atol=1e-4)
  # The formula as published, in pixels of a camera with f_x unlike f_y and a shifted centre.
  focal = np.float32([[1100.0, 1300.0]] * 4)
  pixels = rays_of(pose, place) * focal[:, None] + 500
  width, height = np.moveaxis(pixels.max(1) - pixels.min(1), -1, 0)
  d_x, d_y = np.moveaxis(np.ptp(pose, axis=1)[:, :2], -1, 0)
  depth = (focal[:, 0] * d_x + focal[:, 1] * d_y) / (2 * ((width + height) / 2))
  np.testing.assert_allclose(placement.place_by_boxes(pose, rays_of(pose, place), None, focal)[:, 2], depth, rtol=1e-4)
  np.testing.assert_allclose(placement.mean_side(rays_of(pose, place), None, focal), (width + height) / 2, rtol=1e-4)


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_boxes_err_by_body_depth_over_distance(seed):
  pose, place = body(seed)
  place[:, :2] *= 0.1
  half = np.abs(pose[..., 2]).max()
  for distance in (10.0, 1000.0):
    far = place * np.array([1, 1, 0]) + np.array([0, 0, distance])
    found = np.asarray(by_boxes(pose, rays_of(pose, far)), np.float64)
    assert (np.abs(found[:, 2] / distance - 1) <= 2 * half / distance + 1e-4).all()


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_rays_of_the_pose_itself_give_its_place(seed):
  pose, place = body(seed)
  np.testing.assert_allclose(by_rays(pose, rays_of(pose, place)), place, rtol=2e-3, atol=2e-3)


def test_noisy_rays_are_solved_by_least_squares():
  pose, place = body(3)
  rng = np.random.default_rng(0)
  rays = rays_of(pose, place) + rng.normal(0, 0.01, (4, 17, 2))
  present = rng.random((4, 17)) < 0.8
  spoilt = np.where(present[..., None], rays, np.float64(7.0))
  expected = []
  for p, r, seen in zip(pose, rays, present):
    # x - r_x z = r_x Z - X and the same of y, stacked over the joints that are seen.
    rows, right = [], []
    for joint in np.flatnonzero(seen):
      for axis in range(2):
        row = np.zeros(3)
        row[axis], row[2] = 1, -r[joint, axis]
        rows.append(row)
        right.append(r[joint, axis] * p[joint, 2] - p[joint, axis])
    expected.append(np.linalg.lstsq(np.array(rows), np.array(right), rcond=None)[0])
  np.testing.assert_allclose(by_rays(pose, spoilt, present), expected, rtol=1e-3, atol=1e-3)


def test_missing_joints_have_no_say_in_a_box():
  pose, place = body(1, flat=True)
  rays = rays_of(pose, place)
  present = np.ones((4, 17), bool)
  present[:, 5] = False
  spoilt = rays.copy()
  spoilt[:, 5] = np.nan
  np.testing.assert_allclose(by_boxes(pose, spoilt, present), place, rtol=1e-4, atol=1e-4)


def test_another_bodys_box_is_taken_over():
  pose, _ = body(4, flat=True)
  other, place = body(5, flat=True)
  box = placement.boxes(rays_of(other, place))
  moved = rays_of(pose, np.asarray(placement.place_in_box(pose, box), np.float64))
  np.testing.assert_allclose(placement.boxes(moved), box, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("place", [placement.place_by_boxes, placement.place_by_rays])
def test_gradients_are_finite_also_for_a_body_on_one_ray(place):
  pose, stands = body(2)
  for rays in (rays_of(pose, stands), np.zeros((4, 17, 2))):
    grads = jax.jit(jax.grad(lambda p, r: place(p, r).sum() / 1e12, argnums=(0, 1)))(
      jnp.asarray(pose), jnp.asarray(rays)
    )
    assert all(np.isfinite(g).all() for g in grads)
