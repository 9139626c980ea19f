"""Motions and clips come back from TFDS as they went in."""

import numpy as np
import pytest
import tensorflow_datasets as tfds

from jaxpose import skeleton as skeletons
from jaxpose.data import features
from jaxpose.data.clip import Clip, Motion
from jaxpose.geometry import camera

H36M = skeletons.get("h36m_17")


def stored(spec, example):
  """The example as a data source gives it: serialised and read back."""
  return spec.deserialize_example_np(spec.serialize_example(spec.encode_example(example)))


def motion(frames=5, **changes):
  positions = np.random.default_rng(0).normal(size=(frames, 17, 3)).astype(np.float32)
  provenance = dict(fps=29.97, subject="S1", action="Walking à pied", sequence="S1_01", up="z")
  return Motion(positions, H36M, **{**provenance, **changes})


def clip(frames=5, **changes):
  rng = np.random.default_rng(1)

  def array(*shape):
    return rng.normal(size=shape).astype(np.float32)

  eye = camera.create((1145, 1143), (512, 515), (1000, 1002), (-0.2, 0.25, 0), (1e-3, 2e-3), position=(1, 2, 3))
  fields = dict(
    keypoints_2d=array(frames, 17, 2),
    confidence=np.abs(array(frames, 17)),
    joints_3d=array(frames, 17, 3),
    valid=rng.random(frames) > 0.5,
    camera=eye,
    skeleton=H36M,
    fps=50.0,
    subject="S9",
    action="Eating",
    sequence="Eating 1",
    camera_id="54138969",
  )
  return Clip(**{**fields, **changes})


def assert_same(a, b):
  assert type(a) is type(b)
  if isinstance(a, np.ndarray):
    assert a.dtype == b.dtype
    np.testing.assert_array_equal(a, b)
  else:
    assert a == b


def test_data_sets_that_were_built_before_gaps_and_opencv_lenses_are_read():
  old = features.motion_to_example(motion())
  del old["valid"]
  assert features.example_to_motion(old).valid.all()
  old = features.clip_to_example(clip())
  del old["camera"]["tangential_gain"]
  assert features.example_to_clip(old).camera.tangential_gain == 1


@pytest.mark.parametrize("frames", [0, 1, 5])
def test_motion_round_trip(frames):
  before = motion(frames)
  after = features.example_to_motion(stored(features.motion_features(H36M), features.motion_to_example(before)))
  for field in ("positions_world", "skeleton", "fps", "subject", "action", "sequence", "up"):
    assert_same(getattr(after, field), getattr(before, field))


@pytest.mark.parametrize("joints_3d", [True, False])
def test_clip_round_trip(joints_3d):
  extra = {"activity": np.arange(5, dtype=np.int32), "note": "indoor"}
  spec = features.clip_features(
    H36M,
    joints_3d=joints_3d,
    extra={"activity": tfds.features.Tensor(shape=(None,), dtype=np.int32), "note": tfds.features.Text()},
  )
  before = clip(extra=extra) if joints_3d else clip(joints_3d=None, extra=extra)
  after = features.example_to_clip(stored(spec, features.clip_to_example(before)))
  for field in ("keypoints_2d", "confidence", "joints_3d", "valid", "skeleton", "fps", "name", "action", "camera_id"):
    assert_same(getattr(after, field), getattr(before, field))
  for name, value in before.camera._asdict().items():
    assert_same(getattr(after.camera, name), value)
  assert set(after.extra) == set(extra)
  for name in extra:
    assert_same(after.extra[name], extra[name])


def test_a_clip_without_extra_has_none():
  after = features.example_to_clip(stored(features.clip_features(H36M), features.clip_to_example(clip())))
  assert after.extra == {}


def test_a_skeleton_that_no_reader_knows_is_not_written():
  own = skeletons.Skeleton("own", H36M.names, H36M.parents)
  with pytest.raises(ValueError, match="unknown skeleton 'own'"):
    features.motion_to_example(Motion(motion().positions_world, own, 30.0))
  other = skeletons.Skeleton("h36m_17", H36M.names[::-1], tuple([*range(1, 17), -1]))
  with pytest.raises(ValueError, match="'h36m_17' is not the library's"):
    features.motion_to_example(Motion(motion().positions_world, other, 30.0))
