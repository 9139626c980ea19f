"""Codings of keypoints against loops of NumPy, and the errors that the field measures of them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxpose import heatmaps
from jaxpose.heatmaps import argmax, dark, gaussian, integral, offset, simcc

SIZE, CELLS = (64.0, 64.0), 64
LIKE = np.zeros((8, CELLS, CELLS, 40), np.float32)


def _keypoints(low=3.0, seed=0):
  return np.random.default_rng(seed).uniform(low, CELLS - low, (8, 40, 2)).astype(np.float32)


def _error(decoded, keypoints):
  return np.linalg.norm(np.asarray(decoded[0]) - keypoints, axis=-1)


def _like(name, width=48, height=64, joints=5):
  readout = heatmaps.get(name)
  if readout.output == "bins":
    return simcc.Bins(np.zeros((2, joints, 16 * width), np.float32), np.zeros((2, joints, 16 * height), np.float32))
  return np.zeros((2, height, width, readout.channels * joints) if readout.output == "maps" else (2, joints, 2), "f")


def _perfect(name, target):
  """The output that a coding's target asks for."""
  if name == "integral":
    return target.maps
  return jax.tree.map(lambda p: jnp.log(jnp.maximum(p, 1e-30)), target) if name == "simcc" else target


@pytest.mark.parametrize("name", heatmaps.READOUTS)
def test_every_coding_gives_back_what_it_was_given_in_pixels_of_the_image(name):
  """Stride 4, not square: what decodes to the wrong unit, axis or half pixel is off by 1 px or more."""
  readout, size = heatmaps.get(name), (192, 256)
  keypoints = np.random.default_rng(1).uniform((20, 20), (172, 236), (2, 5, 2)).astype(np.float32)
  like = _like(name)
  target = readout.target(keypoints, like, size)
  output = _perfect(name, target)
  decoded, confidence = jax.jit(readout.decode, static_argnums=1)(output, size)
  worst = np.abs(decoded - keypoints).max()
  # A cell is 4 px: its centre is within 2, a quarter of one mends half of that; SimCC's bins are a quarter of a pixel.
  bound = {"argmax": 2.0, "quarter": 1.0, "published": 3.0, "simcc": 0.126, "integral": 1.0, "dark": 0.04}.get(
    name, 1e-3
  )
  assert worst <= bound
  assert confidence.shape == (2, 5) and (confidence > 0.85).all() and (confidence <= 1).all()
  perfect = readout.loss(output, target)
  worse = readout.loss(_perfect(name, readout.target(keypoints + 9, like, size)), target)
  assert perfect.shape == (2, 5) and (perfect < 1e-3).all() and (worse > perfect + 1e-4).all()
  if readout.spread:
    spread = np.asarray(readout.spread(output, size))
    expected = {"simcc": 6 / 4}.get(name, 8.0)  # 6 bins; 2 cells of 4 px
    np.testing.assert_allclose(spread, expected, rtol=0.1)


def _numpy_target(keypoints, height, width, stride, sigma):
  maps = np.zeros((*keypoints.shape[:1], height, width, keypoints.shape[1]))
  for b, j in np.ndindex(*keypoints.shape[:2]):
    for row, column in np.ndindex(height, width):
      x, y = (column + 0.5) * stride[0], (row + 0.5) * stride[1]
      d2 = ((x - keypoints[b, j, 0]) / stride[0]) ** 2 + ((y - keypoints[b, j, 1]) / stride[1]) ** 2
      maps[b, row, column, j] = np.exp(-d2 / (2 * sigma**2))
  return maps


def test_targets_are_a_loop_over_cells():
  keypoints = np.array([[[10.3, 7.9], [0.0, 31.0]]], np.float32)
  like = np.zeros((1, 16, 12, 2), np.float32)
  got = gaussian.target(keypoints, like, (24, 48))
  np.testing.assert_allclose(got, _numpy_target(keypoints, 16, 12, (2, 3), 2.0), atol=1e-6)
  centred = (np.floor(keypoints / (2, 3)) + 0.5) * (2, 3)
  rounded = _numpy_target(centred, 16, 12, (2, 3), 2.0)
  for j, (column, row) in enumerate(np.floor(keypoints[0] / (2, 3)).astype(int)):
    far = np.maximum(*np.meshgrid(np.abs(np.arange(12) - column), np.abs(np.arange(16) - row))) > 6
    rounded[0, far, j] = 0
  np.testing.assert_allclose(gaussian.rounded(keypoints, like, (24, 48)), rounded, atol=1e-6)


