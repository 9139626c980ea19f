"""A stream of frames: the batch's poses, frame by frame."""

import warnings

import numpy as np
import pytest

import jaxpose
from jaxpose import keypoints, pose_lifter, smoothing
from jaxpose import skeleton as skeletons
from jaxpose.geometry import camera as cameras
from tests import helpers
from tests.pose_lifter_test import SIZE, coco, untrained

COCO = skeletons.get("coco_17")


@pytest.fixture(scope="module")
def lifter():
  return jaxpose.load("cmu_frame")


def batch(lifter, points, **options):
  with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    return lifter.lift(points, image_size=SIZE, fps=25, **options)


def stream(lifter, **options):
  with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    return lifter.stream(image_size=SIZE, fps=25, **options)


@pytest.mark.parametrize("adapt", ["none", "vanilla", "online"])
def test_a_stream_gives_the_batch_s_poses(lifter, adapt):
  points, confidence = coco(24), np.random.default_rng(0).uniform(0.5, 1, (24, 17))
  points[10:, COCO.index("left_wrist")] = np.nan  # too long to be filled, and to be interpolated
  points[16:18] = np.nan
  confidence[:, COCO.index("right_ear")] = 0.1  # below the threshold
  expected = batch(lifter, points, confidence=confidence, adapt=adapt)
  lift = stream(lifter, adapt=adapt)
  got = [lift(p, c) for p, c in zip(points, confidence)]
  seen = np.arange(24) != 16
  seen[17] = False  # the batch fills these two, from frames to come
  poses = np.stack([frame.positions for frame in got])
  assert np.isnan(poses[~seen]).all() and poses.shape == (24, 17, 3)
  if adapt != "none":  # what the batch learns of filled frames is in those that follow
    seen[16:] = False
  np.testing.assert_allclose(poses[seen], expected.positions[seen], atol=2e-4)
  np.testing.assert_array_equal(np.stack([frame.status for frame in got])[seen], expected.status[seen])
  moved = np.linalg.norm(expected.positions - batch(lifter, points, confidence=confidence).positions, axis=-1)
  assert (moved[seen].max() > 0.01) == (adapt != "none")


def test_people_are_told_apart_by_their_ids(lifter):
  both = np.stack([coco(8, seed=1), coco(8, seed=2) + 40], 1)
  expected = batch(lifter, both, adapt="online").positions
  lift, swapped = stream(lifter, adapt="online"), stream(lifter, adapt="online")
  for t, frame in enumerate(both):
    np.testing.assert_allclose(lift(frame).positions, expected[t], atol=2e-4)
    order = [1, 0] if t % 2 else [0, 1]
    other = swapped(frame[order], ids=[order[0] + 7, order[1] + 7])
    np.testing.assert_allclose(other.positions, expected[t][order], atol=2e-4)
  nobody = lift(np.zeros((0, 17, 2)))
  assert nobody.positions.shape == (0, 17, 3) and nobody.places.shape == (0, 3)


def test_a_long_stream_forgets_as_the_batch_does(lifter):
  """Noise that ends after a third: what is taken for it depends on the frames that are remembered."""
  points = coco(90) + np.random.default_rng(0).normal(0, 8, (90, 17, 2)) * (np.arange(90) < 30)[:, None, None]
  expected, lift = batch(lifter, points, adapt="vanilla").positions, stream(lifter, adapt="vanilla")
  np.testing.assert_allclose(np.stack([lift(p).positions for p in points]), expected, atol=2e-4)


def test_places_are_where_the_keypoints_are(lifter):
  points = coco(1)[0]
  camera = helpers.CAMERA
  frame = lifter.stream(image_size=SIZE, camera=camera)(points)
  found = np.asarray(cameras.project(frame.raw + frame.places, camera))
  limbs = [skeletons.get("h36m_17").index(f"{side}_{joint}") for side in ("left", "right") for joint in ("hip", "knee")]
  theirs = [COCO.index(f"{side}_{joint}") for side in ("left", "right") for joint in ("hip", "knee")]
  assert np.linalg.norm(found[limbs] - points[theirs], axis=-1).max() < 60 and 2 < frame.places[2] < 8


def test_smoothing_is_one_euro_of_the_raw_poses(lifter):
  points = coco(12)
  points[5] = np.nan
  lift, state = stream(lifter, smooth=True), smoothing.one_euro_start((17, 3))
  for frame in map(lift, points):
    state, expected = smoothing.one_euro(state, frame.raw, 25)
    np.testing.assert_allclose(frame.positions, expected, atol=1e-6)
  assert not np.allclose(frame.positions, frame.raw, atol=1e-3)


@pytest.mark.parametrize(
  ("options", "message"),
  [
    (dict(adapt="video"), "the others see all frames first"),
    (dict(fps=0), "fps=0"),
    (dict(joints="coco_71"), "unknown skeleton 'coco_71'"),
    (dict(image_size=(10, 10), camera=helpers.CAMERA), "the image is 10x10"),
  ],
)
def test_mistakes_of_a_stream(lifter, options, message):
  with warnings.catch_warnings(), pytest.raises(ValueError, match=message):
    warnings.simplefilter("ignore")
    lifter.stream(**{"image_size": SIZE, **options})


def test_a_run_of_clips_has_no_stream():
  with warnings.catch_warnings(), pytest.raises(ValueError, match="clips of 9 frames"):
    warnings.simplefilter("ignore")
    pose_lifter.PoseLifter("clips", untrained(9)).stream(image_size=SIZE)


def test_mistakes_of_a_frame_leave_the_stream_as_it_was(lifter):
  lift, points = stream(lifter), coco(1)[0]
  for wrong, options, message in (
    (points[:5], {}, r"shape \(5, 2\); coco_17 takes \[17, 2\]"),
    (points, dict(confidence=np.ones(5)), "confidence has shape"),
    (points, dict(ids=[1, 2]), "2 ids for 1 people"),
    (np.stack([points] * 2), dict(ids=[1, 1]), "an id stands twice"),
    (points * 1e9, {}, "is no pixel"),
  ):
    with pytest.raises(ValueError, match=message):
      lift(wrong, **options)
  assert (lift(points).status == keypoints.Status.SEEN).sum() >= 16
