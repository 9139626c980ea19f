"""Clips and motions say at once what is wrong with them, and where."""

import dataclasses

import numpy as np
import pytest

from jaxpose import skeleton
from jaxpose.data.clip import Clip, Motion, noisy, with_gaps
from jaxpose.geometry import camera

H36M = skeleton.get("h36m_17")


def make_motion(**changes):
  fields = dict(
    positions_world=np.zeros((4, 17, 3), np.float32), skeleton=H36M, fps=50.0, subject="S1", sequence="Walking 1"
  )
  return Motion(**{**fields, **changes})


def make_clip(**changes):
  fields = dict(
    keypoints_2d=np.zeros((4, 17, 2), np.float32),
    confidence=np.ones((4, 17), np.float32),
    joints_3d=np.zeros((4, 17, 3), np.float32),
    valid=np.ones(4, bool),
    camera=camera.create((1145, 1144), (512, 515), (1000, 1002)),
    skeleton=H36M,
    fps=50.0,
    subject="S1",
    sequence="Walking 1",
    camera_id="54138969",
  )
  return Clip(**{**fields, **changes})


def with_nan(shape, frame):
  array = np.zeros(shape, np.float32)
  array[frame, 3] = np.nan
  return array


def test_a_clip_has_a_name_a_length_and_may_lack_3d():
  clip = make_clip(joints_3d=None)
  assert clip.name == "S1/Walking 1/54138969"
  assert len(clip) == 4
  assert clip.extra == {}


def test_replace_checks_again_and_leaves_the_original():
  clip = make_clip()
  assert clip.replace(action="Walking").action == "Walking" and clip.action == ""
  with pytest.raises(ValueError, match="keypoints_2d has shape"):
    clip.replace(keypoints_2d=np.zeros((3, 17, 2), np.float32))


def test_clips_are_frozen_and_share_no_extra():
  clip = make_clip()
  with pytest.raises(dataclasses.FrozenInstanceError):
    clip.fps = 25.0
  assert clip.extra is not make_clip().extra


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"keypoints_2d": np.zeros((4, 16, 2), np.float32)}, r"S1/Walking 1/54138969: keypoints_2d.*expected \[4, 17, 2\]"),
    ({"keypoints_2d": np.zeros((4, 17, 2))}, "keypoints_2d has dtype float64, expected float32"),
    ({"keypoints_2d": with_nan((4, 17, 2), 2)}, "keypoints_2d holds NaN or infinity, first at frame 2"),
    ({"confidence": np.ones((4, 17, 1), np.float32)}, r"confidence has shape \(4, 17, 1\), expected \[4, 17\]"),
    ({"joints_3d": with_nan((4, 17, 3), 1)}, "joints_3d holds NaN or infinity, first at frame 1"),
    ({"joints_3d": np.zeros((5, 17, 3), np.float32)}, r"joints_3d has shape \(5, 17, 3\), expected \[4, 17, 3\]"),
    ({"valid": np.ones(4)}, "valid has dtype float64, expected bool"),
    ({"valid": np.ones((4, 1), bool)}, r"valid has shape \(4, 1\), expected \[T\]"),
    ({"fps": 0.0}, "fps=0.0; the frame rate is a positive number"),
    ({"fps": float("nan")}, "fps=nan"),
  ],
)
def test_a_malformed_clip_is_refused(changes, message):
  with pytest.raises(ValueError, match=message):
    make_clip(**changes)


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    (
      {"positions_world": np.zeros((4, 17), np.float32)},
      r"motion S1/Walking 1: positions_world.*expected \[T, 17, 3\]",
    ),
    ({"positions_world": np.zeros((4, 14, 3), np.float32)}, r"expected \[T, 17, 3\]"),
    ({"positions_world": with_nan((4, 17, 3), 3)}, "first at frame 3; repair or drop"),
    ({"valid": np.ones(3, bool)}, r"valid has dtype bool and shape \(3,\)"),
    ({"valid": np.ones(4)}, "valid has dtype float64"),
    ({"valid": np.zeros(4, bool)}, "none of its 4 frames is valid"),
    ({"up": "x"}, "up='x'; the vertical axis is 'y' or 'z'"),
    ({"fps": -1.0}, "fps=-1.0"),
  ],
)
def test_a_malformed_motion_is_refused(changes, message):
  with pytest.raises(ValueError, match=message):
    make_motion(**changes)


def test_an_empty_motion_is_a_motion():
  assert make_motion(positions_world=np.zeros((0, 17, 3), np.float32)).positions_world.shape[0] == 0


def test_a_frame_with_nan_is_not_valid_and_stands_where_the_nearest_one_does():
  positions = np.repeat(np.arange(8.0)[:, None, None], 17, 1) * np.ones(3)
  for frame, joint, value in ((0, 3, np.nan), (1, 0, np.inf), (4, 16, np.nan), (5, 0, np.nan), (7, 5, np.nan)):
    positions[frame, joint, 1] = value
  motion = with_gaps(positions, skeleton=H36M, fps=50.0, subject="S1")
  assert motion.valid.tolist() == [False, False, True, True, False, False, True, False]
  np.testing.assert_array_equal(motion.positions_world[:, 7, 0], [2, 2, 2, 3, 3, 6, 6, 6])
  assert motion.positions_world.dtype == np.float32 and motion.subject == "S1"


def test_a_motion_of_gaps_alone_is_refused():
  with pytest.raises(ValueError, match="motion S1/a: in each of its 3 frames a joint is NaN or infinite"):
    with_gaps(np.full((3, 17, 3), np.nan), skeleton=H36M, fps=50.0, subject="S1", sequence="a")


def test_noise_has_its_size_and_depends_on_the_clip_alone():
  clip = make_clip(confidence=np.ones((4, 17), np.float32) * (np.arange(17) != 9).astype(np.float32))
  change = noisy(clip, 5.0).keypoints_2d - clip.keypoints_2d
  assert 3.5 < change[:, :9].std() < 6.5 and not np.any(change[:, 9])
  np.testing.assert_array_equal(noisy(clip, 5.0).keypoints_2d, noisy(clip, 5.0).keypoints_2d)
  for other in (noisy(clip, 5.0, seed=1), noisy(clip.replace(sequence="Eating"), 5.0)):
    assert np.any(other.keypoints_2d != noisy(clip, 5.0).keypoints_2d)
  assert noisy(clip, 0.0) is clip
  with pytest.raises(ValueError, match="noise of -1.0 pixels"):
    noisy(clip, -1.0)
