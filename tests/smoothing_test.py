"""Smoothing: how much noise it takes and how little motion, over gaps and at the ends; the live filter."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxpose import smoothing
from jaxpose.geometry import placement
from jaxpose.synthetic import motion

FPS = 30.0


def walk(frames=300):
  return motion.simulate("train", 0, frames=frames).motion.positions_world.astype(np.float64)


def acceleration(positions):
  return np.diff(positions, 2, axis=0) * FPS**2


def test_noise_of_20_mm_costs_a_fifth_of_the_acceleration_error_and_clean_motion_a_millimetre():
  clean = walk()
  noisy = clean + np.random.default_rng(0).normal(0, 0.020, clean.shape)
  error = lambda x: np.linalg.norm(acceleration(x) - acceleration(clean), axis=-1).mean()  # noqa: E731
  assert error(smoothing.butterworth(noisy, FPS)) < error(noisy) / 5
  assert 1000 * np.linalg.norm(smoothing.butterworth(clean, FPS) - clean, axis=-1).mean() < 1


@pytest.mark.parametrize(("hz", "gain"), [(0.3, 1.0), (6.0, 0.5), (12.0, 0.0)])
def test_the_gain_is_butterworth_s_squared(hz, gain):
  t = np.arange(600) / FPS
  wave = np.sin(2 * np.pi * hz * t)
  middle = smoothing.butterworth(wave[:, None], FPS, 6)[100:500, 0]
  # The bilinear transform warps: |H|^2 = 1 / (1 + (tan(pi f / fs) / tan(pi fc / fs))^4), exactly.
  exact = 1 / (1 + (np.tan(np.pi * hz / FPS) / np.tan(np.pi * 6 / FPS)) ** 4)
  np.testing.assert_allclose(middle, exact * wave[100:500], atol=2e-3)
  assert abs(exact - gain) < 0.03


def test_gaps_part_stretches_that_do_not_feel_each_other():
  values = np.random.default_rng(0).normal(size=(80, 4, 3))
  values[30:33, 1] = np.nan
  values[:2, 2] = np.nan
  values[50, 3, 0] = np.nan
  smooth = smoothing.butterworth(values, FPS)
  np.testing.assert_array_equal(np.isnan(smooth), np.isnan(values))
  np.testing.assert_allclose(smooth[:30, 1], smoothing.butterworth(values[:30, 1], FPS), atol=1e-12)
  np.testing.assert_allclose(smooth[33:, 1], smoothing.butterworth(values[33:, 1], FPS), atol=1e-12)
  np.testing.assert_allclose(smooth[:, 0], smoothing.butterworth(values[:, 0], FPS), atol=1e-12)
  short = values[:2].copy()
  np.testing.assert_array_equal(smoothing.butterworth(short, FPS), short)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 60), st.floats(0.5, 14), st.integers(0, 99))
def test_a_line_stays_a_line_and_shifts_go_through(frames, cutoff, seed):
  rng = np.random.default_rng(seed)
  start, step = rng.normal(size=(2, 3))
  line = start + step * np.arange(frames)[:, None]
  np.testing.assert_allclose(smoothing.butterworth(line, FPS, cutoff), line, atol=1e-6 * (1 + np.abs(line).max()))


@pytest.mark.parametrize("cutoff", [0, -1, 15, 20])
def test_a_cutoff_beyond_half_the_rate_is_refused(cutoff):
  with pytest.raises(
    ValueError, match=rf"a cutoff of {cutoff} Hz at 30 frames a second; --smooth= takes .* less than 15"
  ):
    smoothing.butterworth(np.zeros((9, 1)), FPS, cutoff)


def test_depth_is_smoothed_along_the_ray():
  rng = np.random.default_rng(0)
  t = np.arange(300) / FPS
  true = np.stack([0.5 * np.sin(t), 0.1 * np.cos(t), 4 + np.sin(0.8 * t)], -1)
  noisy = true * (1 + rng.normal(0, 0.006, (300, 1)))
  smooth = smoothing.along_rays(noisy, FPS)
  np.testing.assert_allclose(smooth[:, :2] / smooth[:, 2:], noisy[:, :2] / noisy[:, 2:], atol=1e-12)
  assert (smooth - true)[:, 2].std() < (noisy - true)[:, 2].std() / 2
  with pytest.raises(ValueError, match="frame 7: depth -1 m is not before the camera"):
    smoothing.along_rays(np.where(np.arange(20)[:, None] == 7, -1.0, true[:20]), FPS)


def run(values, **options):
  state, out = smoothing.one_euro_start(values.shape[1:]), []
  for frame in values:
    state, smooth = smoothing.one_euro(state, frame, FPS, **options)
    out.append(smooth)
  return np.stack(out)


def one_euro_reference(values, least_hz, beta, speed_hz):
  """The paper's algorithm for one coordinate, in plain Python."""
  alpha = lambda cutoff: 1 / (1 + 1 / (2 * np.pi * cutoff) * FPS)  # noqa: E731
  x, dx, out = values[0], 0.0, [values[0]]
  for value in values[1:]:
    dx = alpha(speed_hz) * (value - x) * FPS + (1 - alpha(speed_hz)) * dx
    a = alpha(least_hz + beta * abs(dx))
    x = a * value + (1 - a) * x
    out.append(x)
  return np.array(out)


