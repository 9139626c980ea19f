"""People keep their ids: crossing, shuffled, noisy, unseen for a while; ids of the file are kept; jumps are told."""

import numpy as np
import pytest

from jaxpose import skeleton as skeletons
from jaxpose.keypoints import gaps, link, sample
from jaxpose.keypoints.tracks import Detections, Status, dense
from tests.keypoints import files

FPS = 25.0


def detections(points, rng, ids=None, **options):
  """Detections of points [T, N, K, 2] in any order, and who each one is."""
  t, n = np.nonzero(np.isfinite(points).any((-1, -2)))
  order = rng.permutation(len(t))
  t, n = t[order], n[order]
  given = np.full(len(t), -1) if ids is None else np.array(ids)[n]
  k = points.shape[2]
  skeleton = next(skeletons.get(s) for s in ("coco_17", "halpe_26", "body_25") if skeletons.get(s).num_joints == k)
  return Detections(t, points[t, n], np.ones((len(t), k)), given, skeleton, **options), n


def switches(found, truth, frames):
  """How often a person's id changes over time."""
  return sum(
    (np.diff(found[truth == n][np.argsort(frames[truth == n], kind="stable")]) != 0).sum() for n in np.unique(truth)
  )


@pytest.mark.parametrize("skeleton", ["coco_17", "halpe_26", "body_25"])
@pytest.mark.parametrize("seed", range(20))
def test_two_people_cross(seed, skeleton):
  points, _ = files.people(skeleton, sample.FRAMES, seed, noise=5.0)
  rng = np.random.default_rng(seed)
  middle = int(np.abs(np.diff(points[:, :, :, 0].mean(2), axis=1))[:, 0].argmin())
  start = middle - int(rng.integers(0, 10))
  points[start : start + 10, int(rng.integers(2))] = np.nan
  made, truth = detections(points, rng)
  found, notes = link.ids(made, FPS)
  assert switches(found, truth, made.frames) == 0 and set(found) == {1, 2} and not notes


@pytest.mark.parametrize("seed", range(5))
def test_missing_joints_do_not_confuse(seed):
  points, _ = files.people("coco_17", sample.FRAMES, seed, noise=5.0)
  rng = np.random.default_rng(seed)
  points[rng.uniform(size=points.shape[:3]) < 0.5] = np.nan
  made, truth = detections(points, rng)
  found, _ = link.ids(made, FPS)
  assert switches(found, truth, made.frames) == 0 and set(found) == {1, 2}


def test_who_is_unseen_for_a_second_is_known_again_and_later_is_somebody_new():
  points, _ = files.people("coco_17", 1)
  still = np.repeat(points, 100, 0)
  for unseen, people in ((25, {1, 2}), (27, {1, 2, 3})):
    hidden = still.copy()
    hidden[30 : 30 + unseen - 1, 0] = np.nan
    made, _ = detections(hidden, np.random.default_rng(0))
    assert set(link.ids(made, FPS)[0]) == people


def test_ids_that_tell_people_apart_are_kept_and_others_are_not():
  points, _ = files.people("coco_17", 20)
  made, truth = detections(points, np.random.default_rng(0), ids=(9, 4))
  assert (link.ids(made, FPS)[0] == np.array([9, 4])[truth]).all()
  made, truth = detections(points, np.random.default_rng(0), ids=(0, 0))
  found, notes = link.ids(made, FPS)
  assert switches(found, truth, made.frames) == 0 and set(found) == {1, 2}
  assert notes == ("ids stand twice in a frame, so people are linked by where they are",)


def test_people_of_photographs_are_counted_anew():
  points, _ = files.people("coco_17", 3)
  points[1, 0] = np.nan
  made, _ = detections(points, np.random.default_rng(0), still=True)
  found, _ = link.ids(made, FPS)
  assert [sorted(found[made.frames == t]) for t in range(3)] == [[1, 2], [1], [1, 2]]


def test_a_jump_is_told_with_its_frame():
  points, _ = files.people("coco_17", 50)
  made, _ = detections(points, np.random.default_rng(0), ids=(1, 2))
  assert link.jumps(dense(made, made.ids, source="x", format="npz")) == ()
  points[31:] = points[31:, ::-1]  # the ids are exchanged
  made, _ = detections(points, np.random.default_rng(0), ids=(1, 2))
  first, second = link.jumps(dense(made, made.ids, source="x", format="npz"))
  assert first.startswith("person 1 jumps ") and "of their size, at frame 31:" in first
  assert second.startswith("person 2 jumps ") and "at frame 31" in second


def test_short_gaps_are_filled_and_marked_long_ones_stay_empty():
  points, _ = files.people("coco_17", 60)
  broken = points.copy()
  broken[:2, 0] = broken[58:, 0] = np.nan  # before and after
  broken[10:19, 0] = np.nan  # 9 frames: 0.3 s at 30 fps
  broken[30:40, 0] = np.nan  # 10 frames
  broken[50, 1, 3] = np.nan  # a joint alone
  made, _ = detections(broken, np.random.default_rng(0), ids=(1, 2))
  made = made._replace(confidence=np.where(made.frames[:, None] < 15, 0.9, 0.5) * made.confidence)
  tracks = gaps.fill(dense(made, made.ids, source="x", format="npz"), 30)
  expected = np.zeros((60, 2, 17), int)
  expected[[0, 1, 58, 59, *range(30, 40)], 0] = Status.MISSING
  expected[10:19, 0] = expected[50, 1, 3] = Status.FILLED
  np.testing.assert_array_equal(tracks.status, expected)
  line = points[9, 0] + (points[19, 0] - points[9, 0]) * np.arange(1, 10)[:, None, None] / 10
  np.testing.assert_allclose(tracks.keypoints[10:19, 0], line, atol=1e-3)
  np.testing.assert_allclose(tracks.confidence[10:19, 0], 0.5)
  assert gaps.describe(tracks)[0] == "person 1: 37 frames seen, 9 filled, 14 left empty (longest gap 10)"
  with pytest.raises(ValueError, match="gaps of -1 seconds"):
    gaps.fill(tracks, 30, -1)


def test_stretches():
  mask = np.array([0, 1, 1, 0, 0, 1, 0, 1], bool)
  assert gaps.stretches(mask) == [slice(1, 3), slice(5, 6), slice(7, 8)]
  assert gaps.stretches(np.zeros(3, bool)) == [] and gaps.stretches(np.ones(2, bool)) == [slice(0, 2)]
