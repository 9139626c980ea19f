"""PCK of the box and pixels, against numbers that are known."""

import numpy as np
import pytest

from jaxpose.protocols import keypoints_box
from tests import helpers

FACTS = dict(dataset="d", split="s", flip_averaging=False, keypoints_source="images", checkpoint_step=1, seed=0)


def moved(clip, away_px, joints):
  points = clip.keypoints_2d.copy()
  points[:, joints, 0] += away_px
  return clip.replace(keypoints_2d=points)


def test_the_truth_is_perfect_and_a_shift_is_its_length():
  clips = [helpers.clip(5, sequence=s, seed=i) for i, s in enumerate("ab")]
  assert keypoints_box.score(clips, clips) == {"pck_10_box": 100.0, "median_px": 0.0, "mean_px": 0.0}
  side = np.ptp(clips[0].keypoints_2d[..., 1], axis=1)
  found = [moved(clip, 0.2 * side.max(), range(5)) for clip in clips]
  scores = keypoints_box.score(clips, found)
  assert scores["pck_10_box"] == pytest.approx(100 * 12 / 17)
  assert scores["mean_px"] == pytest.approx(0.2 * side.max() * 5 / 17, rel=1e-4) and scores["median_px"] == 0
  hidden = [c.replace(confidence=np.where(np.arange(17) < 5, 0, c.confidence).astype(np.float32)) for c in clips]
  assert keypoints_box.score(hidden, found)["pck_10_box"] == 100


def test_a_report_has_intervals_over_motions_and_a_fingerprint():
  clips = [helpers.clip(5, sequence=s, seed=i) for i, s in enumerate("abc")]
  found = [moved(clip, away, range(17)) for clip, away in zip(clips, (1, 2, 3))]
  report = keypoints_box.evaluate(clips, found, facts=FACTS)
  assert report["metrics"]["median_px"] == pytest.approx(2, abs=1e-3)
  low, high = report["intervals"]["median_px"]
  assert 1 <= low < 2 < high <= 3.001
  assert report["fingerprint"]["oracles"] == ["box"] and report["fingerprint"]["clusters"] == 3
  none = [c.replace(valid=np.zeros(5, bool)) for c in clips]
  with pytest.raises(ValueError, match="no valid frame with keypoints"):
    keypoints_box.evaluate(none, none, facts=FACTS)
