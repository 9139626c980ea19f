"""Which of several data sets each row of training comes from: shares kept to the row, a pure function of the seed."""

import functools
import math
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from jaxpose.data import pipeline

CYCLE = 1000  # rows over which shares are kept, and within which data sets are shuffled


class Part(NamedTuple):
  """One data set of a mixture: how many windows it has, its share of the rows, and the row from which it takes part."""

  windows: int
  share: float
  first_row: int = 0


def order(parts: Sequence[Part], start: int, stop: int, seed: int) -> np.ndarray:
  """Window indices of rows start to stop of the endless mixed sequence: int32 [stop - start], parts laid end to end.

  Each part's windows come in the order that `pipeline.order` gives them alone; of one part, this is that order. At the
  end of every cycle (`CYCLE` rows, or more for a share below a thousandth), counted anew when a part joins in, each
  part has had its share of the rows so far, within one row. Shares are relative to the sum of those that take part.

  Raises ValueError if a part is empty, a share is not positive, or no part begins at row 0.
  """
  _check(parts)
  seeds = (seed, *(int(s) for s in np.random.SeedSequence(seed).generate_state(len(parts))))
  offsets = np.cumsum([0, *(p.windows for p in parts)])
  bounds = [*sorted({p.first_row for p in parts}), max(stop, *(p.first_row + 1 for p in parts))]
  drawn, rows = np.zeros(len(parts), int), np.empty(stop - start, np.int32)
  for first, last in zip(bounds, bounds[1:]):
    if first >= stop:
      break
    shares = _normalized(tuple(p.share if p.first_row <= first else 0.0 for p in parts))
    low, high = (min(max(row, first), last) for row in (start, stop))
    before = drawn + _count(shares, low - first, seeds[-1])
    which = _which(shares, low - first, high - first, seeds[-1])
    for number, part in enumerate(parts):
      here, done = which == number, int(before[number])
      windows = pipeline.order(part.windows, done, done + int(here.sum()), seeds[number])
      rows[low - start : high - start][here] = offsets[number] + windows
    drawn += _count(shares, last - first, seeds[-1])
  return rows


def _check(parts: Sequence[Part]) -> None:
  for number, part in enumerate(parts):
    if part.windows < 1 or not 0 < part.share < math.inf:
      raise ValueError(f"data set {number} of the mixture has {part.windows} windows and share {part.share}")
  if not any(part.first_row == 0 for part in parts):
    raise ValueError("no data set of the mixture takes part from the first row")


@functools.lru_cache(maxsize=16)
def _normalized(shares: tuple[float, ...]) -> tuple[Fraction, ...]:
  """Shares that add up to exactly 1; 0.1 is a tenth, and not the nearest binary number."""
  exact = [Fraction(str(share)) for share in shares]
  return tuple(share / sum(exact) for share in exact)


def _length(shares: tuple[Fraction, ...]) -> int:
  """Rows of a cycle: so many that each data set has one."""
  return max(CYCLE, *(math.ceil(1 / share) for share in shares if share))


def _quota(shares: tuple[Fraction, ...], cycles: int) -> np.ndarray:
  """Rows of each data set in so many whole cycles, each within one row of its share."""
  rows = cycles * _length(shares)
  return np.diff([math.floor(rows * sum(shares[:i], Fraction(0))) for i in range(len(shares) + 1)])


@functools.lru_cache(maxsize=16)
def _cycle(shares: tuple[Fraction, ...], number: int, seed: int) -> np.ndarray:
  """The data sets of one cycle's rows, shuffled."""
  counts = _quota(shares, number + 1) - _quota(shares, number)
  shuffled = np.random.Generator(np.random.Philox(key=[seed, number]))
  return shuffled.permutation(np.repeat(np.arange(len(shares)), counts))


def _which(shares: tuple[Fraction, ...], start: int, stop: int, seed: int) -> np.ndarray:
  """The data sets of rows start to stop."""
  length = _length(shares)
  cycles = range(start // length, -(-stop // length))
  parts = [_cycle(shares, c, seed)[max(start - c * length, 0) : stop - c * length] for c in cycles]
  return np.concatenate(parts) if parts else np.zeros(0, int)


def _count(shares: tuple[Fraction, ...], rows: int, seed: int) -> np.ndarray:
  """How many of the first `rows` rows each data set has."""
  cycles = rows // _length(shares)
  rest = _which(shares, cycles * _length(shares), rows, seed)
  return _quota(shares, cycles) + np.bincount(rest, minlength=len(shares))
