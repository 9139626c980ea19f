"""Several data sets to train on: joints by name, shares, 3D that is not looked at, and runs that resume."""

import dataclasses

import jax
import numpy as np
import pytest

from jaxpose import checkpoint, skeleton
from jaxpose import config as configs
from jaxpose.data import source
from jaxpose.train import loop, training_set
from tests import helpers

H36M, COCO = skeleton.get("h36m_17"), skeleton.get("coco_17")
HELD_OUT = [helpers.clip(9, seed=2, sequence="sit")]
DATA = dict(dataset="x", splits=("train",))


def config(first=(), second=(), **changes):
  return helpers.config(train=dict(first={**DATA, **dict(first)}, second={**DATA, **dict(second)}), **changes)


def clips(second_seed=1, **changes):
  return {
    "first": [helpers.clip(20)],
    "second": [helpers.clip(15, seed=second_seed, sequence="run", **changes)],
  }


def of_coco(frames=15, **changes):
  """A clip of another joint set, as a detector gives it."""
  other = helpers.clip(frames, seed=4, sequence="seen", joints_3d=None)
  keypoints = other.keypoints_2d[:, : COCO.num_joints]
  return dataclasses.replace(other, keypoints_2d=keypoints, skeleton=COCO, **changes)


def without_a_head_top(frames=5):
  smpl, rng = skeleton.get("smpl_24"), np.random.default_rng(0)
  points, shape = rng.normal(size=(frames, 24, 3)).astype(np.float32), (frames, 24)
  seen = dict(keypoints_2d=points[..., :2], confidence=np.ones(shape, np.float32), joints_3d=points)
  return helpers.clip(frames, skeleton=smpl, **seen)


def built(config, clips):
  return training_set.build(config, training_set.joined(config, clips, H36M))


def test_without_shares_each_data_set_is_drawn_as_often_as_it_has_windows():
  rows = built(config(), clips()).rows(0, 7000)
  assert (rows < 20).sum() == 4000
  rows = built(config(dict(share=1), dict(share=3)), clips()).rows(0, 4000)
  assert (rows < 20).sum() == 1000


def test_start_step_is_a_step_and_not_a_row():
  data = built(config(second=dict(start_step=5), batch_size=8), clips())
  assert (data.rows(0, 40) < 20).all() and (data.rows(40, 80) >= 20).any()


def test_clips_of_other_joints_are_mapped_by_name():
  run, seen = config(second=dict(use_3d=False), method="masked"), of_coco()
  windows = built(run, {"first": [helpers.clip(20)], "second": [seen]}).windows
  expected = source.mapped(seen, H36M)
  np.testing.assert_array_equal(windows.frames["keypoints_2d"][20:], expected.keypoints_2d)
  np.testing.assert_array_equal(windows.frames["confidence"][20:], expected.confidence)
  wrist = seen.keypoints_2d[:, COCO.names.index("left_wrist")]
  np.testing.assert_array_equal(windows.frames["keypoints_2d"][20:, H36M.names.index("left_wrist")], wrist)


def test_3d_that_is_not_used_is_not_looked_at():
  run = config(second=dict(use_3d=False), method="masked")
  data = built(run, clips())
  np.testing.assert_array_equal(data.labelled, np.arange(20))
  other = built(run, clips(joints_3d=np.full((15, 17, 3), 7, np.float32)))
  for name, frames in data.windows.frames.items():
    np.testing.assert_array_equal(frames, other.windows.frames[name])


@pytest.mark.parametrize(
  ("given", "message"),
  [
    (
      dict(first=[helpers.clip(5)]),
      r"clips of the data sets \['first'\], but config.train names \['first', 'second'\]",
    ),
    ([helpers.clip(5)], r"clips of the data sets \['train'\]"),
    (dict(first=[helpers.clip(5)], second=[]), r"no clips to train on in train.second \(x\)"),
    (dict(first=[helpers.clip(5)], second=[helpers.clip(5, joints_3d=None)]), "has no joints_3d: training needs 3D"),
    (
      dict(first=[helpers.clip(5)], second=[without_a_head_top()]),
      "train.second does not fit the validation clips' joints 'h36m_17': .*lack head_top of",
    ),
    (
      dict(first=[helpers.clip(5)], second=[helpers.clip(5, valid=np.zeros(5, bool))]),
      r"no clip of train.second \(x\) holds a window of 1 valid frames",
    ),
  ],
)
def test_each_mistake_has_its_error(given, message):
  with pytest.raises(ValueError, match=message):
    built(config(), given)


def test_training_needs_clips_to_validate_on(tmp_path):
  with pytest.raises(ValueError, match="no clips to validate on.*config.validation"):
    loop.train(config(), str(tmp_path), clips(), [])


def run(workdir, devices=None, allow_changed=(), **changes):
  mixed = config(second=dict(use_3d=False, start_step=4), method="masked", **changes)
  devices = devices or jax.devices()[:1]
  return loop.train(mixed, str(workdir), clips(), HELD_OUT, devices=devices, allow_changed=allow_changed)


def assert_close(a, b, **tolerance):
  for x, y in zip(jax.tree.leaves(jax.device_get(a)), jax.tree.leaves(jax.device_get(b)), strict=True):
    np.testing.assert_allclose(x, y, **tolerance)


def test_a_mixture_resumes_exactly_and_streamed_or_on_eight_devices_trains_the_same(tmp_path):
  whole = run(tmp_path / "whole")
  run(tmp_path / "cut", num_steps=6, optim=dict(schedule="constant"))
  assert checkpoint.steps(str(tmp_path / "cut")) == [6]
  resumed = run(tmp_path / "cut", optim=dict(schedule="constant"), allow_changed=["config.num_steps"])
  constant = run(tmp_path / "constant", optim=dict(schedule="constant"))
  assert_close(resumed, constant, rtol=0, atol=0)
  streamed = run(tmp_path / "streamed", resident=False)
  assert_close(streamed.params, whole.params, rtol=0, atol=2e-3)
  eight = run(tmp_path / "eight", devices=jax.devices()[:8])
  assert_close(eight.params, whole.params, rtol=0, atol=2e-3)
  other = run(tmp_path / "other", seed=1)
  assert not np.allclose(jax.tree.leaves(other.params)[0], jax.tree.leaves(whole.params)[0], atol=2e-3)


def test_a_run_of_several_data_sets_is_described_and_read_back(tmp_path):
  run(tmp_path)
  description = checkpoint.describe(str(tmp_path), 12)
  assert configs.from_dict(description["config"]) == config(second=dict(use_3d=False, start_step=4), method="masked")
  assert len(description["statistics"]["bone_lengths_m"]) == len(H36M.bones)
