"""Rendered people: the same bytes for the same key, crops that are cameras, and bodies that tell front from back."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from jaxpose import skeleton as skeletons
from jaxpose.data import pipeline, transforms
from jaxpose.geometry import camera as cameras
from jaxpose.synthetic import appearance, capsules, images
from tests import helpers

H36M = skeletons.get("h36m_17")
STANDING = helpers.STANDING + np.float32([0.3, -0.2, 4])
KEY = jax.random.key(3)
SMALL = images.Crop(size=16)


@functools.cache
def batch(count=6, look="wild"):
  clip = images.pictured([helpers.clip(count)], look)
  return jax.tree.map(jnp.asarray, pipeline.gather(pipeline.windows(clip), np.arange(count), 1))


@functools.partial(jax.jit, static_argnames="options")
def render(batch, key, options=SMALL):
  return images.render(batch, key, options, H36M)


def test_a_picture_is_of_its_key_and_row_alone():
  some = batch()
  first = render(some, KEY)["images"]
  assert first.shape == (6, 1, 16, 16, 3) and first.dtype == jnp.float32
  assert float(first.min()) >= 0 and float(first.max()) <= 1
  np.testing.assert_array_equal(first, render(some, KEY)["images"])
  assert np.abs(first - render(some, jax.random.key(4))["images"]).mean() > 0.05
  fewer = render(jax.tree.map(lambda x: x[:3], some), KEY)["images"]
  np.testing.assert_array_equal(fewer, first[:3])


def test_without_a_key_a_frame_looks_the_same_in_any_batch():
  some = batch()
  first = render(some, None)["images"]
  np.testing.assert_array_equal(render(jax.tree.map(lambda x: x[::-1], some), None)["images"], first[::-1])
  lasting = images.Crop(size=16, fresh=False)
  np.testing.assert_array_equal(render(some, KEY, lasting)["images"], first)


def test_crops_rolls_and_mirrors_are_cameras():
  """The joints of 1000 draws project onto the keypoints, and turning back gives the pixels of the camera that was."""
  some = jax.tree.map(lambda x: jnp.repeat(x, 200, 0), batch(5))
  options = images.Crop(size=64, scale=0.3, roll_rad=0.6, shift=0.2)
  seen = images.cropped(some, KEY, options)
  project = cameras.project(seen["joints_3d"], seen["camera"])
  assert float(jnp.abs(project - seen["keypoints_2d"]).max()) < 1e-3
  mirrored = transforms.random_flip({n: x for n, x in seen.items() if n not in ("turn", *images.SCENE)}, KEY, H36M)
  project = cameras.project(mirrored["joints_3d"], mirrored["camera"])
  assert float(jnp.abs(project - mirrored["keypoints_2d"]).max()) < 1e-3
  assert 300 < int((jnp.abs(mirrored["keypoints_2d"] - seen["keypoints_2d"]).max((1, 2, 3)) > 1).sum()) < 700
  back = images.uncropped(seen["keypoints_2d"], seen["camera"], seen["turn"], some["camera"])
  assert float(jnp.abs(back - some["keypoints_2d"]).max()) < 2e-2  # of 1000 pixels, through the lens and back
  spread = jnp.ptp(seen["camera"].focal[:, 0]), jnp.ptp(seen["camera"].rotation, 0).max()
  assert float(spread[0]) > 10 and float(spread[1]) > 0.5  # they do differ


def test_what_a_crop_shows_lies_in_it():
  seen = images.cropped(batch(), None, images.Crop(size=64))
  box = np.asarray(seen["keypoints_2d"]).min((1, 2)), np.asarray(seen["keypoints_2d"]).max((1, 2))
  np.testing.assert_allclose(np.max(box[1] - box[0], -1), 64 / 1.25, rtol=0.02)
  np.testing.assert_allclose((box[0] + box[1]) / 2, 32, atol=1)


@functools.partial(jax.jit, static_argnames="size")
def fine(camera, turn, size):
  """A picture without noise, each pixel the mean of 4 x 4 rays."""
  scene, _ = appearance.scene(jnp.asarray(STANDING), KEY, appearance.chosen(jnp.array(1)))
  rays = capsules.rays(camera._replace(focal=4 * camera.focal, center=4 * camera.center), (4 * size, 4 * size)) @ turn
  return capsules.render(scene, rays).reshape(size, 4, size, 4, 3).mean((1, 3))


@pytest.mark.parametrize("seed", range(2))
def test_a_warped_picture_is_the_rerendered_one(seed):
  """At 30 dB or more: what differs is interpolation across edges."""
  size = 96
  one = jax.tree.map(lambda x: x[:1], batch())
  one = {**one, "joints_3d": jnp.asarray(STANDING)[None, None]}
  one["keypoints_2d"] = cameras.project(one["joints_3d"], one["camera"])
  straight = images.cropped(one, None, images.Crop(size=size, margin=1.6))
  other = images.cropped(one, jax.random.key(seed), images.Crop(size=size, scale=0.2, roll_rad=0.5, shift=0.1))
  before, after = (
    np.asarray(fine(jax.tree.map(lambda x: x[0], s["camera"]), s["turn"][0], size)) for s in (straight, other)
  )
  places = np.stack(np.meshgrid(np.arange(size) + 0.5, np.arange(size) + 0.5), -1).astype(np.float32)
  rays = cameras.unproject(places[None], other["camera"])
  rays = jnp.concatenate([rays, jnp.ones_like(rays[..., :1])], -1) @ other["turn"][0] @ straight["turn"][0].T
  source = np.asarray(cameras.project(rays, straight["camera"]))[0] - 0.5  # to indices: a pixel's middle is at + 0.5
  inside = ((source > 1) & (source < size - 2)).all(-1)
  warped = np.stack(
    [ndimage.map_coordinates(before[..., c], (source[..., 1], source[..., 0]), order=1) for c in range(3)], -1
  )
  error = ((warped - after)[inside] ** 2).mean()
  assert inside.mean() > 0.5 and after.std() > 0.05
  assert -10 * np.log10(error) >= 30
  for way in ((0.5, 0), (-0.5, 0), (0, 0.5), (0, -0.5)):  # as it would be with pixels counted otherwise
    off = ndimage.shift(after, (*way, 0), order=1, mode="nearest")
    assert ((warped - off)[inside] ** 2).mean() > error


def test_left_and_right_are_built_alike():
  mirror = np.float32([-1, 1, 1])
  mirrored = capsules.person(jnp.asarray(transforms.flip_pose(STANDING, H36M)))
  plain = [np.asarray(end) * mirror for end in capsules.person(jnp.asarray(STANDING))]
  for radius in np.unique(capsules.RADIUS):
    rows = radius == capsules.RADIUS
    sets = [sorted(map(tuple, np.sort(np.round(np.stack(ends, 1)[rows], 4), 1).reshape(rows.sum(), -1).tolist()))
            for ends in (mirrored, plain)]  # fmt: skip
    np.testing.assert_allclose(sets[0], sets[1], atol=2e-4)


def test_front_and_back_differ_and_toes_point_ahead():
  points = dict(zip(capsules._POINTS, np.asarray(capsules.points(jnp.asarray(STANDING)))))
  assert points["left_toe"][2] < points["left_ankle"][2] - 0.1  # who faces the camera
  assert points["brow"][2] < points["nape"][2] - 0.05
  turned = (STANDING - STANDING.mean(0)) * np.float32([-1, 1, -1]) + STANDING.mean(0)
  pair = [capsules.points(jnp.asarray(p)) for p in (STANDING, turned)]
  assert pair[1][capsules._POINTS.index("left_toe"), 2] > turned[H36M.index("left_ankle"), 2] + 0.1


def test_the_wild_hides_more_than_the_laboratory():
  """Its pictures vary more, and something may stand before a person."""
  lab, wild = (np.asarray(render(batch(6, look), KEY, images.Crop(size=16))["images"]) for look in ("lab", "wild"))
  assert wild.std((0, 1)).mean() > 1.5 * lab.std((0, 1)).mean()
  assert appearance.LOOKS["lab"].occluder == (0, 0) and appearance.LOOKS["wild"].occluder[0] > 0


def test_bad_input_is_one_clear_error():
  with pytest.raises(ValueError, match="look='Mars'; known are lab, wild"):
    images.pictured([helpers.clip()], "Mars")
  with pytest.raises(ValueError, match="has no joints_3d: nothing to render"):
    images.pictured([helpers.clip(joints_3d=None)], "lab")
  with pytest.raises(ValueError, match="a crop has no option 'sizes'; it has size, margin"):
    images.crop(sizes=3)
  with pytest.raises(ValueError, match="flip a probability"):
    images.crop(flip=2.0)
