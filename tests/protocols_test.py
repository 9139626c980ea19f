"""Every protocol against values computed by hand, an independent NumPy reference, and golden vectors."""

import json
import pathlib

import numpy as np
import pytest

from jaxpose import protocols, skeleton
from jaxpose import report as reports
from jaxpose.data.clip import Clip
from jaxpose.geometry import camera

GOLDEN = pathlib.Path(__file__).parent / "golden"
FACTS = dict(
  dataset="imitation", split="test", flip_averaging=False, keypoints_source="ground truth", checkpoint_step=7, seed=3,
  oracles=[], annotation="universal",
)  # fmt: skip
JOINT_SET = dict(h36m="h36m_17", mpi_inf_3dhp="mpi_inf_3dhp_17", mpi_inf_3dhp_16="h36m_16", generic="smpl_24")
NAMES = list(JOINT_SET)  # h36m_25d and pw3d_14, which score other poses than the clips' own, have their own tests
CAMERA = camera.create((1000, 1000), (500, 500), (1000, 1000))


def make(joints, joint_set="h36m_17", **changes):
  """A clip around joints [T, J, 3]."""
  frames, number = len(joints), skeleton.get(joint_set).num_joints
  fields = dict(
    keypoints_2d=np.zeros((frames, number, 2), np.float32),
    confidence=np.ones((frames, number), np.float32),
    joints_3d=np.asarray(joints, np.float32),
    valid=np.ones(frames, bool),
    camera=CAMERA,
    skeleton=skeleton.get(joint_set),
    fps=50.0,
    subject="S9",
    action="Walking",
    sequence="Walking",
    camera_id="c",
  )
  return Clip(**{**fields, **changes})


def random_clip(joint_set="h36m_17", frames=12, seed=0, **changes):
  rng = np.random.default_rng(seed)
  number = skeleton.get(joint_set).num_joints
  return make(
    rng.normal(0, 0.4, (frames, number, 3)) + [0, 0, 4], joint_set, **{"sequence": f"Walking {seed}", **changes}
  )


def evaluate(name, clips, predictions, facts=FACTS, **options):
  return protocols.evaluate(name, clips, predictions, facts=facts, **{"resamples": 50, **options})


def relative(clip):
  return clip.joints_3d - clip.joints_3d[:, clip.skeleton.root][:, None]


def reference(protocol, clips, predictions):
  """The frame-pooled metrics by NumPy alone, in float64, frame by frame."""
  errors = {"": [], "_scaled": [], "_procrustes": []}
  for clip, prediction in zip(clips, predictions):
    root = clip.skeleton.root
    for p, t, valid in zip(prediction.astype(float), clip.joints_3d.astype(float), clip.valid):
      if not valid:
        continue
      p, t = p - p[root], t - t[root]
      pc, tc = p - p.mean(0), t - t.mean(0)
      u, s, vt = np.linalg.svd(pc.T @ tc)
      sign = np.array([1, 1, np.sign(np.linalg.det(u @ vt))])
      aligned = (s * sign).sum() / (pc**2).sum() * pc @ (u * sign) @ vt + t.mean(0)
      for kind, x in {"": p, "_scaled": (p * t).sum() / (p * p).sum() * p, "_procrustes": aligned}.items():
        errors[kind].append(1000 * np.linalg.norm(x - t, axis=-1))
  errors = {k: np.array(v) for k, v in errors.items()}
  counted = slice(0, 14) if protocol == "mpi_inf_3dhp" else slice(None)
  metrics = {
    "mpjpe_mm": errors[""].mean(),
    "n_mpjpe_mm": errors["_scaled"].mean(),
    "pa_mpjpe_mm": errors["_procrustes"].mean(),
  }
  for kind, e in errors.items():
    if kind == "" or protocol == "mpi_inf_3dhp":
      metrics["mpjpe_mm" + kind] = e.mean()
      metrics["pck_150" + kind] = 100 * (e[:, counted] < 150).mean()
      metrics["auc" + kind] = 100 * np.mean([(e[:, counted] < t).mean() for t in range(0, 151, 5)])
  return metrics