def test_one_euro_is_the_paper_s():
  values = np.cumsum(np.random.default_rng(0).normal(0, 0.02, 200))
  np.testing.assert_allclose(
    run(values[:, None], least_hz=1.3, beta=2.0, speed_hz=0.9)[:, 0],
    one_euro_reference(values, 1.3, 2.0, 0.9),
    atol=1e-12,
  )


def test_one_euro_steadies_who_stands_and_follows_who_moves():
  rng = np.random.default_rng(0)
  still = 1.0 + rng.normal(0, 0.01, (300, 1))
  assert run(still)[60:].std() < 0.4 * still.std()
  fast = np.minimum(np.arange(90) / FPS * 2.0, 4.0)[:, None]  # 2 m/s
  lag = (fast - run(fast))[40:59] / 2.0
  assert lag.max() < 0.04  # seconds: about a frame


def test_one_euro_over_a_gap():
  values = np.ones((40, 2))
  values[20:, 0] = 2.0
  values[15:35, 0] = np.nan
  out = run(values)
  np.testing.assert_array_equal(np.isnan(out), np.isnan(values))
  assert out[35, 0] > 1.75  # two thirds of a second later the old value counts little
  np.testing.assert_array_equal(out[:, 1], 1)


def test_depth_from_keypoints_that_are_off_by_3_px_of_350():
  """Of a walking person 350 px high at 3.5 m, with the true pose: 26 mm and, smoothed, less than half of it."""
  made = motion.simulate("train", 0, frames=300).motion.positions_world.astype(np.float64)
  poses = (made - made[:, :1]) * (1, -1, -1)  # y up to camera axes
  places = np.stack([0.3 * np.sin(np.arange(300) / 40), np.zeros(300), 3.5 + 0.6 * np.cos(np.arange(300) / 50)], -1)
  absolute = poses + places[:, None]
  height = np.ptp(absolute[..., 1] / absolute[..., 2], axis=-1).mean()
  focal = 350 / height
  rng = np.random.default_rng(0)
  rays = absolute[..., :2] / absolute[..., 2:] + rng.normal(0, 3 / focal, (*absolute.shape[:2], 2))
  placed = np.asarray(placement.place_by_rays(poses, rays), np.float64)
  sd = lambda x: 1000 * (x - places)[:, 2].std()  # noqa: E731
  assert sd(placed) < 30 and sd(smoothing.along_rays(placed, FPS)) < 15
