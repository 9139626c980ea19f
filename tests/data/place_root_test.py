"""Re-placing source bodies at the target's distances: boxes match, poses stay, the scene stays consistent."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from jaxpose import skeleton as skeletons
from jaxpose.data import transforms
from jaxpose.geometry import camera as cameras
from jaxpose.geometry import placement
from tests.data import transforms_test

H36M = skeletons.get("h36m_17")
BOXES = np.float32([[0.1, -0.05, 0.2], [-0.2, 0.0, 0.3], [0.0, 0.02, 0.12]])
place = jax.jit(functools.partial(transforms.place_root, skeleton=H36M))


def sample():
  batch = transforms_test.make_batch(frames=3)
  batch["joints_3d"][..., 2] = batch["joints_3d"][:, :1, :1, 2]  # parallel to the image: the boxes are then exact
  return batch


def test_a_body_takes_the_box_of_a_target_body_and_keeps_its_pose():
  batch = sample()
  moved = place(batch, jax.random.key(0), boxes=BOXES)
  root = H36M.root
  np.testing.assert_allclose(
    moved["joints_3d"] - moved["joints_3d"][:, :, root : root + 1],
    batch["joints_3d"] - batch["joints_3d"][:, :, root : root + 1],
    atol=1e-5,
  )
  absolute = np.asarray(moved["joints_3d"], np.float64)
  found = np.asarray(placement.boxes(absolute[..., :2] / absolute[..., 2:]))
  one = {k: v[:, :1] for k, v in batch.items() if k != "camera"} | {"camera": batch["camera"]}
  single = np.asarray(place(one, jax.random.key(0), boxes=BOXES)["joints_3d"], np.float64)
  boxes = np.asarray(placement.boxes(single[..., :2] / single[..., 2:]))[:, 0]
  distance = np.linalg.norm(boxes[:, None] - BOXES, axis=-1)
  assert (distance.min(-1) < 1e-3).all() and len(set(distance.argmin(-1))) == 3
  # A window moves as a whole, so its frames have that box on average only.
  np.testing.assert_allclose(found.mean(1), BOXES[distance.argmin(-1)], rtol=0.2, atol=0.02)
  np.testing.assert_allclose(np.diff(absolute, axis=1), np.diff(batch["joints_3d"], axis=1), atol=1e-5)
  np.testing.assert_allclose(moved["keypoints_2d"], cameras.project(moved["joints_3d"], batch["camera"]), rtol=1e-5)


def test_a_body_that_would_come_too_near_stays_where_it_is():
  batch = sample()
  near = place(batch, jax.random.key(0), boxes=np.float32([[0, 0, 4.0]]))
  for name in ("joints_3d", "keypoints_2d"):
    np.testing.assert_array_equal(near[name], batch[name])


def test_an_invalid_frame_is_left_alone_and_moves_nothing():
  batch = sample()
  batch["valid"][:, 1] = False
  spoilt = batch | {"joints_3d": batch["joints_3d"].copy()}
  spoilt["joints_3d"][:, 1] = np.nan
  one, two = (place(b, jax.random.key(1), boxes=BOXES) for b in (batch, spoilt))
  for name in ("joints_3d", "keypoints_2d"):
    np.testing.assert_array_equal(np.asarray(one[name])[:, ::2], np.asarray(two[name])[:, ::2])
  np.testing.assert_array_equal(np.asarray(two["keypoints_2d"])[:, 1], batch["keypoints_2d"][:, 1])


def test_a_samples_place_does_not_depend_on_the_batch():
  batch = sample()
  half = jax.tree.map(lambda x: jnp.asarray(x)[:4], batch)
  whole = place(batch, jax.random.key(2), boxes=BOXES)
  np.testing.assert_allclose(
    place(half, jax.random.key(2), boxes=BOXES)["joints_3d"], whole["joints_3d"][:4], rtol=1e-5
  )
