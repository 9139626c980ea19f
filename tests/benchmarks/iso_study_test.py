import base64
import dataclasses
import re
import zlib

import numpy as np
import pytest

from benchmarks.iso_study import (
  cells,
  classifier,
  drawing,
  figure4,
  figure5,
  figure6,
  limbs,
  page,
  settings,
  statistics,
  table3,
)
from benchmarks.iso_study import study as whole
from benchmarks.iso_study.methods import METHODS, PAPER, footnotes
from jaxpose import experiment, skeleton
from jaxpose.adapt.settings import MODES
from tests import helpers

H36M = skeleton.get("h36m_17")

# Two seeds of three sequences; the last two are views of one motion.
BASE = np.array([[10.0, 20.0, 30.0], [12.0, 22.0, 32.0]])
OWN = np.array([[9.0, 21.0, 27.0], [9.0, 22.5, 28.0]])
FRAMES = np.array([1.0, 1.0, 2.0])
CLUSTERS = ["a", "b", "b"]


def test_average_weighs_sequences_by_frames_and_seeds_alike():
  # seeds: (10 + 20 + 2 * 30) / 4 = 22.5 and (12 + 22 + 2 * 32) / 4 = 24.5
  assert statistics.average(BASE[..., None], FRAMES) == pytest.approx([23.5])


def test_compare_counts_pairs_and_sequences():
  found = statistics.compare(OWN, BASE, FRAMES, CLUSTERS)
  # own: (9 + 21 + 54) / 4 = 21 and (9 + 22.5 + 56) / 4 = 21.875, mean 21.4375
  assert found["difference"] == pytest.approx(21.4375 - 23.5)
  assert found["ratio"] == pytest.approx(21.4375 / 23.5)
  assert (found["worse_pairs"], found["pairs"]) == (2, 6)
  assert (found["worse_sequences"], found["sequences"]) == (1, 3)
  better = statistics.compare(OWN, BASE, FRAMES, CLUSTERS, higher_is_better=True)
  assert (better["worse_pairs"], better["worse_sequences"]) == (4, 2)


def test_streams_made_worse_are_weighed_by_frames():
  # changes of the means over seeds: -2, 0.75, -3.5; b: 0.75 - 2 * 3.5 < 0
  assert statistics.worse_groups(OWN, BASE, FRAMES, CLUSTERS) == (0, 2)
  assert statistics.worse_groups(OWN, BASE, np.array([1.0, 10.0, 2.0]), CLUSTERS) == (1, 2)


def test_resampling_draws_seeds_and_clusters_together():
  draws = statistics.resample(BASE[..., None], FRAMES, CLUSTERS, resamples=4000)[:, 0]
  # Clusters a (1 frame) and b (3 frames, means 80/3 and 86/3) come twice, once each, or not at all; so do the seeds.
  # a mean over seeds times frames, over frames: with both clusters the whole mean of the drawn seeds.
  a, b = np.array([10, 12.0]), np.array([80 / 3, 86 / 3])
  possible = {
    round(float(np.mean([(n * a[s] + 3 * m * b[s]) / (n + 3 * m) for s in seeds])), 6)
    for n, m in ((2, 0), (1, 1), (0, 2))
    for seeds in ((0, 0), (0, 1), (1, 1))
  }
  assert {round(float(d), 6) for d in draws} == possible
  # Half of the resamples hold both clusters, half of them both seeds.
  assert np.isclose(draws, 23.5).mean() == pytest.approx(0.25, abs=0.03)


def test_columns_of_a_resample_are_paired():
  both = np.stack([BASE + 3, BASE], -1)
  draws = statistics.resample(both, FRAMES, CLUSTERS)
  np.testing.assert_allclose(draws[:, 0] - draws[:, 1], 3.0, atol=1e-9)
  found = statistics.compare(BASE + 3, BASE, FRAMES, CLUSTERS)
  np.testing.assert_allclose(found["difference_interval"], [3.0, 3.0])


def test_one_motion_of_one_seed_has_no_interval():
  found = statistics.compare(OWN[:1, :1], BASE[:1, :1], FRAMES[:1], CLUSTERS[:1])
  assert found["ratio"] == pytest.approx(0.9)
  assert found["ratio_interval"] is None


