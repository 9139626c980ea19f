"""Shares of several data sets, kept to the row; the rows of one data set are what they always were."""

import functools
import pathlib

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxpose.data import mixture, pipeline
from jaxpose.data.mixture import Part
from tests import helpers

GOLDEN = pathlib.Path(__file__).parents[1] / "golden" / "training_rows.npz"  # recorded before data sets could be mixed
JOINING = (Part(7, 1.0), Part(130, 2.0), Part(11, 0.5, first_row=1234), Part(5, 3.0, first_row=70))


def parts_of(rows, parts):
  return np.searchsorted(np.cumsum([p.windows for p in parts]), rows, side="right")


@pytest.mark.parametrize(("size", "seed"), [(7, 0), (130, 3), (1000, 12345)])
def test_a_single_data_set_draws_the_rows_it_always_drew(size, seed):
  with np.load(GOLDEN) as golden:
    for share in (1.0, 0.1, float(size)):
      rows = functools.partial(mixture.order, (Part(size, share),), seed=seed)
      np.testing.assert_array_equal(rows(0, 400), golden[f"{size}_{seed}"])
      later = golden[f"{size}_{seed}_later"]
      np.testing.assert_array_equal(rows(64 * 997, 64 * 997 + len(later)), later)


@pytest.mark.parametrize(
  "shares", [(0.7, 0.3), (1, 1), (1, 1, 1), (17_748, 60_000), (0.999, 0.0005, 0.0005), (3, 1, 4, 1, 5)], ids=str
)
def test_shares_are_kept_within_a_row_at_the_end_of_every_cycle(shares):
  parts = [Part(50 + i, float(share)) for i, share in enumerate(shares)]
  cycle = max(mixture.CYCLE, round(sum(shares) / min(shares)))
  which = parts_of(mixture.order(parts, 0, 7 * cycle, seed=1), parts).reshape(7, cycle)
  counts = np.stack([np.bincount(row, minlength=len(parts)) for row in which])
  due = np.arange(1, 8)[:, None] * cycle * np.array(shares) / sum(shares)
  assert (np.abs(counts.cumsum(0) - due) < 1).all()
  assert (counts > 0).all()


def test_shares_that_come_out_even_are_exact():
  parts = [Part(9, 0.7), Part(9, 0.2), Part(9, 0.1)]
  which = parts_of(mixture.order(parts, 0, 5000, seed=2), parts).reshape(5, 1000)
  assert [np.bincount(row).tolist() for row in which] == [[700, 200, 100]] * 5


def test_data_sets_are_shuffled_within_a_cycle_anew_in_each_and_by_the_seed():
  parts = [Part(9, 1.0), Part(9, 1.0)]
  first, again = (parts_of(mixture.order(parts, 0, 2000, seed), parts).reshape(2, 1000) for seed in (0, 1))
  assert not np.array_equal(first[0], first[1]) and not np.array_equal(first[0], again[0])
  runs = np.diff(np.flatnonzero(np.diff(first[0])))  # of a coin: 500 runs, of two rows each
  assert runs.mean() == pytest.approx(2, abs=0.2) and runs.max() > 4


def test_each_data_set_is_gone_through_in_its_own_shuffled_epochs():
  rows = mixture.order(JOINING, 0, 4000, seed=5)
  offset = 0
  for part in JOINING:
    mine = rows[(rows >= offset) & (rows < offset + part.windows)] - offset
    whole = mine[: len(mine) // part.windows * part.windows].reshape(-1, part.windows)
    assert len(whole) > 2 and (np.sort(whole, axis=1) == np.arange(part.windows)).all()
    assert not np.array_equal(whole[0], whole[1])
    offset += part.windows


def test_two_data_sets_of_one_size_are_not_in_step():
  rows = mixture.order([Part(100, 1.0), Part(100, 1.0)], 0, 200, seed=0)
  assert not np.array_equal(rows[rows < 100], rows[rows >= 100] - 100)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(start=st.integers(0, 4000), length=st.integers(0, 3000))
def test_any_stretch_is_that_of_the_whole_sequence(start, length):
  np.testing.assert_array_equal(mixture.order(JOINING, start, start + length, 3), _whole()[start : start + length])


@functools.cache
def _whole():
  return mixture.order(JOINING, 0, 7000, 3)


def test_a_data_set_joins_in_at_its_row_and_the_others_go_on():
  which = parts_of(_whole(), JOINING)
  assert np.flatnonzero(which == 2)[0] >= 1234 and np.flatnonzero(which == 3)[0] >= 70
  assert (np.bincount(which[:70], minlength=4)[2:] == 0).all() and (which[70:1234] != 2).all()
  counts = np.bincount(which[1234:6234], minlength=4)
  np.testing.assert_allclose(counts, 5000 * np.array([1, 2, 0.5, 3]) / 6.5, atol=1)
  first = _whole()[_whole() < 7]  # the first data set's epochs are not broken by who joins
  np.testing.assert_array_equal(np.sort(first[: len(first) // 7 * 7].reshape(-1, 7), 1), [range(7)] * (len(first) // 7))


@pytest.mark.parametrize(
  ("parts", "message"),
  [
    ([Part(9, 0.0)], "data set 0 of the mixture has 9 windows and share 0.0"),
    ([Part(9, 1.0), Part(9, -1.0)], "data set 1 .* share -1.0"),
    ([Part(9, float("nan"))], "share nan"),
    ([Part(0, 1.0)], "0 windows"),
    ([Part(9, 1.0, first_row=3)], "no data set of the mixture takes part from the first row"),
  ],
)
def test_what_is_no_mixture_is_refused(parts, message):
  with pytest.raises(ValueError, match=message):
    mixture.order(parts, 0, 10, 0)


def collect(data, rows, **options):
  fixed = dict(length=1, batch_size=4, seed=3, num_steps=9, rows=rows)
  return list(pipeline.batches(data, **{**fixed, **options}))


def assert_same(a, b):
  assert len(a) == len(b) > 0
  for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b)):
    np.testing.assert_array_equal(x, y)


def test_streamed_resumed_or_spread_a_mixture_has_the_same_rows():
  data = pipeline.windows([helpers.clip(12), helpers.clip(11, seed=1, sequence="run")])
  rows = functools.partial(mixture.order, (Part(12, 1.0), Part(11, 2.0, first_row=10)), seed=3)
  whole = [pipeline.gather(data, r, 1) for r in rows(0, 36).reshape(9, 4)]
  assert_same(collect(data, rows), whole)
  for start in (1, 5):
    assert_same(collect(data, rows, start_step=start), whole[start:])
  halves = [collect(data, rows, process=(p, 2)) for p in range(2)]
  assert_same([jax.tree.map(lambda a, b: np.concatenate([a, b]), *pair) for pair in zip(*halves)], whole)
  assert_same(collect(data, rows, workers=1, start_step=2), whole[2:])
