"""Bootstrap intervals over sequences, and paired differences of two reports.

Frames of a sequence are not independent, and neither are the views of one motion: what is resampled is the cluster, one
(subject, sequence) with all its cameras. A metric is recomputed on every resample from per-sequence values and frame
counts, by the protocol's own averaging, so that an interval belongs to the number it stands beside.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Shaped

from jaxpose import report as reports


def average(
  values: Float[np.ndarray, "S M"], frames: Shaped[np.ndarray, " S"], actions: Sequence[str] | None = None
) -> Float[np.ndarray, " M"]:
  """The protocol's mean [M] of per-sequence values [S, M] with frame counts [S].

  Frame-weighted over all sequences; with `actions` (one label a sequence) frame-weighted within an action, then the
  plain mean over actions. A NaN value (a metric that the sequence does not have) carries no weight.
  """
  sums, weights = _cluster_sums(values, frames, ["all"] * len(frames), actions)
  return _combine(sums.sum(0), weights.sum(0))


def resample(
  values: Float[np.ndarray, "S M"],
  frames: Shaped[np.ndarray, " S"],
  clusters: Sequence[str],
  actions: Sequence[str] | None = None,
  *,
  seed: int = 0,
  resamples: int = 1000,
) -> Float[np.ndarray, "R M"]:
  """`average` on resampled clusters: [resamples, M].

  values: [S, M], frames: [S], clusters: one label a sequence; sequences of one cluster are drawn together. Clusters are
  ordered by label before they are drawn, so the result depends on the seed and not on the order of the sequences. An
  action that a resample happens to miss is left out of that resample's mean over actions.
  """
  if resamples < 1:
    raise ValueError(f"resamples={resamples}; a bootstrap needs at least 1, and about 1000 for a 95 % interval")
  sums, weights = _cluster_sums(values, frames, clusters, actions)
  number = len(sums)
  counts = np.random.default_rng(seed).multinomial(number, np.full(number, 1 / number), size=resamples)
  shape = (resamples, *sums.shape[1:])
  drawn = [(counts @ table.reshape(number, -1)).reshape(shape) for table in (sums, weights)]
  return _combine(*drawn)


def intervals(
  values: Float[np.ndarray, "S M"],
  frames: Shaped[np.ndarray, " S"],
  clusters: Sequence[str],
  actions: Sequence[str] | None = None,
  *,
  seed: int = 0,
  resamples: int = 1000,
  level: float = 0.95,
) -> list[list[float] | None]:
  """The percentile interval [low, high] of each column's `average` (Efron 1979); arguments as in `resample`.

  None where there is no spread to measure: a single cluster, or a metric that no sequence has. With few clusters (the
  test set of MPI-INF-3DHP has six) a percentile interval is too narrow: a nominal 95 % covers about 85 %.
  """
  if len(set(clusters)) < 2:
    return [None] * values.shape[1]
  return _percentiles(resample(values, frames, clusters, actions, seed=seed, resamples=resamples), level)


def paired_difference(
  report_a: dict, report_b: dict, metric: str, *, seed: int = 0, resamples: int = 1000, level: float = 0.95
) -> dict:
  """a - b of one metric, with a percentile interval from resampling the same clusters in both reports.

  The two share their sequences, so most of what makes sequences differ cancels: the interval of the difference may
  exclude zero where the two intervals overlap. Returns {"metric", "difference", "low", "high", "per_sequence": {name:
  a - b}}; low and high are None with a single cluster.

  Raises a ValueError that names the fields, if the reports do not measure the same thing (`report.check_comparable`).
  """
  reports.check_comparable(report_a, report_b)
  names = sorted(report_a["per_sequence"])
  tables = [[report["per_sequence"][name] for name in names] for report in (report_a, report_b)]
  if any(metric not in row for rows in tables for row in rows):
    known = sorted(set(report_a["metrics"]) & set(report_b["metrics"]))
    raise ValueError(f"unknown metric {metric!r}; both reports have {', '.join(known)}")
  a, b = (np.array([[np.nan if row[metric] is None else row[metric]] for row in rows], float) for rows in tables)
  frames = np.array([row["frames"] for row in tables[0]], float)
  clusters = [row["cluster"] for row in tables[0]]
  by_action = report_a["fingerprint"]["averaging"] == "actions"
  actions = [row["action"] for row in tables[0]] if by_action else None
  # A sequence counts where both reports have the metric; one alone would compare different frames.
  a, b = (np.where(np.isnan(a + b), np.nan, x) for x in (a, b))
  bounds = None
  if len(set(clusters)) > 1:
    draws = [resample(x, frames, clusters, actions, seed=seed, resamples=resamples) for x in (a, b)]
    bounds = _percentiles(draws[0] - draws[1], level)[0]
  difference = average(a, frames, actions)[0] - average(b, frames, actions)[0]
  low, high = bounds or (None, None)
  per_sequence = {name: float(d) for name, d in zip(names, (a - b)[:, 0]) if np.isfinite(d)}
  difference = float(difference) if np.isfinite(difference) else None
  return {"metric": metric, "difference": difference, "low": low, "high": high, "per_sequence": per_sequence}


def _cluster_sums(values, frames, clusters, actions) -> tuple[np.ndarray, np.ndarray]:
  """Weighted sums and weights [C, A, M] of each cluster and action."""
  cluster = np.unique(clusters, return_inverse=True)[1]
  action = np.unique(actions, return_inverse=True)[1] if actions is not None else np.zeros(len(frames), int)
  weight = np.where(np.isnan(values), 0.0, np.asarray(frames, float)[:, None])
  sums = np.zeros((cluster.max() + 1, action.max() + 1, values.shape[1]))
  weights = np.zeros_like(sums)
  np.add.at(sums, (cluster, action), weight * np.nan_to_num(values))
  np.add.at(weights, (cluster, action), weight)
  return sums, weights


def _combine(sums, weights) -> np.ndarray:
  """Sums and weights [..., A, M] to the mean over the actions present, [..., M]; NaN where there is none."""
  present = weights > 0
  within = np.divide(sums, weights, out=np.zeros_like(sums, dtype=float), where=present)
  number = present.sum(-2)
  return np.where(number > 0, within.sum(-2) / np.maximum(number, 1), np.nan)


def _percentiles(draws: np.ndarray, level: float) -> list[list[float] | None]:
  if not 0 < level < 1:
    raise ValueError(f"level={level}; the coverage of an interval lies between 0 and 1, as in 0.95")
  tails = [(1 - level) / 2, (1 + level) / 2]
  columns = [column[np.isfinite(column)] for column in draws.T]
  return [[float(q) for q in np.quantile(column, tails)] if len(column) else None for column in columns]