def test_the_interval_covers_the_truth_as_often_as_it_says():
  rng, covered = np.random.default_rng(0), 0
  for trial in range(200):
    values = rng.normal(size=(12, 1, 1)) + rng.normal(size=(1, 25, 1)) + rng.normal(size=(12, 25, 1))
    draws = statistics.resample(values, np.ones(25), [str(i) for i in range(25)], seed=trial, resamples=200)
    low, high = statistics.interval(draws[:, 0])
    covered += low <= 0 <= high
  assert 0.88 < covered / 200 <= 1.0


def report(shift, seed, averaging="frames", dataset="x"):
  rows = {f"s/{i}/0": {"mpjpe_mm": v + shift, "frames": 2 + i, "cluster": f"s/{i}"} for i, v in enumerate((50.0, 70.0))}
  fingerprint = {"averaging": averaging, "seed": seed, "protocol": "generic", "dataset": dataset}
  return {"metrics": {}, "per_sequence": rows, "fingerprint": fingerprint}


def test_table_of_reports():
  values, frames, clusters = statistics.table([report(0.0, 0), report(5.0, 1)], ["mpjpe_mm"])
  np.testing.assert_array_equal(values[..., 0], [[50, 70], [55, 75]])
  np.testing.assert_array_equal(frames, [2, 3])
  assert clusters == ["s/0", "s/1"]
  with pytest.raises(ValueError, match="dataset"):
    statistics.table([report(0.0, 0), report(0.0, 1, dataset="y")], ["mpjpe_mm"])
  with pytest.raises(ValueError, match="averages by actions"):
    statistics.table([report(0.0, 0, averaging="actions")], ["mpjpe_mm"])


def test_limb_ratios_of_a_standing_person():
  poses = np.stack([helpers.STANDING, 2 * helpers.STANDING])
  own = limbs.ratios(poses, H36M)
  # Thorax to spine and spine to pelvis are both 0.25 m; shoulder (0.17, -0.46) to elbow (0.2, -0.18) to wrist.
  np.testing.assert_allclose(own["upper / lower torso"], 1.0, rtol=1e-6)
  upper, lower = np.hypot(0.03, 0.28), np.hypot(0.24, 0.02)
  np.testing.assert_allclose(own["upper / lower arm, left"], upper / lower, rtol=1e-5)
  assert limbs.asymmetry(own) == pytest.approx({"upper / lower arm": 0.0, "upper / lower leg": 0.0}, abs=1e-6)
  bent = poses.copy()
  bent[:, H36M.index("left_ankle")] = bent[:, H36M.index("left_knee")] + [0, 0.225, 0] * np.array([[1], [2]])
  other = limbs.ratios(bent.astype(np.float32), H36M)
  np.testing.assert_allclose(other["upper / lower leg, left"], 2.0, rtol=1e-5)
  assert limbs.asymmetry(other)["upper / lower leg"] == pytest.approx(np.log(2), abs=2e-3)
  assert limbs.summary(other, own)["upper / lower leg, left"]["error"] == pytest.approx(1.0, abs=2e-3)


def study(**changes):
  own = settings.Settings(benchmark="synthetic", data_dir="D", workdir="W", seeds=(0, 1), **changes)
  trained = {(kind, seed): untrained(settings.config(own, kind, seed)) for kind in own.kinds for seed in (0, 1)}
  return cells.Study(own, trained, trained["baseline", 0].config.targets, {})


def untrained(config):
  codec = experiment.build_codec(config, H36M)
  return experiment.Trained(config, codec, experiment.build_method(config, codec), {}, 1000, helpers.statistics())


def test_a_cell_is_known_by_everything_that_decides_it():
  own = study()
  one = cells.cell(METHODS["Online-Cyc"], 0, "new_poses")
  others = [
    cells.cell(METHODS["Online-Cyc"], 1, "new_poses"),
    cells.cell(METHODS["Online-Cyc"], 0, "new_poses_and_views"),
    cells.cell(METHODS["Online-Cyc"], 0, "new_poses", noise_px=5.0),
    cells.cell(METHODS["Online-Cyc"], 0, "new_poses", learning_rate=2e-4),
    cells.cell(METHODS["Online-Cyc"], 0, "new_poses", thin=4),
    cells.cell(METHODS["Online-Adv"], 0, "new_poses"),
    cells.cell(METHODS["Online-GN"], 0, "new_poses"),
    cells.cell(METHODS["Online-GN"], 0, "new_poses", noise=0.1),
    cells.cell(METHODS["Vanilla-Cyc"], 0, "new_poses"),
  ]
  keys = [cells.key(own, c) for c in (one, *others)] + [cells.key(study(stream_stride=4), one)]
  assert len(set(keys)) == len(keys)
  assert cells.key(study(), one) == keys[0]
  vanilla = others[-1]  # sees no stream
  assert cells.key(study(stream_stride=4), vanilla) == cells.key(own, vanilla)
  plain = cells.cell(METHODS["Baseline"], 0, "new_poses")
  assert cells.key(own, plain) != cells.key(own, dataclasses.replace(plain, run="joint_cycle"))
  spelled_out = dataclasses.replace(one, adapt=one.adapt.resolved())
  assert cells.key(own, spelled_out) == keys[0]