def _numpy_dark(heatmap):
  """Zhang et al.'s refinement of one map, written from the paper: smoothing, then a Newton step on the logarithm."""
  height, width = heatmap.shape
  offsets = range(-5, 6)
  kernel = np.array([[np.exp(-(i * i + j * j) / 8) for i in offsets] for j in offsets])
  kernel /= kernel.sum()
  padded, smooth = np.pad(heatmap.astype(float), 5), np.zeros((height, width))
  for y, x in np.ndindex(height, width):
    smooth[y, x] = (padded[y : y + 11, x : x + 11] * kernel).sum()
  log = np.log(np.maximum(smooth, 1e-10))
  y, x = np.unravel_index(heatmap.argmax(), heatmap.shape)
  if not (1 < x < width - 2 and 1 < y < height - 2):
    return np.array([x + 0.5, y + 0.5])
  gradient = 0.5 * np.array([log[y, x + 1] - log[y, x - 1], log[y + 1, x] - log[y - 1, x]])
  dxx, dyy = (0.25 * (a - 2 * log[y, x] + b) for a, b in
              ((log[y, x + 2], log[y, x - 2]), (log[y + 2, x], log[y - 2, x])))  # fmt: skip
  dxy = 0.25 * (log[y + 1, x + 1] - log[y - 1, x + 1] - log[y + 1, x - 1] + log[y - 1, x - 1])
  hessian = np.array([[dxx, dxy], [dxy, dyy]])
  step = -np.linalg.solve(hessian, gradient) if np.linalg.det(hessian) > 0 and dxx < 0 else np.zeros(2)
  return np.array([x + 0.5, y + 0.5]) + step


def _numpy_quarter(heatmap):
  height, width = heatmap.shape
  y, x = np.unravel_index(heatmap.argmax(), heatmap.shape)
  place = np.array([x + 0.5, y + 0.5])
  if 1 < x < width - 1 and 1 < y < height - 1:
    slope = [heatmap[y, x + 1] - heatmap[y, x - 1], heatmap[y + 1, x] - heatmap[y - 1, x]]
    place += 0.25 * np.sign(slope)
  return place


def _numpy_soft(heatmap):
  weights = np.exp(30.0 * (heatmap.astype(float) - heatmap.max()))
  weights /= weights.sum()
  y, x = np.mgrid[: heatmap.shape[0], : heatmap.shape[1]] + 0.5
  return np.array([(weights * x).sum(), (weights * y).sum()])


@pytest.mark.parametrize(
  "decode, reference",
  [(dark.decode, _numpy_dark), (argmax.quarter, _numpy_quarter), (integral.decode, _numpy_soft)],
)
def test_decoders_are_what_a_loop_over_maps_gives_of_noisy_ones_and_at_the_sides(decode, reference):
  rng = np.random.default_rng(2)
  keypoints = rng.uniform(0, (20, 28), (3, 6, 2)).astype(np.float32)
  maps = np.asarray(gaussian.target(keypoints, np.zeros((3, 28, 20, 6), "f"), (20, 28)))
  maps = maps + rng.normal(0, 0.05, maps.shape).astype(np.float32)
  expected = np.array([[reference(maps[b, ..., j]) for j in range(6)] for b in range(3)])
  np.testing.assert_allclose(jax.jit(decode, static_argnums=1)(maps, (20, 28))[0], expected, atol=2e-3)


def test_what_decoders_make_of_unbiased_targets():
  keypoints = _keypoints(low=8)
  maps = gaussian.target(keypoints, LIKE, SIZE)
  assert abs(_error(argmax.decode(maps, SIZE), keypoints).mean() - 0.376) < 0.02
  assert abs(_error(argmax.quarter(maps, SIZE), keypoints).mean() - 0.19) < 0.02
  assert _error(dark.decode(maps, SIZE), keypoints).max() < 0.01
  noisy = maps + 0.05 * np.random.default_rng(3).normal(size=maps.shape).astype(np.float32)
  assert _error(dark.decode(noisy, SIZE), keypoints).mean() <= 0.07


