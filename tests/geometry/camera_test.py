"""The camera model: the golden Human3.6M camera, NumPy, round trips, and batching of the fields."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from jaxpose.geometry import camera, rotation
from tests import numpy_reference as reference

GOLDEN = np.load(pathlib.Path(__file__).parents[1] / "golden" / "h36m_camera.npz")

# Compiled once each: op by op, the examples would compile every primitive.
project = jax.jit(camera.project, static_argnames="distortion")
unproject = jax.jit(camera.unproject, static_argnames="distortion")
world_to_camera = jax.jit(camera.world_to_camera)
camera_to_world = jax.jit(camera.camera_to_world)


def golden_camera():
  """The recorded camera; its quaternion turns camera axes into the world's, and its place is given in the world."""
  fx, fy, cx, cy, k1, k2, k3, p1, p2 = GOLDEN["intrinsics_fx_fy_cx_cy_k1_k2_k3_p1_p2"]
  matrix = np.asarray(rotation.from_quaternion(GOLDEN["orientation_wxyz"])).T
  return camera.create(
    (fx, fy), (cx, cy), GOLDEN["resolution_wh"], (k1, k2, k3), (p1, p2), matrix, GOLDEN["translation_m"]
  )


def random_points(seed, shape=(6, 17), spread=0.4):
  """Camera-space points whose rays stay within +-`spread`, 1 to 8 metres away."""
  rng = np.random.default_rng(seed)
  z = rng.uniform(1, 8, (*shape, 1))
  return np.concatenate([rng.uniform(-spread, spread, (*shape, 2)) * z, z], -1).astype(np.float32)


def random_camera(seed):
  rng = np.random.default_rng(seed)
  return camera.create(
    rng.uniform(800, 2000, 2),
    rng.uniform(400, 600, 2),
    (1000, 1002),
    radial=rng.uniform(-0.25, 0.25, 3),
    tangential=rng.uniform(-0.003, 0.003, 2),
    rotation=Rotation.from_quat(rng.normal(size=4)).as_matrix(),
    position=rng.uniform(-5, 5, 3),
  )


def test_golden_world_to_camera_to_pixels():
  cam = golden_camera()
  points = world_to_camera(GOLDEN["world_m"], cam)
  np.testing.assert_allclose(points, GOLDEN["camera_m"], atol=1e-5)
  np.testing.assert_allclose(project(GOLDEN["camera_m"], cam), GOLDEN["pixels"], rtol=1e-5)
  np.testing.assert_allclose(project(GOLDEN["camera_m"], cam, distortion=False), GOLDEN["pixels_linear"], rtol=1e-5)


def test_golden_camera_to_world_and_back_to_rays():
  cam = golden_camera()
  np.testing.assert_allclose(camera_to_world(GOLDEN["camera_m"], cam), GOLDEN["world_m"], atol=1e-5)
  rays = GOLDEN["camera_m"][..., :2] / GOLDEN["camera_m"][..., 2:]
  np.testing.assert_allclose(unproject(GOLDEN["pixels"], cam), rays, atol=2e-6)
  np.testing.assert_allclose(unproject(GOLDEN["pixels_linear"], cam, distortion=False), rays, atol=2e-6)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_project_equals_numpy(seed):
  cam, points = random_camera(seed), random_points(seed)
  expected = reference.project(points, cam.focal, cam.center, cam.radial, cam.tangential)
  np.testing.assert_allclose(project(points, cam), expected, rtol=1e-6, atol=2e-4)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_unproject_undoes_project(seed, distortion):
  cam, points = random_camera(seed), random_points(seed)
  rays = unproject(project(points, cam, distortion=distortion), cam, distortion=distortion)
  np.testing.assert_allclose(rays, points[..., :2] / points[..., 2:], atol=2e-6)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_camera_to_world_undoes_world_to_camera(seed):
  cam, points = random_camera(seed), random_points(seed)
  there = world_to_camera(points, cam)
  expected = points @ cam.rotation.astype(np.float64).T + cam.translation
  np.testing.assert_allclose(there, expected, atol=1e-5)
  np.testing.assert_allclose(camera_to_world(there, cam), points, atol=1e-5)