def test_configs_of_the_runs():
  own = study(num_steps=300).settings
  joint = settings.config(own, "joint_adversary", 3)
  assert (joint.seed, joint.method, joint.method_options["objective"]) == (3, "iso", "adversary")
  assert (joint.num_steps, joint.log_every, joint.eval_every) == (300, 300, 300)
  assert settings.config(own, "baseline", 3).method == "supervised"


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    (dict(benchmark="h36m"), "known are cmu, synthetic"),
    (dict(seeds=(1, 1)), "each seed once"),
    (dict(stride=10, stream_stride=4), "multiple of stream_stride=4"),
    (dict(sweep_seeds=3), "between 1 and the number of seeds, 2"),
    (dict(num_steps=5), "num_steps=5"),
    (dict(rows=("Baseline", "Vanilla-XYZ")), "rows=Baseline, Vanilla-XYZ; give some of Baseline, Joint-Adv"),
    (dict(rows=("Vanilla-GN",)), "need Baseline"),
    (dict(sweep_stride=0), "sweep_stride=0"),
  ],
)
def test_bad_settings(changes, message):
  with pytest.raises(ValueError, match=message):
    settings.Settings(**{**dict(benchmark="cmu", data_dir="D", workdir="W", seeds=(0, 1)), **changes})


def test_rows_of_the_paper_are_rows_of_the_study():
  assert set(PAPER) < set(METHODS)
  assert set(table3.ROWS) == set(drawing.COLOURS)
  for name, method in METHODS.items():
    assert method.adapt.mode in MODES
    assert ("Online" in name) == MODES[method.adapt.mode].streams


def test_names_say_by_what_is_adapted():
  for name, method in METHODS.items():
    assert name.endswith("-GN") == (method.adapt.optimizer == "gauss_newton")
  vanilla, online = footnotes(["Baseline", "Vanilla-Cyc", "Vanilla-GN", "Online-GN"])
  assert vanilla.startswith("Vanilla-GN: solves") and "wrong by 0.15 m" in vanilla and "stream" not in vanilla
  assert online.startswith("Online-GN") and "a stream is all there is of a subject" in online


def test_sweeps_contain_the_methods_own_values():
  for sweep in figure4.SWEEPS.values():
    for name in sweep.values:
      assert figure4.values(name, sweep).count(figure4.own_value(name, sweep)) == 1


ROWS = ("Baseline", "Vanilla-GN", "Online-GN")


def test_runs_that_no_row_needs_are_not_asked_for():
  assert study(rows=ROWS).settings.kinds == ("baseline",)
  assert study(rows=("Baseline", "Online-skip-Cyc")).settings.kinds == ("baseline", "joint_cycle")
  assert set(study().settings.kinds) == {"baseline", "joint_adversary", "joint_cycle"}


@pytest.mark.parametrize("part", whole.PARTS)
def test_parts_want_nothing_but_the_rows_that_were_asked_for(part):
  own = study(rows=ROWS)
  wanted = whole.PARTS[part].wanted(own)
  assert {c.run for c in wanted} == {"baseline"}
  assert {c.adapt.optimizer for c in wanted if c.adapt.mode != "none"} <= {"gauss_newton"}
  assert set(wanted) < set(whole.PARTS[part].wanted(study()))


