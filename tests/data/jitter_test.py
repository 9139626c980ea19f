"""How noisy keypoints are: told from their trembling, whatever the person does and the camera's zoom."""

import numpy as np
import pytest

from jaxpose.data import jitter
from tests import helpers


def moving(frames=120, fps=30.0, seed=0):
  """Joints that swing by a tenth of the person at up to 1 Hz, while the person walks through the image."""
  rng, seconds = np.random.default_rng(seed), np.arange(frames)[:, None, None] / fps
  stance, swing = rng.normal(0, 100, (17, 2)), rng.normal(0, 10, (17, 2))
  motion = swing * np.sin(2 * np.pi * rng.uniform(0.2, 1, (17, 1)) * seconds + rng.uniform(0, 6, (17, 2)))
  return 500 + stance + motion + 80 * seconds * [1, 0.1], np.sqrt(np.mean((stance - stance.mean(0)) ** 2))


def clip(points, **changes):
  one = helpers.clip(len(points))
  return one.replace(keypoints_2d=np.float32(points), confidence=np.ones(points.shape[:2], np.float32), **changes)


def estimate(one):
  """Without the floor and the factor, at the last frame."""
  return np.sqrt(jitter.noise(one)[-1] ** 2 - jitter.LEAST**2) / jitter.FACTOR


@pytest.mark.parametrize("noise_px", [2.0, 10.0, 30.0])
@pytest.mark.parametrize("zoom", [0.3, 1.0])
def test_normal_noise_is_measured(noise_px, zoom):
  points, extent = moving()
  noisy = points + np.random.default_rng(1).normal(0, noise_px, points.shape)
  assert estimate(clip(zoom * noisy)) == pytest.approx(noise_px / np.hypot(extent, noise_px), rel=0.2)


def test_what_is_exact_is_at_the_floor():
  assert jitter.noise(clip(moving()[0]))[-1] == pytest.approx(jitter.LEAST, rel=0.02)
  still = np.repeat(moving(1)[0], 10, axis=0)
  np.testing.assert_allclose(jitter.noise(clip(still))[2:], jitter.LEAST, rtol=1e-3)


def test_later_frames_take_no_part_and_old_ones_are_forgotten():
  points, extent = moving(200)
  noisy = points + np.random.default_rng(1).normal(0, 10, points.shape) * (np.arange(200) >= 100)[:, None, None]
  whole, half = jitter.noise(clip(noisy)), jitter.noise(clip(noisy[:100]))
  np.testing.assert_array_equal(whole[:100], half)
  assert np.all(np.diff(whole[105:160]) > -1e-2) and whole[170] > whole[110]
  assert whole[-1] == pytest.approx(np.hypot(jitter.LEAST, jitter.FACTOR * 10 / extent), rel=0.2)


def test_some_lost_joints_and_missing_ones_do_not_matter():
  points, extent = moving()
  rng = np.random.default_rng(1)
  noisy = points + rng.normal(0, 10, points.shape)
  lost = np.where(rng.random(points.shape[:2]) < 0.05, 300.0, 0)[..., None]
  there = rng.random(points.shape[:2]) > 0.1
  there[40:50] = False
  one = clip(np.where(there[..., None], noisy + lost, 7e4)).replace(confidence=np.float32(there))
  assert estimate(one) == pytest.approx(
    10 / np.sqrt(np.mean((noisy + lost - (noisy + lost).mean(1)[:, None]) ** 2)), rel=0.4
  )


def test_too_little_to_tell():
  points, _ = moving(5)
  np.testing.assert_allclose(jitter.noise(clip(points))[:2], jitter.UNKNOWN)
  nobody = clip(points).replace(confidence=np.zeros(points.shape[:2], np.float32))
  np.testing.assert_allclose(jitter.noise(nobody), jitter.UNKNOWN)
  assert jitter.noise(clip(points[:1])).tolist() == pytest.approx([jitter.UNKNOWN])
