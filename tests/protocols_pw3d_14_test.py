"""Protocol pw3d_14: values computed by hand, and an independent reference with SPIN's own index list."""

import numpy as np
import pytest

from jaxpose import protocols, skeleton
from tests import helpers

H36M = skeleton.get("h36m_17")
FACTS = dict(
  dataset="pw3d/h36m_17", split="test", flip_averaging=False, keypoints_source="ground truth", checkpoint_step=7,
  seed=3, oracles=[],
)  # fmt: skip
# SPIN's H36M_TO_J14, of its regressor's rows: left leg first.
SPIN_ROWS = [0, 4, 5, 6, 1, 2, 3, *range(7, 17)]
SPIN_J14 = [6, 5, 4, 1, 2, 3, 16, 15, 14, 11, 12, 13, 8, 10]
SCORED = [SPIN_ROWS[j] for j in SPIN_J14]  # among h36m_17


def evaluate(clips, predictions, **facts):
  return protocols.evaluate("pw3d_14", clips, predictions, facts={**FACTS, **facts}, resamples=20)


def moved(clip, millimetres, *joints):
  prediction = clip.joints_3d.copy()
  prediction[:, [H36M.index(j) for j in joints]] += np.float32([0, millimetres / 1000, 0])
  return prediction


def reference(clips, predictions):
  """MPJPE and PA-MPJPE in float64: pelvis first, then the 14 joints; the mean over all valid frames."""
  errors, aligned = [], []
  for clip, prediction in zip(clips, predictions):
    for p, t, valid in zip(prediction.astype(float), clip.joints_3d.astype(float), clip.valid):
      if valid:
        p, t = (p - p[0])[SCORED], (t - t[0])[SCORED]
        errors.append(np.linalg.norm(p - t, axis=1))
        pc, tc = p - p.mean(0), t - t.mean(0)
        u, s, vt = np.linalg.svd(pc.T @ tc)
        sign = np.array([1, 1, np.sign(np.linalg.det(u @ vt))])
        aligned.append(np.linalg.norm((s * sign).sum() / (pc**2).sum() * pc @ (u * sign) @ vt - tc, axis=1))
  return 1000 * np.mean(errors), 1000 * np.mean(aligned)


def test_the_fourteen_joints_are_spins():
  assert list(protocols.get("pw3d_14").scored) == [H36M.names[j] for j in SCORED]
  lsp = skeleton.joint_map(H36M, skeleton.get("lsp_14"))
  assert [lsp.averaged.get(n, (n,))[0] for n in lsp.target.names] == list(protocols.get("pw3d_14").scored)


def test_ground_truth_scores_nothing_wherever_it_stands():
  clip = helpers.clip()
  metrics = evaluate([clip], [clip.joints_3d + np.float32([1, -2, 3])])["metrics"]
  assert metrics["mpjpe_mm"] == pytest.approx(0, abs=1e-3)
  assert metrics["pa_mpjpe_mm"] == pytest.approx(0, abs=1e-2)
  assert metrics["pck_150"] == 100


def test_ten_millimetres_on_one_joint():
  clip = helpers.clip()
  for joint in ("left_wrist", "thorax", "head_top"):
    report = evaluate([clip], [moved(clip, 10, joint)])
    assert report["metrics"]["mpjpe_mm"] == pytest.approx(10 / 14, rel=1e-3)
    # Moving, turning and scaling 14 points can take up part of one's error, never add to the sum of squares.
    assert 0 < report["metrics"]["pa_mpjpe_mm"] < 10 * np.sqrt(14) / 14
    group = joint.removeprefix("left_")
    assert report["per_joint_group"][group]["mpjpe_mm"] == pytest.approx(5 if group != joint else 10, rel=1e-3)


def test_the_pelvis_centres_but_is_not_scored():
  clip = helpers.clip()
  metrics = evaluate([clip], [moved(clip, 10, "pelvis")])["metrics"]
  assert metrics["mpjpe_mm"] == pytest.approx(10, rel=1e-3)  # all 14 joints by as much
  assert metrics["pa_mpjpe_mm"] == pytest.approx(0, abs=1e-2)
  metrics = evaluate([clip], [moved(clip, 10, "spine", "nose")])["metrics"]
  assert metrics["mpjpe_mm"] == pytest.approx(0, abs=1e-3)


def test_scaled_and_mirrored():
  clip = helpers.clip()
  relative = clip.joints_3d - clip.joints_3d[:, :1]
  metrics = evaluate([clip], [1.1 * relative])["metrics"]
  assert metrics["mpjpe_mm"] == pytest.approx(100 * np.linalg.norm(relative[:, SCORED], axis=-1).mean(), rel=1e-4)
  assert metrics["pa_mpjpe_mm"] == pytest.approx(0, abs=1e-2)
  assert metrics["n_mpjpe_mm"] == pytest.approx(0, abs=1e-2)
  mirrored = relative * np.float32([-1, 1, 1])
  metrics = evaluate([clip], [mirrored])["metrics"]
  assert metrics["mpjpe_mm"] == pytest.approx(2000 * np.abs(relative[:, SCORED, 0]).mean(), rel=1e-4)
  assert metrics["pa_mpjpe_mm"] == pytest.approx(reference([clip], [mirrored])[1], rel=1e-3)
  assert metrics["pa_mpjpe_mm"] > 50


def test_agrees_with_the_reference_over_valid_frames_pooled():
  rng = np.random.default_rng(4)
  clips = [helpers.clip(5, 1, "a"), helpers.clip(9, 2, "b")]
  clips[1] = clips[1].replace(valid=rng.random(9) < 0.6)
  predictions = [1.1 * c.joints_3d + rng.normal(0, 0.05, c.joints_3d.shape).astype(np.float32) for c in clips]
  predictions[1][~clips[1].valid] = np.nan
  report = evaluate(clips, predictions)
  mpjpe, pa_mpjpe = reference(clips, predictions)
  assert report["metrics"]["mpjpe_mm"] == pytest.approx(mpjpe, rel=1e-4)
  assert report["metrics"]["pa_mpjpe_mm"] == pytest.approx(pa_mpjpe, rel=1e-4)
  assert report["fingerprint"]["frames"] == 5 + clips[1].valid.sum()


def test_the_fingerprint_says_what_is_scored():
  clip = helpers.clip()
  fingerprint = evaluate([clip], [clip.joints_3d])["fingerprint"]
  assert (fingerprint["joint_set"], fingerprint["root"]) == ("h36m_17", "pelvis")
  assert fingerprint["scored_joints"] == fingerprint["counted_joints"] == list(protocols.get("pw3d_14").scored)
  assert "mesh" in fingerprint["ground_truth"]
  with pytest.raises(ValueError, match="'scored_joints'.* is computed by the protocol"):
    evaluate([clip], [clip.joints_3d], scored_joints=[])


@pytest.mark.parametrize("name", ["smpl_24", "lsp_14", "h36m_16"])
def test_other_joint_sets_are_refused(name):
  clip = helpers.clip()
  to = skeleton.joint_map(H36M, skeleton.get(name))
  other = clip.replace(
    skeleton=to.target,
    keypoints_2d=to(clip.keypoints_2d),
    joints_3d=to(clip.joints_3d),
    confidence=to.confidence(clip.confidence),
  )
  with pytest.raises(ValueError, match=f"has joints '{name}'; protocol 'pw3d_14' scores 'h36m_17'"):
    evaluate([other], [other.joints_3d])