def with_numbers(monkeypatch, **changes):
  """A study whose cells need no computing; one of them diverged."""
  clips = {t: [helpers.clip(frames=32, sequence=s) for s in ("run", "sit")] for t in study().data}
  own = dataclasses.replace(study(stride=4, stream_stride=1, **changes), streams=clips)

  def load(own, one):
    value = 60.0 + 10 * one.seed + zlib.crc32(repr(one).encode()) % 10
    row = {"mpjpe_mm": value, "pa_mpjpe_mm": value - 20, "pck_150": 120 - value, "auc": 80 - value / 2}
    rows = {c.name: {**row, "frames": len(c), "cluster": c.sequence} for c in own.scored(one.target, one.thin)}
    fingerprint = {"averaging": "frames", "protocol": "generic", "root": "pelvis"}
    groups = {"pelvis": {"joints": ["pelvis"]}, "wrist": {"joints": ["left_wrist"], **row}}
    return {
      "metrics": None if one.adapt.learning_rate == 2e-3 else row,
      "per_sequence": rows,
      "per_joint_group": groups,
      "fingerprint": fingerprint,
      "timing": {"seconds_per_instance": 0.1},
    }

  monkeypatch.setattr(cells, "load", load)
  return own


@pytest.mark.parametrize("rows", [tuple(METHODS), ROWS, ("Baseline",)], ids=["all", "some", "one"])
def test_numbers_and_pictures_of_the_rows(monkeypatch, rows):
  own = with_numbers(monkeypatch, rows=rows)
  for name in ("table3", "figure4", "table4", "table5", "figure7"):
    part = whole.PARTS[name]
    section = part.render(part.compute(own))
    text = page.document("T", [section])
    shown = [r for r in METHODS if f"<td>{r}</td>" in text]
    assert set(shown) <= set(rows)
    if name == "table3":
      assert shown == [r for r in rows if r in table3.ROWS]
      assert text.count(" of 2</td><td>") + text.count(" of 1</td><td>") == 2 * 2 * (len(shown) - 1)
    if name == "figure4":
      assert ("diverged" in text) == ("Vanilla-Cyc" in rows)
      assert text.count("<img") == {len(METHODS): 2, 3: 1, 1: 0}[len(rows)]


def test_a_sweep_takes_frames_of_its_own(monkeypatch):
  own = with_numbers(monkeypatch, rows=ROWS)
  numbers = figure4.compute(own)
  assert (numbers["stride"], numbers["stream_stride"], numbers["frames_scored"]) == (16, 4, 2 * 2)
  assert list(numbers["sweeps"]) == ["prior_m"]


def test_a_density_is_not_flattened_by_what_ran_away():
  values = np.concatenate([np.random.default_rng(0).normal(1.0, 0.02, 500), [2.9] * 3])
  curve = np.array(figure5.density(values))
  assert curve.sum() * (figure5.GRID[1] - figure5.GRID[0]) == pytest.approx(1, abs=0.02)
  assert curve.max() == pytest.approx(1 / (0.02 * np.sqrt(2 * np.pi)), rel=0.15)


def test_an_axis_leaves_out_what_ran_away():
  low, high = figure4.limits([10.0, 11.0, 12.0, 300.0], references=[10.0, 11.0])
  assert low < 10 and 12 < high < 20
  low, high = figure4.limits([10.0, 11.0, 12.0, 9.0], references=[10.0, 11.0])
  assert low < 9 and high > 12


def test_motions_are_held_out_with_all_their_views():
  clips = [helpers.clip(sequence=s, camera_id=c) for s in ("run", "sit", "walk") for c in "01"]
  assert figure6.split(clips) == [False, False, True, True, False, False]


def test_classifier_tells_two_clouds_apart(monkeypatch):
  monkeypatch.setattr(classifier, "STEPS", 60)
  rng = np.random.default_rng(0)
  near, far = rng.normal(0, 1, (300, 5, 3)), rng.normal(1.0, 1, (300, 5, 3))
  fitted = classifier.fit(near[:200].astype(np.float32), far[:200].astype(np.float32))
  taken, features = fitted(np.concatenate([near[200:], far[200:]]).astype(np.float32))
  assert (taken == (np.arange(200) >= 100)).mean() > 0.9
  assert features.shape == (200, classifier.WIDTH)


def test_page_holds_its_pictures_and_escapes_text():
  figure = drawing.figure(2, 2)
  figure.subplots().plot([0, 1])
  body = [page.table([["", "a < b"], ["row", "1"]]), page.picture(figure, "a line")]
  text = page.document("T", [page.Section("", [page.paragraph("x & y")]), page.Section("Part", body)])
  assert "a &lt; b" in text and "x &amp; y" in text and "<h2>Part</h2>" in text
  (data,) = re.findall(r'src="data:image/png;base64,([^"]+)"', text)
  assert base64.b64decode(data).startswith(b"\x89PNG")
  assert "http" not in text
  with pytest.raises(ValueError, match="must be equal"):
    page.table([["a"], ["b", "c"]])