def test_the_cameras_own_place_is_the_origin_of_its_space():
  position = np.float32([1, -2, 3])
  cam = camera.create((1, 1), (0, 0), (2, 2), rotation=Rotation.from_rotvec([1, 2, 3]).as_matrix(), position=position)
  np.testing.assert_allclose(camera.world_to_camera(position, cam), np.zeros(3), atol=1e-6)


def test_a_batch_of_cameras_equals_each_alone():
  cameras = [random_camera(s) for s in range(4)]
  batch = jax.tree.map(lambda *fields: np.stack(fields), *cameras)
  points = random_points(9, (4, 3, 5))
  for function in (project, world_to_camera, camera_to_world):
    alone = np.stack([function(p, c) for p, c in zip(points, cameras)])
    np.testing.assert_allclose(function(points, batch), alone, rtol=1e-5, atol=1e-5)
  pixels = project(points, batch)
  alone = np.stack([unproject(p, c) for p, c in zip(pixels, cameras)])
  np.testing.assert_allclose(unproject(pixels, batch), alone, atol=1e-6)


@pytest.mark.parametrize("distortion", [True, False])
def test_numpy_arrays_are_accepted(distortion):
  cam, points = random_camera(1), random_points(1)
  pixels = np.asarray(camera.project(points, cam, distortion))
  rays = camera.unproject(pixels, cam, distortion)
  np.testing.assert_allclose(rays, points[..., :2] / points[..., 2:], atol=2e-6)


OPENCV = np.load(pathlib.Path(__file__).parents[1] / "golden" / "opencv_camera.npz")  # of its projectPoints, 5.0


def opencv_camera(i):
  return camera.from_opencv(*(OPENCV[key][i] for key in ("matrix", "distortion")), OPENCV["size"], *pose(i))


def pose(i):
  return OPENCV["rotation"][i], OPENCV["translation"][i]


@pytest.mark.parametrize("i", range(len(OPENCV["matrix"])))
def test_golden_opencv(i):
  cam = opencv_camera(i)
  points = world_to_camera(OPENCV["world_m"][i].astype(np.float32), cam)
  np.testing.assert_allclose(project(points, cam), OPENCV["pixels"][i], atol=2e-3)
  np.testing.assert_allclose(unproject(OPENCV["pixels"][i].astype(np.float32), cam), OPENCV["rays"][i], atol=5e-6)


def random_opencv(seed):
  rng = np.random.default_rng(seed)
  focal, center = rng.uniform(1000, 2000, 2), rng.uniform(400, 600, 2)
  distortion = rng.uniform(-1, 1, 5) * [0.2, 0.2, 0.003, 0.003, 0.1]
  return np.array([[focal[0], 0, center[0]], [0, focal[1], center[1]], [0, 0, 1]]), distortion


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_opencvs_lens_equals_numpy_and_is_undone(seed):
  (matrix, distortion), points = random_opencv(seed), random_points(seed)
  cam = camera.from_opencv(matrix, distortion, (1000, 1002))
  pixels = project(points, cam)
  np.testing.assert_allclose(pixels, reference.project_opencv(points, matrix, distortion), rtol=1e-6, atol=3e-4)
  np.testing.assert_allclose(unproject(pixels, cam), points[..., :2] / points[..., 2:], atol=2e-6)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_lenses_of_both_formulas_make_one_batch(seed):
  cameras = [random_camera(seed), camera.from_opencv(*random_opencv(seed), (1000, 1000)), random_camera(seed + 1)]
  batch, points = jax.tree.map(lambda *fields: np.stack(fields), *cameras), random_points(seed, (3, 2, 5))
  alone = np.stack([project(p, c) for p, c in zip(points, cameras)])
  np.testing.assert_allclose(project(points, batch), alone, rtol=1e-5, atol=1e-4)
  np.testing.assert_allclose(jax.vmap(camera.project)(points, batch), alone, rtol=1e-5, atol=1e-4)
  rays = np.stack([unproject(p, c) for p, c in zip(alone, cameras)])
  np.testing.assert_allclose(jax.vmap(camera.unproject)(alone, batch), rays, atol=2e-6)
  np.testing.assert_allclose(rays, points[..., :2] / points[..., 2:], atol=2e-6)