@pytest.mark.parametrize("name", NAMES)
def test_ground_truth_is_perfect_absolute_or_root_relative(name):
  clips = [random_clip(JOINT_SET[name], seed=s) for s in range(3)]
  # Root-relative, absolute, and somewhere else altogether: the root is subtracted always.
  report = evaluate(name, clips, [relative(clips[0]), clips[1].joints_3d, relative(clips[2]) + np.float32(2)])
  for metric, value in report["metrics"].items():
    expected = 100 if metric.startswith("pck") else 100 * 30 / 31 if metric.startswith("auc") else 0
    assert value == pytest.approx(expected, abs=1e-3), metric
  assert report["metrics"]["auc"] == pytest.approx(96.774, abs=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_agrees_with_numpy_reference(name):
  rng = np.random.default_rng(5)
  clips = [random_clip(JOINT_SET[name], frames, seed) for seed, frames in enumerate((5, 9, 2))]
  clips[1] = clips[1].replace(valid=rng.random(9) < 0.6)
  noise = [rng.normal(0, 0.1, c.joints_3d.shape).astype(np.float32) for c in clips]
  predictions = [1.2 * relative(c) + n for c, n in zip(clips, noise)]
  metrics = evaluate(name, clips, predictions)["metrics"]
  expected = reference(name, clips, predictions)
  assert set(metrics) == {*expected, "mpjve_mm"}
  for metric, value in expected.items():
    assert metrics[metric] == pytest.approx(value, rel=1e-4), metric
  if name == "mpi_inf_3dhp":
    assert metrics["mpjpe_mm_scaled"] == metrics["n_mpjpe_mm"]
    assert metrics["mpjpe_mm_procrustes"] == metrics["pa_mpjpe_mm"]


@pytest.mark.parametrize("name", NAMES)
def test_one_joint_wrong_by_12_mm(name):
  clip = random_clip(JOINT_SET[name])
  prediction = relative(clip)
  prediction[:, clip.skeleton.index("left_wrist"), 1] += 0.012
  metrics = evaluate(name, [clip], [prediction])["metrics"]
  joints = clip.skeleton.num_joints
  counted = 14 if name == "mpi_inf_3dhp" else joints
  assert metrics["mpjpe_mm"] == pytest.approx(12 / joints, rel=1e-3)
  assert metrics["pck_150"] == 100
  # The wrist passes at 15, 20, ..., 150 mm, the others at 5 mm and above.
  assert metrics["auc"] == pytest.approx(100 * ((counted - 1) * 30 + 28) / 31 / counted, rel=1e-5)
  assert metrics["mpjve_mm"] == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_scaled_pose(name):
  clip = random_clip(JOINT_SET[name])
  metrics = evaluate(name, [clip], [1.1 * relative(clip)])["metrics"]
  assert metrics["mpjpe_mm"] == pytest.approx(100 * np.linalg.norm(relative(clip), axis=-1).mean(), rel=1e-4)
  assert metrics["n_mpjpe_mm"] == pytest.approx(0, abs=1e-3)
  assert metrics["pa_mpjpe_mm"] == pytest.approx(0, abs=1e-2)
  if name == "mpi_inf_3dhp":
    assert metrics["auc_scaled"] == metrics["auc_procrustes"] == pytest.approx(100 * 30 / 31)


def test_mirrored_pose_is_not_repaired_by_alignment():
  clip = random_clip()
  metrics = evaluate("h36m", [clip], [prediction := clip.joints_3d * np.float32([-1, 1, 1])])["metrics"]
  assert metrics["mpjpe_mm"] == pytest.approx(2000 * np.abs(relative(clip)[..., 0]).mean(), rel=1e-4)
  assert metrics["pa_mpjpe_mm"] == pytest.approx(reference("h36m", [clip], [prediction])["pa_mpjpe_mm"], rel=1e-4)
  assert metrics["pa_mpjpe_mm"] > 100


def test_pck_is_strict_at_150_mm():
  joints = np.zeros((2, 17, 3))
  clip = make(joints, "mpi_inf_3dhp_17")
  for millimetres, correct in ((150.0, 13 / 14), (149.99, 1.0), (150.01, 13 / 14)):
    prediction = joints.copy()
    prediction[:, 0, 2] = millimetres / 1000
    metrics = evaluate("mpi_inf_3dhp", [clip], [prediction])["metrics"]
    assert metrics["pck_150"] == pytest.approx(100 * correct), millimetres


def test_official_3dhp_counts_fourteen_joints_in_pck_and_seventeen_in_mpjpe():
  clip = random_clip("mpi_inf_3dhp_17")
  prediction = relative(clip)
  prediction[:, 15:] += 9  # spine and head; the pelvis, 14, is the root
  report = evaluate("mpi_inf_3dhp", [clip], [prediction])
  assert report["metrics"]["pck_150"] == 100
  assert report["metrics"]["auc"] == pytest.approx(100 * 30 / 31)
  assert report["metrics"]["mpjpe_mm"] == pytest.approx(2 / 17 * 9000 * np.sqrt(3), rel=1e-5)
  names = skeleton.get("mpi_inf_3dhp_17").names
  assert report["fingerprint"]["root"] == names[14] == "pelvis"
  assert set(report["fingerprint"]["counted_joints"]) == set(names[:14])
  assert list(report["per_joint_group"]) == ["Head", "Neck", "Shou", "Elbow", "Wrist", "Hip", "Knee", "Ankle"]


def test_official_3dhp_total_is_the_joint_count_weighted_mean_of_groups():
  clip = random_clip("mpi_inf_3dhp_17", 30)
  prediction = clip.joints_3d + np.random.default_rng(1).normal(0, 0.1, clip.joints_3d.shape).astype(np.float32)
  report = evaluate("mpi_inf_3dhp", [clip], [prediction])
  groups = report["per_joint_group"].values()
  for metric in ("pck_150", "auc"):
    total = sum(g[metric] * len(g["joints"]) for g in groups) / sum(len(g["joints"]) for g in groups)
    assert report["metrics"][metric] == pytest.approx(total)


def test_poseaug_golden():
  golden = np.load(GOLDEN / "poseaug_pck.npz")
  clip = make(golden["target_m"], "h36m_16")
  metrics = evaluate("mpi_inf_3dhp_16", [clip], [golden["predicted_m"]])["metrics"]
  assert metrics["pck_150"] == pytest.approx(float(golden["pck150"]), rel=1e-5)
  assert metrics["auc"] == pytest.approx(float(golden["auc"]), rel=1e-5)


def test_poseaug_counts_the_zero_root():
  clip = random_clip("h36m_16")
  prediction = relative(clip) + np.float32(9)
  prediction[:, 0] = 0  # everything but the root is wrong
  assert evaluate("mpi_inf_3dhp_16", [clip], [prediction])["metrics"]["pck_150"] == pytest.approx(100 / 16)


def test_procrustes_golden():
  golden = np.load(GOLDEN / "pose_metrics.npz")
  clip = make(golden["target"])
  metrics = evaluate("h36m", [clip], [golden["predicted"]])["metrics"]
  assert metrics["pa_mpjpe_mm"] == pytest.approx(1000 * float(golden["p_mpjpe"]), rel=1e-4)


def shifted(clip, metres):
  """The ground truth with every joint but the root off by `metres`: the error of a frame is 16/17 of it."""
  prediction = relative(clip)
  prediction[:, 1:, 0] += np.float32(metres)
  return prediction


def test_actions_are_weighted_by_frames_within_and_plainly_across():
  clips = [
    random_clip(frames=n, seed=n, action=action, sequence=take)
    for n, action, take in ((10, "Eating", "Eating"), (30, "Eating 1", "Eating 1"), (5, "WalkingDog", "WalkDog"))
  ]
  predictions = [shifted(c, e) for c, e in zip(clips, (0.017, 0.034, 0.170))]
  by_action = evaluate("h36m", clips, predictions)
  eating, dog = (10 * 16 + 30 * 32) / 40, 160
  assert by_action["metrics"]["mpjpe_mm"] == pytest.approx((eating + dog) / 2, rel=1e-4)
  assert by_action["per_action"]["Eating"]["mpjpe_mm"] == pytest.approx(eating, rel=1e-4)
  assert by_action["per_action"]["WalkDog"]["frames"] == 5
  pooled = evaluate("generic", clips, predictions)
  assert pooled["metrics"]["mpjpe_mm"] == pytest.approx((10 * 16 + 30 * 32 + 5 * 160) / 45, rel=1e-4)
  # The group table is averaged as the headline is: 16 joints of 17 lie in groups of equal error.
  assert by_action["per_joint_group"]["wrist"]["mpjpe_mm"] == pytest.approx((eating + dog) / 2 * 17 / 16, rel=1e-4)
  assert by_action["fingerprint"]["averaging"] == "actions"
  assert len(by_action["fingerprint"]["missing_actions"]) == 13


def test_h36m_does_not_take_sitting_down_for_sitting():
  clips = [random_clip(seed=i, action=a, sequence=a) for i, a in enumerate(("Sitting 2", "SittingDown", "Sitting"))]
  report = evaluate("h36m", clips, [c.joints_3d for c in clips])
  assert {a: t["frames"] for a, t in report["per_action"].items()} == {"Sitting": 24, "SittingDown": 12}


@pytest.mark.parametrize("action", ["Directions", "full take"])
def test_h36m_drops_the_corrupt_take_of_s11_only(action):
  takes = [("S11", "Directions"), ("S11", "Directions 1"), ("S9", "Directions"), ("S11", "Eating")]
  clips = [
    random_clip(seed=i, subject=s, action=t if action == "full take" else t.split(" ")[0], sequence=t)
    for i, (s, t) in enumerate(takes)
  ]
  report = evaluate("h36m", clips, [c.joints_3d for c in clips])
  assert list(report["fingerprint"]["dropped"]) == ["S11/Directions/c"]
  assert set(report["per_sequence"]) == {"S11/Directions 1/c", "S9/Directions/c", "S11/Eating/c"}
  assert report["fingerprint"]["frames"] == 36


def test_velocity_is_per_sequence_then_weighted_by_frames_and_never_crosses_a_gap():
  static = np.zeros((6, 17, 3))
  clips = [make(static, sequence="a"), make(np.zeros((3, 17, 3)), sequence="b")]
  clips[0] = clips[0].replace(valid=np.array([1, 1, 0, 1, 0, 0], bool))  # one pair of valid neighbours
  steps = np.zeros((6, 17, 3))
  steps[1:, 1:, 0] = 0.017  # moves between frames 0 and 1: 16 mm in the mean over joints
  steps[3:, 1:, 0] = 5.0  # moves between 1 and 3, across the frame that is not scored
  other = np.zeros((3, 17, 3))
  other[:, 1:, 0] = np.array([0, 0.034, 0.068])[:, None]
  report = evaluate("generic", clips, [steps, other])
  assert report["per_sequence"]["S9/a/c"]["mpjve_mm"] == pytest.approx(16, rel=1e-4)
  assert report["per_sequence"]["S9/b/c"]["mpjve_mm"] == pytest.approx(32, rel=1e-4)
  # By frames, 3 and 3; weighting by the 1 and 2 differences would give 26.7.
  assert report["metrics"]["mpjve_mm"] == pytest.approx(24, rel=1e-4)


def test_velocity_without_neighbours_is_none():
  clip = random_clip(frames=5, valid=np.array([1, 0, 1, 0, 1], bool))
  report = evaluate("generic", [clip], [clip.joints_3d])
  assert report["metrics"]["mpjve_mm"] is None and report["intervals"]["mpjve_mm"] is None
  # Where one sequence has none, the others decide.
  other = random_clip(seed=1)
  wobble = other.joints_3d.copy()
  wobble[::2, 1:] += np.float32([0.017, 0, 0])
  metrics = evaluate("generic", [clip, other], [clip.joints_3d, wobble])["metrics"]
  assert metrics["mpjve_mm"] == pytest.approx(16, rel=1e-3)


def test_only_valid_frames_are_scored_and_others_may_hold_nan():
  clip = random_clip(valid=np.arange(12) % 3 == 0)
  prediction = clip.joints_3d.copy()
  prediction[~clip.valid] = np.nan
  report = evaluate("h36m", [clip], [prediction])
  assert report["metrics"]["mpjpe_mm"] == 0
  assert report["fingerprint"]["frames"] == report["per_sequence"][clip.name]["frames"] == 4


def test_each_test_sequence_of_3dhp_has_its_scene():
  clips = [random_clip("mpi_inf_3dhp_17", i, i, subject="", sequence=f"TS{i}", action="") for i in range(1, 7)]
  report = evaluate("mpi_inf_3dhp", clips, [relative(c) for c in clips])
  assert {k: v["frames"] for k, v in report["per_scene"].items()} == {"GS": 1 + 2, "noGS": 3 + 4, "outdoor": 5 + 6}


def test_scenes_activities_and_pooling_over_sequences_of_3dhp():
  labels = np.array([1, 1, 7, 7, 7, 3])
  clips = [
    random_clip("mpi_inf_3dhp_17", n, i, subject="", sequence=f"TS{i}", action="", extra={"activity": labels[:n]})
    for i, n in ((1, 6), (2, 2), (5, 4))
  ]
  # Off by 170 mm, 340 mm and nothing; pelvis stays.
  predictions = []
  for clip, metres in zip(clips, (0.17, 0.34, 0)):
    prediction = relative(clip)
    prediction[:, np.arange(17) != 14, 0] += np.float32(metres)
    predictions.append(prediction)
  report = evaluate("mpi_inf_3dhp", clips, predictions)
  assert report["per_scene"]["GS"]["mpjpe_mm"] == pytest.approx((6 * 160 + 2 * 320) / 8, rel=1e-4)
  assert report["per_scene"]["outdoor"]["pck_150"] == 100 and report["per_scene"]["outdoor"]["frames"] == 4
  assert set(report["per_scene"]) == {"GS", "outdoor"}
  assert report["metrics"]["pck_150"] == pytest.approx(100 * 4 / 12)  # pooled; the mean of sequences would be 33.3 too
  assert report["metrics"]["mpjpe_mm"] == pytest.approx((6 * 160 + 2 * 320) / 12, rel=1e-4)
  activity = report["per_activity"]
  assert {k: v["frames"] for k, v in activity.items()} == {"Standing/Walking": 6, "Miscellaneous": 5, "Sitting": 1}
  assert activity["Standing/Walking"]["mpjpe_mm"] == pytest.approx((2 * 160 + 2 * 320) / 6, rel=1e-4)
  assert report["per_action"] == {}


def test_activities_may_be_texts_and_are_checked():
  clip = random_clip("mpi_inf_3dhp_17", 2, extra={"activity": ["Sports", "Sitting"]})
  assert set(evaluate("mpi_inf_3dhp", [clip], [clip.joints_3d])["per_activity"]) == {"Sports", "Sitting"}
  for labels, message in (([1], "1 labels for 2 frames"), ([1, 8], "activity 8")):
    with pytest.raises(ValueError, match=message):
      evaluate("mpi_inf_3dhp", [clip.replace(extra={"activity": labels})], [clip.joints_3d])


def test_joint_sets_that_rename_are_mapped_and_others_refused():
  official = random_clip("mpi_inf_3dhp_17")
  prediction = official.joints_3d + np.random.default_rng(1).normal(0, 0.1, (12, 17, 3)).astype(np.float32)
  to_h36m = skeleton.joint_map(official.skeleton, skeleton.get("h36m_17"))
  renamed = make(to_h36m(official.joints_3d), "h36m_17", sequence=official.sequence)
  a = evaluate("mpi_inf_3dhp", [official], [prediction])
  b = evaluate("mpi_inf_3dhp", [renamed], [to_h36m(prediction)])
  for metric in a["metrics"]:
    assert a["metrics"][metric] == pytest.approx(b["metrics"][metric], rel=1e-5)
  assert a["fingerprint"]["renamed_joints"] == {}
  assert b["fingerprint"]["renamed_joints"] == {"h36m_17": {"neck": "thorax", "head": "nose"}}
  for name, joint_set in (("mpi_inf_3dhp", "coco_17"), ("mpi_inf_3dhp", "h36m_16"), ("h36m", "mpi_inf_3dhp_17")):
    clip = random_clip(joint_set)
    with pytest.raises(ValueError, match=rf"clip {clip.name} has joints '{joint_set}'.*'{name}' scores"):
      evaluate(name, [clip], [clip.joints_3d])


def _nan(clip):
  prediction = clip.joints_3d.copy()
  prediction[4, 2, 1] = np.nan
  return prediction


@pytest.mark.parametrize(
  "change, prediction, message",
  [
    (dict(), lambda c: c.joints_3d[:-1], r"clip S9/Walking 0/c: the prediction has shape \(11, 17, 3\)"),
    (dict(), _nan, r"clip S9/Walking 0/c: the prediction holds NaN or infinity in 1 scored frames, first 4"),
    (dict(joints_3d=None), lambda c: np.zeros((12, 17, 3)), r"clip S9/Walking 0/c has no joints_3d"),
    (dict(valid=np.zeros(12, bool)), lambda c: c.joints_3d, r"nothing to score: clip S9/Walking 0/c: no valid frame"),
    (dict(action="Juggling"), lambda c: c.joints_3d, r"clip S9/Walking 0/c has action 'Juggling'"),
  ],
)
def test_a_clip_that_cannot_be_scored_is_named(change, prediction, message):
  clip = random_clip().replace(**change)
  with pytest.raises(ValueError, match=message):
    evaluate("h36m", [clip], [prediction(clip)])


def test_numbers_of_clips_and_predictions():
  clips = [random_clip(seed=s) for s in range(2)]
  with pytest.raises(ValueError, match="no clips"):
    evaluate("h36m", [], [])
  with pytest.raises(ValueError, match="1 predictions for 2 clips; clip S9/Walking 1/c"):
    evaluate("h36m", clips, [clips[0].joints_3d])
  with pytest.raises(ValueError, match="3 predictions for 2 clips"):
    evaluate("h36m", clips, [c.joints_3d for c in (*clips, clips[0])])
  with pytest.raises(ValueError, match="two clips are named S9/Walking 0/c"):
    evaluate("h36m", [clips[0]] * 2, [clips[0].joints_3d] * 2)
  with pytest.raises(ValueError, match="one evaluation has one joint set"):
    other = random_clip("coco_17", seed=4)
    evaluate("generic", [clips[0], other], [clips[0].joints_3d, other.joints_3d])
  with pytest.raises(ValueError, match="known are h36m, h36m_25d, mpi_inf_3dhp, mpi_inf_3dhp_16, pw3d_14, generic"):
    evaluate("h36", clips, [c.joints_3d for c in clips])


def test_an_empty_clip_is_dropped_and_recorded():
  clips = [random_clip(), random_clip(seed=1, valid=np.zeros(12, bool))]
  fingerprint = evaluate("h36m", clips, [c.joints_3d for c in clips])["fingerprint"]
  assert fingerprint["dropped"] == {"S9/Walking 1/c": "no valid frame"} and fingerprint["sequences"] == 1


@pytest.mark.parametrize("fact", [*protocols.REQUIRED_FACTS, "annotation"])
def test_a_missing_fact_is_named(fact):
  clip = random_clip("mpi_inf_3dhp_17")
  with pytest.raises(ValueError, match=f"facts lack {fact};"):
    evaluate("mpi_inf_3dhp", [clip], [clip.joints_3d], {k: v for k, v in FACTS.items() if k != fact})


@pytest.mark.parametrize("facts", [dict(frames=3), dict(oracles="scale"), dict(rig=object()), dict(rate=float("nan"))])
def test_a_bad_fact_is_named(facts):
  clip = random_clip()
  with pytest.raises(ValueError, match=rf"facts\['{next(iter(facts))}'\]"):
    evaluate("h36m", [clip], [clip.joints_3d], {**FACTS, **facts})


def test_fingerprint_holds_the_facts_and_what_was_scored():
  clip = random_clip()
  fingerprint = evaluate("h36m", [clip], [clip.joints_3d], {**FACTS, "rig": "fixed_four", "oracles": ["scale", "root"]})
  fingerprint = fingerprint["fingerprint"]
  for name, value in {**FACTS, "rig": "fixed_four", "oracles": ["root", "scale"]}.items():
    assert fingerprint[name] == value
  assert fingerprint["protocol"] == "h36m" and fingerprint["joint_set"] == "h36m_17" and fingerprint["codec"] is None
  assert fingerprint["frame_rates"] == [50.0]
  assert reports.summary({"fingerprint": fingerprint}) == (
    "protocol h36m v2, imitation test, 12 frames of 1 sequences, 2D ground truth, flip averaging off, "
    "oracles root scale, step 7, seed 3"
  )
  changed = [clip.replace(valid=np.arange(12) > 0), clip.replace(camera_id="d"), random_clip(frames=13)]
  digests = {evaluate("h36m", [c], [c.joints_3d])["fingerprint"]["scored_sha256"] for c in (clip, *changed)}
  assert len(digests) == 4


@pytest.mark.parametrize("name", NAMES)
def test_report_is_json_deterministic_and_independent_of_order(name):
  rng = np.random.default_rng(2)
  clips = [random_clip(JOINT_SET[name], 4 + s, s, camera_id=c) for s in range(4) for c in "ab"]
  predictions = [c.joints_3d + rng.normal(0, 0.1, c.joints_3d.shape).astype(np.float32) for c in clips]
  report = evaluate(name, clips, predictions, seed=5)
  assert json.loads(json.dumps(report, allow_nan=False)) == report
  assert evaluate(name, clips, predictions, seed=5) == report
  backwards = evaluate(name, clips[::-1], predictions[::-1], seed=5)
  assert backwards["fingerprint"] == report["fingerprint"]
  for metric, value in report["metrics"].items():
    assert backwards["metrics"][metric] == pytest.approx(value, rel=1e-6)
    assert backwards["intervals"][metric] == pytest.approx(report["intervals"][metric], rel=1e-6)
    low, high = report["intervals"][metric]
    assert low <= value <= high
  assert report["fingerprint"]["clusters"] == 4 and report["fingerprint"]["sequences"] == 8
  assert evaluate(name, clips, predictions, seed=6)["intervals"] != report["intervals"]


def test_views_of_one_motion_are_one_cluster():
  clips = [random_clip(camera_id=c) for c in "abcd"]
  predictions = [shifted(c, e) for c, e in zip(clips, (0.01, 0.02, 0.03, 0.04))]
  assert evaluate("generic", clips, predictions)["intervals"]["mpjpe_mm"] is None


def test_sums_do_not_depend_on_the_chunk(monkeypatch):
  from jaxpose.protocols import scoring

  clips = [random_clip("mpi_inf_3dhp_17", n, n, extra={"activity": np.arange(n) % 3 + 1}) for n in (5, 8)]
  predictions = [c.joints_3d[::-1].copy() for c in clips]
  whole = evaluate("mpi_inf_3dhp", clips, predictions)
  monkeypatch.setattr(scoring, "_CHUNK", 3)
  parts = evaluate("mpi_inf_3dhp", clips, predictions)
  for table in ("per_activity", "per_sequence"):
    for name, row in whole[table].items():
      for column, value in row.items():
        assert parts[table][name][column] == (value if isinstance(value, str) else pytest.approx(value, rel=1e-5))
