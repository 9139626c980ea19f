"""Means over seeds and sequences, paired comparisons, and their intervals: pure functions of arrays.

Seeds and motions are both samples of something larger: another seed gives other weights, another motion other frames.
Both are resampled, independently of one another (Owen 2007, "The pigeonhole bootstrap"), so that an interval holds for
new seeds and new motions. The views of one motion are drawn together, as in jaxpose.bootstrap.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Shaped

from jaxpose import report as reports


def average(values: Float[np.ndarray, "K S M"], frames: Shaped[np.ndarray, " S"]) -> Float[np.ndarray, " M"]:
  """The mean [M] over K seeds, all alike, and S sequences, by their frames."""
  weight = np.asarray(frames, float)
  return (values.mean(0) * weight[:, None]).sum(0) / weight.sum()


def resample(
  values: Float[np.ndarray, "K S M"],
  frames: Shaped[np.ndarray, " S"],
  clusters: Sequence[str],
  *,
  seed: int = 0,
  resamples: int = 2000,
) -> Float[np.ndarray, "R M"]:
  """`average` on resampled seeds and resampled clusters of sequences: [resamples, M].

  The columns M of one resample share its seeds and clusters, so differences and ratios of columns are paired.
  """
  labels, cluster = np.unique(clusters, return_inverse=True)
  weight = np.asarray(frames, float)
  sums = np.zeros((len(values), len(labels), values.shape[2]))
  np.add.at(sums.swapaxes(0, 1), cluster, (values * weight[:, None]).swapaxes(0, 1))
  weights = np.bincount(cluster, weight)
  rng = np.random.default_rng(seed)
  of_seeds = rng.multinomial(len(values), np.full(len(values), 1 / len(values)), size=resamples) / len(values)
  of_clusters = rng.multinomial(len(labels), np.full(len(labels), 1 / len(labels)), size=resamples)
  return np.einsum("rk,rc,kcm->rm", of_seeds, of_clusters, sums, optimize=True) / (of_clusters @ weights)[:, None]


def interval(draws: Float[np.ndarray, " R"], level: float = 0.95) -> list[float]:
  """[low, high], the percentiles between which `level` of the draws lie."""
  return [float(q) for q in np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])]


def compare(
  row: Float[np.ndarray, "K S"],
  other: Float[np.ndarray, "K S"],
  frames: Shaped[np.ndarray, " S"],
  clusters: Sequence[str],
  *,
  higher_is_better: bool = False,
  seed: int = 0,
  resamples: int = 2000,
) -> dict[str, Any]:
  """own against other, pair by pair of (seed, sequence): difference, ratio, and what became worse.

  Returns {"difference", "difference_interval", "ratio", "ratio_interval", "worse_sequences": sequences whose mean over
  seeds is worse, "sequences", "worse_pairs", "pairs"}. The intervals are None where there is nothing to resample: one
  seed of one motion. With few seeds a percentile interval is too narrow: 5 seeds alone would cover about 84 %, not 95.
  """
  both = np.stack([row, other], -1)
  a, b = average(both, frames)
  result: dict[str, Any] = {"difference": float(a - b), "ratio": float(a / b)}
  bounds: list[Any] = [None, None]
  if len(row) > 1 or len(set(clusters)) > 1:
    draws = resample(both, frames, clusters, seed=seed, resamples=resamples)
    bounds = [interval(draws[:, 0] - draws[:, 1]), interval(draws[:, 0] / draws[:, 1])]
  worse = (other - row) if higher_is_better else (row - other)
  return {
    **result,
    "difference_interval": bounds[0],
    "ratio_interval": bounds[1],
    "worse_sequences": int((worse.mean(0) > 0).sum()),
    "sequences": row.shape[1],
    "worse_pairs": int((worse > 0).sum()),
    "pairs": row.size,
  }


def worse_groups(
  row: Float[np.ndarray, "K S"],
  other: Float[np.ndarray, "K S"],
  frames: Shaped[np.ndarray, " S"],
  labels: Sequence[str],
) -> tuple[int, int]:
  """(groups of sequences whose mean over seeds and frames is larger in own than in other, groups).

  labels: the group of each sequence.
  """
  names, group = np.unique(labels, return_inverse=True)
  change = np.bincount(group, (row - other).mean(0) * np.asarray(frames, float))
  return int((change > 0).sum()), len(names)


def table(
  by_seed: Sequence[Mapping[str, Any]], metrics: Sequence[str]
) -> tuple[Float[np.ndarray, "K S M"], Float[np.ndarray, " S"], list[str]]:
  """Per-sequence values [K, S, M] of one report a seed, the sequences' frames [S] and their clusters, by name.

  Raises ValueError when the reports do not measure the same thing, or average by something else than frames.
  """
  for one in by_seed:
    reports.check_comparable(dict(one), dict(by_seed[0]))
    if one["fingerprint"]["averaging"] != "frames":
      raise ValueError(f"protocol {one['fingerprint']['protocol']!r} averages by actions; the study pools frames")
  names = sorted(by_seed[0]["per_sequence"])
  rows = [[one["per_sequence"][n] for n in names] for one in by_seed]
  values = np.array([[[row[m] for m in metrics] for row in seed] for seed in rows], float)
  return values, np.array([row["frames"] for row in rows[0]], float), [row["cluster"] for row in rows[0]]