LENS = (-0.2, 0.05, 1e-3, -1e-3, 0.0)
BAD_OPENCV = {
  "skew": ([[1000, 5, 500], [0, 1000, 500], [0, 0, 1]], LENS, "camera matrix"),
  "focal": ([[-1000, 0, 500], [0, 1000, 500], [0, 0, 1]], LENS, "camera matrix"),
  "shape": (np.eye(2), LENS, "camera matrix"),
  "rational": (np.diag([1000, 1000, 1]), (*LENS, 0.1, 0, 0), "expected k1 k2 p1 p2"),
  "short": (np.diag([1000, 1000, 1]), LENS[:3], "expected k1 k2 p1 p2"),
  "folded": ([[1000, 0, 500], [0, 1000, 500], [0, 0, 1]], (-2.0, 0, 0, 0), "at the sides"),
}


@pytest.mark.parametrize("name", BAD_OPENCV)
def test_calibrations_that_are_not_modelled_are_refused(name):
  matrix, distortion, message = BAD_OPENCV[name]
  with pytest.raises(ValueError, match=message):
    camera.from_opencv(matrix, distortion, (1000, 1000))


def test_coefficients_that_opencv_leaves_out_are_zeros():
  four = camera.from_opencv(np.diag([1000, 1000, 1]), LENS[:4], (100, 100))
  for more in (LENS, (*LENS, 0, 0, 0)):
    for one, other in zip(four, camera.from_opencv(np.diag([1000, 1000, 1]), more, (100, 100))):
      np.testing.assert_array_equal(one, other)


def test_opencvs_lens_may_see_more_than_45_degrees():
  wide = camera.from_opencv([[400, 0, 500], [0, 400, 500], [0, 0, 1]], LENS, (1000, 1000))
  points = np.float32([[1.3, 0.4, 1], [-0.2, -1.4, 1]])
  pixels = project(points, wide)
  np.testing.assert_allclose(
    pixels, reference.project_opencv(points, [[400, 0, 500], [0, 400, 500], [0, 0, 1]], LENS), rtol=1e-5
  )
  np.testing.assert_allclose(unproject(pixels, wide), points[:, :2], atol=1e-5)
  assert np.isfinite(unproject(np.float32([[1e5, -1e5]]), wide)).all()


def test_a_distorting_lens_is_bounded_to_its_field_of_view_and_a_pinhole_is_not():
  pinhole = camera.create((500, 500), (500, 500), (1000, 1000))
  wide = np.float32([[3, -2, 1], [0.5, 0.2, 1]])
  np.testing.assert_allclose(project(wide, pinhole), [[2000, -500], [750, 600]], rtol=1e-6)
  np.testing.assert_allclose(unproject(project(wide, pinhole), pinhole), wide[:, :2], rtol=1e-6)
  lens = pinhole._replace(radial=np.float32([-0.2, 0.25, 0]))
  np.testing.assert_allclose(project(wide, lens)[0], project(np.float32([1, -1, 1]), lens), rtol=1e-6)


def test_projection_has_finite_gradients():
  cam, points = random_camera(2), jnp.asarray(random_points(2))
  gradient = jax.jit(jax.grad(lambda p: jnp.sum(camera.unproject(camera.project(p, cam), cam) ** 2)))(points)
  assert np.isfinite(gradient).all()
