"""Metrics of many hypotheses against NumPy, their known values, and what protocol `many` makes of them."""

import numpy as np
import pytest

from jaxpose import metrics_many
from jaxpose.protocols import many
from tests import helpers

RNG = np.random.default_rng(0)
POSES = RNG.normal(0, 0.1, (6, 4, 17, 3)).astype(np.float32)
TRUTH = RNG.normal(0, 0.1, (4, 17, 3)).astype(np.float32)


def test_best_of_n_and_energy_score_by_numpy():
  errors = np.linalg.norm(POSES - TRUTH[None], axis=-1)
  best = metrics_many.best_of_n(POSES, TRUTH)
  np.testing.assert_allclose(best["pose"], errors.mean(-1).min(0), rtol=1e-5)
  np.testing.assert_allclose(best["joint"], errors.min(0).mean(-1), rtol=1e-5)
  pairs = np.linalg.norm(POSES[:, None] - POSES[None], axis=-1).sum((0, 1)) / (6 * 5)
  np.testing.assert_allclose(metrics_many.energy_score(POSES, TRUTH), (errors.mean(0) - pairs / 2).mean(-1), rtol=1e-4)
  with pytest.raises(ValueError, match="1 hypothesis; an energy score needs two"):
    metrics_many.energy_score(POSES[:1], TRUTH)


def test_the_energy_score_is_least_for_the_true_spread():
  truth = RNG.normal(0, 1, (3000, 1, 3))
  drawn = RNG.normal(0, 1, (50, 3000, 1, 3))
  score = {size: float(np.mean(metrics_many.energy_score(size * drawn, truth))) for size in (0.3, 1.0, 2.0)}
  assert score[1.0] < min(score[0.3], score[2.0])


@pytest.mark.parametrize(("size", "expected"), [(1.0, 0.0), (0.5, None), (2.0, None)])
def test_calibration_and_coverage_of_known_spreads(size, expected):
  """True samples are calibrated; of a normal distribution half as wide, few truths lie within half of the samples."""
  truth, drawn = RNG.normal(0, 1, (4000, 2, 3)), size * RNG.normal(0, 1, (200, 4000, 2, 3))
  rank = metrics_many.ranks(drawn, truth)
  error, half = metrics_many.calibration_error(rank), metrics_many.coverage(rank, 0.5)
  assert half.shape == (2,)
  if expected is not None:
    assert error < 0.02 and np.abs(half - 0.5).max() < 0.03
  else:
    assert error > 0.15 and (half < 0.25).all() == (size < 1)


def test_spread_apart_in_depth_and_in_the_image():
  poses = np.zeros((2, 1, 3, 3))
  poses[1] = [0.2, 0.2, 0.6]
  spread = metrics_many.spread(poses)
  np.testing.assert_allclose([spread["depth"][0], spread["image"][0]], [0.3, 0.1], rtol=1e-5)


def test_measures_of_clips_see_valid_frames_alone():
  valid = np.arange(5) != 2
  clip = helpers.clip(5, valid=valid)
  root_relative = clip.joints_3d - clip.joints_3d[:, :1]
  poses = root_relative[None] + RNG.normal(0, 0.02, (6, 5, 17, 3)).astype(np.float32)
  poses[:, 2] = np.nan
  told = many.measures([clip], [poses])
  errors = np.linalg.norm(poses - root_relative[None], axis=-1)[:, valid]
  np.testing.assert_allclose(told["best_of_1_mm"], 1000 * errors[0].mean(), rtol=1e-4)
  np.testing.assert_allclose(told["best_joints_of_5_mm"], 1000 * errors[:5].min(0).mean(), rtol=1e-4)
  assert told["hypotheses"] == 6 and "best_of_20_mm" not in told and 0 <= told["coverage_90"] <= 100
  poses[0, 0] = np.nan
  with pytest.raises(ValueError, match="clip S1/walk/0: hypotheses of valid frames hold NaN"):
    many.measures([clip], [poses])
  with pytest.raises(ValueError, match=r"hypotheses \(6, 4, 17, 3\) for joints_3d \(5, 17, 3\)"):
    many.measures([clip], [poses[:, :4]])