@pytest.mark.parametrize("decode", [argmax.decode, argmax.quarter, dark.decode, integral.decode])
def test_no_decoder_mends_rounded_targets(decode):
  keypoints = _keypoints()
  assert _error(decode(gaussian.rounded(keypoints, LIKE, SIZE), SIZE), keypoints).mean() >= 0.35


@pytest.mark.parametrize("beta, expected", [(1.0, 16.7), (10.0, 1.0), (30.0, 0.11)])
def test_the_background_draws_a_soft_argmax_to_the_middle(beta, expected):
  keypoints = _keypoints(low=8)
  maps = gaussian.target(keypoints, LIKE, SIZE)
  assert _error(integral.decode(maps, SIZE, beta), keypoints).mean() == pytest.approx(expected, rel=0.15)


def test_a_mirrored_map_is_the_mirrored_place():
  """A mirrored array is x -> width - x, in targets and in what is decoded."""
  keypoints = _keypoints()
  mirrored = np.stack([SIZE[0] - keypoints[..., 0], keypoints[..., 1]], -1)
  maps = np.asarray(gaussian.target(keypoints, LIKE, SIZE))
  np.testing.assert_allclose(gaussian.target(mirrored, LIKE, SIZE), maps[:, :, ::-1], atol=1e-5)
  for name in ("dark", "integral"):
    decode = heatmaps.get(name).decode
    place, back = decode(maps, SIZE)[0], decode(maps[:, :, ::-1], SIZE)[0]
    np.testing.assert_allclose(back[..., 0], SIZE[0] - place[..., 0], atol=2e-3)


def test_the_spread_is_that_of_where_the_joint_may_be():
  """The mean of targets whose joint is normally distributed, as a network that cannot see it gives."""
  std, rng = 1.5, np.random.default_rng(4)
  places, size = (16 + rng.normal(0, std, (1, 4000, 2))).astype(np.float32), (32, 32)
  like = np.zeros((1, 32, 32, 4000), np.float32)
  unsure = np.asarray(gaussian.target(places, like, size)).mean(-1, keepdims=True)
  assert float(gaussian.spread(unsure, size)[0, 0]) == pytest.approx(np.hypot(2.0, std), rel=0.03)
  like = simcc.Bins(np.zeros((1, 4000, 64), "f"), np.zeros((1, 4000, 64), "f"))
  seen = [np.log(np.asarray(p).mean(1, keepdims=True)) for p in simcc.target(places, like, size)]
  assert float(simcc.spread(simcc.Bins(*seen), size)[0, 0]) == pytest.approx(np.hypot(3.0, std), rel=0.03)


def test_offsets_are_learnt_near_the_joint_alone():
  keypoints = np.full((1, 1, 2), 10.25, np.float32)
  target = np.array(offset.target(keypoints, np.zeros((1, 20, 20, 3), "f"), (20, 20)))
  np.testing.assert_allclose(target[0, 10, 7, 1:], (10.25 - 7.5, 10.25 - 10.5))
  far, near = target.copy(), target.copy()
  far[0, 2, 2, 1:] += 5
  near[0, 10, 10, 1:] += 5
  assert float(offset.loss(far, target)[0, 0]) == 0 < float(offset.loss(near, target)[0, 0])


def test_soft_argmax_has_a_gradient_toward_the_joint():
  maps = gaussian.target(np.full((1, 1, 2), 20.0, np.float32), np.zeros((1, 64, 64, 1), "f"), SIZE)
  slope = jax.grad(lambda m: integral.soft_argmax(m)[0, 0, 0])(maps)
  assert float(slope[0, 20, 22, 0]) > 0 > float(slope[0, 20, 17, 0])


def test_divergence_is_scipys():
  from scipy.special import rel_entr, softmax

  rng = np.random.default_rng(5)
  output = simcc.Bins(*(rng.normal(size=(2, 3, 30)).astype(np.float32) for _ in range(2)))
  target = simcc.target(rng.uniform(0, 10, (2, 3, 2)).astype(np.float32), output, (10, 10))
  expected = sum(rel_entr(np.asarray(t), softmax(o, -1)).sum(-1) for t, o in zip(target, output)) / 2
  np.testing.assert_allclose(simcc.loss(output, target), expected, rtol=1e-4)


def test_an_unknown_readout_lists_the_known():
  with pytest.raises(ValueError, match="unknown readout 'udp'; known are argmax, quarter, dark"):
    heatmaps.get("udp")
