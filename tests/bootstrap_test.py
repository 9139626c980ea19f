"""The bootstrap: its averages by hand, its coverage by simulation, and the paired difference."""

import copy

import numpy as np
import pytest

from jaxpose import bootstrap


def test_average_by_hand():
  values = np.array([[10.0], [20.0], [100.0]])
  frames = np.array([1, 3, 2])
  assert bootstrap.average(values, frames)[0] == pytest.approx((10 + 60 + 200) / 6)
  assert bootstrap.average(values, frames, ["a", "a", "b"])[0] == pytest.approx((70 / 4 + 100) / 2)
  values[2] = np.nan
  assert bootstrap.average(values, frames, ["a", "a", "b"])[0] == pytest.approx(70 / 4)
  assert np.isnan(bootstrap.average(values * np.nan, frames)[0])


def test_resamples_agree_with_a_plain_loop():
  rng = np.random.default_rng(0)
  values, frames = rng.normal(50, 10, (8, 2)), rng.integers(1, 9, 8)
  clusters, actions = list("aabbccdd"), list("xyxyxxyy")
  drawn = bootstrap.resample(values, frames, clusters, actions, seed=4, resamples=20)
  counts = np.random.default_rng(4).multinomial(4, [1 / 4] * 4, size=20)
  for row, count in zip(drawn, counts):
    picked = [i for c, n in zip("abcd", count) for _ in range(n) for i in range(8) if clusters[i] == c]
    means = []
    for action in sorted({actions[i] for i in picked}):
      members = [i for i in picked if actions[i] == action]
      means.append(np.average(values[members], axis=0, weights=frames[members]))
    np.testing.assert_allclose(row, np.mean(means, 0))


def test_intervals_do_not_depend_on_order_and_do_on_the_seed():
  rng = np.random.default_rng(1)
  values, frames = rng.normal(50, 10, (30, 3)), rng.integers(1, 99, 30)
  clusters, actions = [f"c{i // 2}" for i in range(30)], [f"a{i % 4}" for i in range(30)]
  order = rng.permutation(30)
  first = bootstrap.intervals(values, frames, clusters, actions, seed=3)
  second = bootstrap.intervals(
    values[order], frames[order], [clusters[i] for i in order], [actions[i] for i in order], seed=3
  )
  np.testing.assert_allclose(first, second, rtol=1e-12)
  assert first == bootstrap.intervals(values, frames, clusters, actions, seed=3)
  assert first != bootstrap.intervals(values, frames, clusters, actions, seed=4)


def test_no_interval_from_one_cluster_or_no_value():
  values = np.array([[1.0, np.nan], [2.0, np.nan]])
  assert bootstrap.intervals(values, np.ones(2), ["a", "a"]) == [None, None]
  one, none = bootstrap.intervals(values, np.ones(2), ["a", "b"])
  assert one == [1.0, 2.0] and none is None


@pytest.mark.parametrize("options", [dict(resamples=0), dict(level=1.0)])
def test_bad_settings(options):
  with pytest.raises(ValueError, match=next(iter(options))):
    bootstrap.intervals(np.ones((2, 1)), np.ones(2), ["a", "b"], **options)


def _coverage(clusters, views, by_action, trials=300):
  """How often the interval holds the true mean: cluster effects shared by views, 5 actions, unequal frame counts."""
  rng = np.random.default_rng(clusters)
  hits = 0
  offsets = np.linspace(-10, 10, 5)
  for trial in range(trials):
    action = np.arange(clusters) % 5
    effect = 60 + (offsets[action] if by_action else 0) + rng.normal(0, 8, clusters)
    values = np.repeat(effect, views) + rng.normal(0, 1, clusters * views)
    frames = np.repeat(rng.integers(50, 150, clusters), views)
    labels = [f"c{i // views:03}" for i in range(clusters * views)]
    actions = [f"a{a}" for a in np.repeat(action, views)] if by_action else None
    low, high = bootstrap.intervals(values[:, None], frames, labels, actions, seed=trial, resamples=300)[0]
    hits += low <= 60 <= high
  return hits / trials


