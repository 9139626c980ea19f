"""Crops as cameras: keypoints, joints, pixels and the world agree after any crop, roll, zoom and mirror."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxpose import skeleton as skeletons
from jaxpose.data import crop, transforms
from jaxpose.geometry import camera as cameras
from jaxpose.geometry import pixels

COCO = skeletons.get("coco_17")
DISTORTED = cameras.create((1145.0, 1143.8), (512.5, 515.5), (1000, 1002), (-0.2, 0.25, -0.003), (-0.001, -0.0014))


def _batched(camera, count):
  return cameras.Camera(*(np.broadcast_to(f, (count, *np.shape(f))) for f in camera))


def _batch(count, seed, distorted):
  """People anywhere in the image of a camera that stands anywhere, and where in the world they are."""
  rng = np.random.default_rng(seed)
  turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
  turn *= np.linalg.det(turn)
  lens = DISTORTED if distorted else cameras.create((1145, 1143.8), (512.5, 515.5), (1000, 1002))
  camera = lens._replace(rotation=turn.astype(np.float32), translation=rng.normal(size=3).astype(np.float32))
  camera = _batched(camera, count)
  root = np.concatenate([rng.uniform(-1.2, 1.2, (count, 1, 1, 2)), rng.uniform(3.5, 7, (count, 1, 1, 1))], -1)
  joints = (root + rng.normal(0, 0.25, (count, 1, 17, 3))).astype(np.float32)
  return {
    "keypoints_2d": np.asarray(cameras.project(joints, camera)),
    "confidence": np.ones((count, 1, 17), np.float32),
    "joints_3d": joints,
    "valid": np.ones((count, 1), bool),
    "camera": camera,
  }


def _views(count, seed):
  rng = np.random.default_rng(seed)
  middle = rng.uniform(-0.35, 0.35, (count, 2)).astype(np.float32)
  return middle, rng.uniform(200, 900, count).astype(np.float32), rng.uniform(-3, 3, count).astype(np.float32)


@pytest.mark.parametrize("distorted", [False, True])
def test_a_thousand_crops_rolls_zooms_and_mirrors_meet_their_keypoints(distorted):
  batch = _batch(1000, 0, distorted)
  middle, focal, roll = _views(1000, 1)
  virtual, turn = crop.toward(batch["camera"], middle, focal, (192, 256), roll)
  seen = crop.seen_by(batch, virtual, turn, (192, 256))
  mirrored = transforms.random_flip(seen, jax.random.key(0), COCO)
  for after in (seen, mirrored):
    again = cameras.project(after["joints_3d"], after["camera"])
    near = np.abs(np.asarray(again)).max(-1) < 2000  # what is far outside has fewer digits
    assert near.mean() > 0.9
    assert np.abs(again - after["keypoints_2d"])[near].max() <= 1e-3
  # Nobody moved in the world.
  world = cameras.camera_to_world(batch["joints_3d"], batch["camera"])
  np.testing.assert_allclose(cameras.camera_to_world(seen["joints_3d"], virtual), world, atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(st.tuples(*[st.floats(-0.5, 0.5, width=32)] * 2), st.floats(100, 3000, width=32), st.floats(-3, 3, width=32))
def test_a_crop_looks_at_its_middle_is_a_rotation_and_goes_back(middle, focal, roll):
  camera = _batched(cameras.create((1000, 1000), (500, 480), (1000, 960)), 1)
  virtual, turn = crop.toward(camera, np.float32([middle]), np.float32([focal]), (192, 256), roll)
  np.testing.assert_allclose(turn[0] @ turn[0].T, np.eye(3), atol=1e-5)
  assert np.linalg.det(np.asarray(turn[0])) == pytest.approx(1, abs=1e-5)
  place = (camera.center + camera.focal * np.float32([middle]))[:, None, None]
  points = np.concatenate([place, place + np.float32([[[[7, -12]]]])], 2)
  moved = crop.move(points, camera, virtual, turn)
  np.testing.assert_allclose(moved[0, 0, 0], (96, 128), atol=1e-2)
  back = crop.move(moved, virtual, camera, jnp.swapaxes(turn, -1, -2))
  np.testing.assert_allclose(back, points, atol=5e-3)


def test_zoom_is_that_of_areas_in_the_middle_of_the_crop():
  camera = _batched(cameras.create((1000, 1000), (500, 500), (1000, 1000)), 3)
  middle, zoom = np.float32([[0, 0], [0.4, 0.3], [-0.5, 0.1]]), np.float32([1, 0.5, 2])
  virtual, turn = crop.toward(camera, middle, crop.zoomed(camera, middle, zoom), (200, 200), 0.4)
  place = np.asarray(camera.center + camera.focal * middle)[:, None]
  corners = place[:, None] + np.float32([[[[0, 0], [1, 0], [0, 1]]]])
  a, b, c = np.moveaxis(np.asarray(crop.move(corners, camera, virtual, turn)).astype(float)[:, 0], 1, 0)
  (bx, by), (cx, cy) = (b - a).T, (c - a).T
  area = np.abs(bx * cy - by * cx)
  np.testing.assert_allclose(area, zoom**2, rtol=5e-3)


def _blobs(points, size):
  """An image with a small Gaussian at each point: where its pixels' centres are is what is tested."""
  grid = np.asarray(pixels.grid(size[1], size[0]))
  distance = ((grid[:, :, None] - points) ** 2).sum(-1)
  return np.repeat(np.exp(-distance / 18).sum(-1)[..., None], 3, -1).astype(np.float32)


