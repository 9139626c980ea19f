import jax
import numpy as np
import pytest

from jaxpose.data import pipeline
from tests import helpers


def collect(data, **options):
  return list(pipeline.batches(data, **{**dict(length=1, batch_size=4, seed=3, num_steps=9), **options}))


def assert_same(a, b):
  assert len(a) == len(b)
  for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b)):
    np.testing.assert_array_equal(x, y)


def two_clips():
  hole = np.ones(11, bool)
  hole[4] = False
  return [helpers.clip(12), helpers.clip(11, seed=1, sequence="run", valid=hole)]


def test_every_epoch_is_another_permutation_of_all_windows():
  epochs = pipeline.order(10, 0, 30, seed=0).reshape(3, 10)
  for epoch in epochs:
    assert sorted(epoch) == list(range(10))
  assert len({tuple(e) for e in epochs}) == 3
  np.testing.assert_array_equal(pipeline.order(10, 7, 23, seed=0), epochs.reshape(-1)[7:23])
  assert not np.array_equal(pipeline.order(10, 0, 10, seed=1), epochs[0])


def test_windows_hold_valid_consecutive_frames_of_one_clip():
  data = pipeline.windows(two_clips(), length=3)
  assert len(data.start) == (12 - 2) + (2 + 4)
  batch = pipeline.gather(data, np.arange(len(data.start)), 3)
  assert batch["valid"].all()
  owner = np.searchsorted([12], data.start, side="right")
  np.testing.assert_array_equal(owner, data.clip)
  np.testing.assert_array_equal(np.searchsorted([12], data.start + 2, side="right"), data.clip)


def test_stride_counts_frames_of_the_clip():
  data = pipeline.windows([helpers.clip(12)], length=3, stride=4)
  np.testing.assert_array_equal(data.start, [0, 4, 8])


def test_batches_have_the_documented_shapes_and_dtypes():
  batch = collect(pipeline.windows(two_clips(), 5), length=5)[0]
  shapes = {k: v.shape for k, v in batch.items() if k != "camera"}
  assert shapes == dict(keypoints_2d=(4, 5, 17, 2), confidence=(4, 5, 17), joints_3d=(4, 5, 17, 3), valid=(4, 5))
  assert batch["camera"].rotation.shape == (4, 3, 3)
  assert {x.dtype for x in jax.tree.leaves(batch)} == {np.dtype(np.float32), np.dtype(bool)}


def test_streamed_batches_are_the_rows_of_order():
  data = pipeline.windows(two_clips())
  rows = pipeline.order(len(data.start), 0, 36, seed=3).reshape(9, 4)
  assert_same(collect(data), [pipeline.gather(data, r, 1) for r in rows])


@pytest.mark.parametrize("start", [1, 7])
def test_resuming_at_a_step_continues_exactly(start):
  data = pipeline.windows(two_clips())
  assert_same(collect(data, start_step=start), collect(data)[start:])


def test_two_processes_hold_contiguous_halves_of_each_batch():
  data = pipeline.windows(two_clips())
  halves = [collect(data, process=(p, 2)) for p in range(2)]
  joined = [jax.tree.map(lambda a, b: np.concatenate([a, b]), *pair) for pair in zip(*halves)]
  assert_same(joined, collect(data))


def test_worker_processes_keep_the_order():
  data = pipeline.windows(two_clips())
  assert_same(collect(data, workers=1, start_step=2), collect(data)[2:])


def test_errors_name_the_remedy():
  with pytest.raises(ValueError, match="no clips"):
    pipeline.windows([])
  with pytest.raises(ValueError, match="none of the 1 clips holds a window of 40 valid frames .*longest clip has 12"):
    pipeline.windows([helpers.clip(12)], 40)
  with pytest.raises(ValueError, match="S1/walk/0 has no joints_3d"):
    pipeline.windows([helpers.clip(12, joints_3d=None)])
  with pytest.raises(ValueError, match="batch_size=4 is not divisible by the 3 processes"):
    collect(pipeline.windows(two_clips()), process=(0, 3))


def test_short_clips_are_padded_and_marked():
  short = helpers.clip(4, seed=2, sequence="hop")
  clips = [helpers.clip(7), short, helpers.clip(3, valid=np.array([True, False, True]))]
  data = pipeline.windows(clips, 6, pad_short=True)
  assert len(data.start) == 2 + 1 and data.clip.tolist() == [0, 0, 1]
  batch = pipeline.gather(data, np.arange(3), 6)
  assert batch["present"].tolist() == [[True] * 6, [True] * 6, [True] * 4 + [False] * 2]
  np.testing.assert_array_equal(batch["valid"], batch["present"])
  np.testing.assert_array_equal(batch["keypoints_2d"][2], short.keypoints_2d[[0, 1, 2, 3, 3, 3]])
  assert len(pipeline.windows(clips, 6).start) == 2
  assert "present" not in pipeline.windows(clips, 3, pad_short=True).frames


def test_clips_without_3d_are_marked():
  flat = helpers.clip(5, joints_3d=None)
  data = pipeline.windows([helpers.clip(5), flat], 5, allow_2d=True)
  batch = pipeline.gather(data, np.arange(2), 5)
  assert batch["labelled"].tolist() == [[True] * 5, [False] * 5] and np.isfinite(batch["joints_3d"]).all()
  assert "labelled" not in pipeline.windows([helpers.clip(5)], 5, allow_2d=True).frames