@pytest.mark.parametrize("by_action", [False, True])
def test_coverage_is_about_95_percent_when_views_are_clustered(by_action):
  assert 0.91 <= _coverage(40, 4, by_action) <= 0.98


def test_coverage_with_six_sequences_is_known_to_be_low():
  assert 0.78 <= _coverage(6, 1, False) <= 0.92


def report(values, frames=None, averaging="frames", clusters=None, actions=None, **fingerprint):
  """A report with one metric from per-sequence values."""
  rows = {
    f"s{i}": {
      "mpjpe_mm": v,
      "frames": 1 if frames is None else frames[i],
      "cluster": f"c{i}" if clusters is None else clusters[i],
      "action": "a" if actions is None else actions[i],
    }
    for i, v in enumerate(values)
  }
  fingerprint = {"protocol": "generic", "averaging": averaging, "checkpoint_step": 1, **fingerprint}
  return {"metrics": {"mpjpe_mm": 0.0}, "intervals": {}, "per_sequence": rows, "fingerprint": fingerprint}


def test_paired_difference_by_hand():
  # With 5 frames of y the mean over actions, -1.75, is not that over frames, -16 / 7.
  a = report([10.0, 20.0, 30.0], [1, 1, 5], averaging="actions", actions=["x", "x", "y"])
  b = report([11.0, 20.0, 33.0], [1, 1, 5], averaging="actions", actions=["x", "x", "y"], checkpoint_step=9)
  paired = bootstrap.paired_difference(a, b, "mpjpe_mm")
  assert paired["difference"] == pytest.approx((15 + 30) / 2 - (15.5 + 33) / 2)
  assert paired["per_sequence"] == {"s0": -1, "s1": 0, "s2": -3}
  assert paired["low"] <= paired["difference"] <= paired["high"]


def test_pairing_finds_a_small_gain_under_a_large_spread():
  rng = np.random.default_rng(0)
  hard = rng.normal(80, 20, 40)
  a, b = report((hard + rng.normal(-1, 0.5, 40)).tolist()), report(hard.tolist())
  paired = bootstrap.paired_difference(a, b, "mpjpe_mm")
  assert -1.5 < paired["low"] < paired["high"] < -0.5
  ranges = [
    bootstrap.intervals(
      np.array([[s["mpjpe_mm"]] for s in r["per_sequence"].values()]), np.ones(40), list(r["per_sequence"])
    )[0]
    for r in (a, b)
  ]
  assert ranges[0][1] > ranges[1][0]  # the two intervals overlap


def test_identical_reports_differ_by_exactly_nothing():
  a = report([10.0, 20.0, 30.0], [5, 6, 7])
  paired = bootstrap.paired_difference(a, copy.deepcopy(a), "mpjpe_mm")
  assert (paired["difference"], paired["low"], paired["high"]) == (0, 0, 0)


def test_a_sequence_without_the_metric_is_left_out_of_both_sides():
  paired = bootstrap.paired_difference(report([10.0, None, 30.0]), report([10.0, 50.0, 31.0]), "mpjpe_mm")
  assert paired["difference"] == pytest.approx(-0.5)
  assert set(paired["per_sequence"]) == {"s0", "s2"}
  nothing = bootstrap.paired_difference(report([None, None]), report([1.0, 2.0]), "mpjpe_mm")
  assert nothing["difference"] is None and nothing["low"] is None


def test_views_of_one_motion_give_no_interval_of_the_difference():
  a, b = report([1.0, 2.0], clusters=["m", "m"]), report([2.0, 4.0], clusters=["m", "m"])
  paired = bootstrap.paired_difference(a, b, "mpjpe_mm")
  assert paired["difference"] == pytest.approx(-1.5) and paired["low"] is None and paired["high"] is None


def test_refuses_what_cannot_be_compared():
  a = report([1.0, 2.0])
  with pytest.raises(ValueError, match='protocol: "generic" against "h36m"'):
    bootstrap.paired_difference(a, report([1.0, 2.0], protocol="h36m"), "mpjpe_mm")
  with pytest.raises(ValueError, match="unknown metric 'pck'; both reports have mpjpe_mm"):
    bootstrap.paired_difference(a, a, "pck")