def test_pixels_go_where_keypoints_go():
  camera = _batched(cameras.create((300, 300), (100, 90), (200, 180)), 1)
  points = np.float32([[80, 70], [120, 80], [95, 120]])
  batch = {
    "keypoints_2d": points[None, None],
    "confidence": np.ones((1, 1, 3), np.float32),
    "camera": camera,
    "images": (255 * _blobs(points, (200, 180))).astype(np.uint8)[None, None],
  }
  virtual, turn = crop.toward(camera, np.float32([[0.02, -0.03]]), np.float32([420]), (192, 160), 0.5)
  seen = crop.seen_by(batch, virtual, turn, (192, 160))
  image = np.asarray(seen["images"])[0, 0, :, :, 0]
  assert image.shape == (160, 192) and 0.9 < image.max() <= 1.01
  grid = np.asarray(pixels.grid(160, 192))
  for point in np.asarray(seen["keypoints_2d"])[0, 0]:
    weight = image * (((grid - point) ** 2).sum(-1) < 15**2)
    np.testing.assert_allclose((weight[..., None] * grid).sum((0, 1)) / weight.sum(), point, atol=0.1)


def test_a_stored_crop_is_cut_to_its_person():
  """Margin 1.5 in 256 px is a box of 171 px; SimpleBaseline's crop is 1.25 times it."""
  camera = _batched(cameras.create((640, 640), (900, -100), (256, 256)), 4)
  points = np.broadcast_to(np.float32([[128, 128], [128, 128 + 106], [128 - 79, 128], [2, 2]]), (4, 1, 4, 2))
  batch = {"keypoints_2d": points, "confidence": np.ones((4, 1, 4), "f"), "camera": camera}
  seen = crop.random_crop(batch, None, size=(192, 256))
  place = np.asarray(seen["keypoints_2d"])[0, 0]
  np.testing.assert_allclose(place[0], (96, 128), atol=0.01)
  far = crop.random_crop(
    dict(batch, camera=camera._replace(center=np.float32([[128, 128]] * 4), focal=np.float32([[9e3, 9e3]] * 4))),
    None,
    size=(192, 256),
  )
  np.testing.assert_allclose(far["keypoints_2d"][0, 0, :3], [(96, 128), (96, 255.2), (1.2, 128)], atol=0.5)
  assert far["confidence"][0, 0].tolist() == [1, 1, 1, 0]  # the last is left outside
  drawn = crop.random_crop(batch, jax.random.key(0), size=(192, 256), scale=0.3, roll_rad=0.7, roll_probability=1.0)
  assert len({tuple(np.asarray(p).ravel().tolist()) for p in drawn["keypoints_2d"][:, 0, 1]}) == 4
  first = jax.tree.map(lambda x: x[:2], batch)
  same = crop.random_crop(first, jax.random.key(0), size=(192, 256), scale=0.3, roll_rad=0.7, roll_probability=1.0)
  np.testing.assert_allclose(same["keypoints_2d"], drawn["keypoints_2d"][:2], atol=1e-3)


@pytest.mark.parametrize(
  "options", [dict(scale=1.0), dict(padding=0.0), dict(roll_rad=-1.0), dict(roll_probability=2.0)]
)
def test_wrong_options(options):
  batch = _batch(1, 0, False)
  with pytest.raises(ValueError, match="random_crop: size="):
    crop.random_crop(batch, None, size=(192, 256), **options)
