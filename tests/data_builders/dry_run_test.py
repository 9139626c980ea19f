"""Every data set from its files to a number, on files that are made up: build, verify, load, train, score."""

import functools
import importlib
import json
import shutil

import jax
import numpy as np
import pytest

from data_builders import build
from jaxpose import config as configs
from jaxpose import evaluate, experiment, protocols, report, runs, skeleton
from jaxpose.data import pipeline, source
from jaxpose.protocols import scoring
from jaxpose.train import loop

# Data set: the splits that are scored, and by which protocol; None for 2D alone, which is for training only.
SCORED = {
  "human36m/official": (("S9", "S11"), "h36m"),
  "human36m/gt": (("S9", "S11"), "h36m"),
  "human36m/cpn_ft_h36m_dbb": (("S9", "S11"), "h36m"),
  "human36m/detectron_ft_h36m": (("S9", "S11"), "h36m"),
  "human36m/sh_ft_h36m": (("S9", "S11"), "h36m"),
  "human36m/motionbert": (("test",), "h36m"),
  "mpi_inf_3dhp/univ": (("test",), "mpi_inf_3dhp"),
  "mpi_inf_3dhp/metric": (("test",), "mpi_inf_3dhp"),
  "mpi_inf_3dhp/pstmo": (("test",), "mpi_inf_3dhp"),
  "pw3d/h36m_17": (("test",), "pw3d_14"),
  "pw3d/smpl_24": (("test",), "generic"),
  "amass_h36m": (("test",), "generic"),
  "mpii": (("train",), None),
  "lsp/lsp": (("test",), None),
  "lsp/lspet": (("train",), None),
  "coco_keypoints": (("train",), None),
}
RECIPES = (
  "human36m_martinez_gt",
  "human36m_martinez_sh",
  "h36m_to_3dhp_poseaug",
  "h36m_to_3dpw",
  "mpi_inf_3dhp",
  "human36m_iso_baseline",
  "human36m_iso_cycle",
  "human36m_iso_adversary",
  "human36m_motionbert",
  "human36m_motionbert_finetune",
  "amass_motionbert_pretrain",
  "amass_dstformer_small_finetune",
)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
  """built(name) -> (data_dir, Built) of a fixture, built once."""
  folder = tmp_path_factory.mktemp("fixtures")

  @functools.cache
  def make(name):
    return str(folder), build.build(name, folder, fixture=True)

  return make


def names_with_fixtures():
  names = []
  for name in build.DATASETS:
    entry, _ = build.find(name)
    forms = [f"{name}/{c.name}" for c in entry.builder.BUILDER_CONFIGS] or [name]
    names += forms if entry.write_fixture else []
  return names


def test_no_data_set_is_forgotten():
  assert sorted(SCORED) == sorted(names_with_fixtures())


@pytest.mark.parametrize("name", SCORED)
def test_from_files_to_a_score(name, built):
  data_dir, made = built(name)
  text, verdict = build.verify(name, made)
  assert verdict == "partial" and text.splitlines()[-1].startswith("partial: a fixture")
  assert made.fixture and "made-up" in build.table(made)

  splits, protocol = SCORED[name]
  facts = source.facts(name, data_dir)
  assert facts["dataset"] == name and facts["fixture"] is True
  clips = source.load_clips(name, splits, data_dir, rig="h36m" if name == "amass_h36m" else "")
  assert len({clip.name for clip in clips}) == len(clips)
  if protocol is None:
    mapped = [source.mapped(clip, skeleton.get("h36m_17")) for clip in clips]
    assert all(clip.joints_3d is None for clip in mapped)
    hips = [mapped[0].skeleton.index(f"{side}_hip") for side in ("left", "right")]
    assert any(clip.confidence[:, hips].all() for clip in mapped)
    return
  facts |= dict(split="+".join(splits), flip_averaging=False, checkpoint_step=0, seed=0, oracles=[])
  scores = protocols.evaluate(
    protocol, clips, [c.joints_3d for c in clips], facts={"keypoints_source": "", **facts}, resamples=2
  )
  assert scores["metrics"]["mpjpe_mm"] == 0 and scores["metrics"]["pck_150"] == 100
  assert scores["fingerprint"]["fixture"] is True


def recipe(name, **changes):
  """A recipe's :quick, so small that it only shows that its parts fit."""
  values = importlib.import_module(f"configs.{name}").get_config("quick")
  values.update(num_steps=2, log_every=1, eval_every=2, batch_size=8, eval_max_frames=50, **changes)
  if values.model == "mlp":
    values.model_options.width = 8
  return configs.from_dict(values)


@pytest.mark.parametrize("name", RECIPES)
def test_every_part_of_a_recipe_fits_the_next(name, built):
  """Data sets, splits, joint maps, codec, model, training graph and protocols, without computing anything."""
  config = recipe(name)
  data_dir = [built(part.dataset)[0] for part in config.parts.values()][0]
  clips = [clip for part in experiment.load_training(config, data_dir).values() for clip in part]
  codec = experiment.build_codec(config, clips[0].skeleton, clips)
  evaluate.check_skeletons(experiment.load_clips(config.validation, data_dir), codec)
  method = experiment.build_method(config, codec)
  batch = jax.tree.map(np.asarray, pipeline.gather(pipeline.windows(clips), np.arange(8), config.window))
  variables = jax.eval_shape(method.init, jax.random.key(0), batch)
  loss, _ = jax.eval_shape(method.loss, variables, batch, jax.random.key(1))
  assert loss.shape == ()
  for target, data in config.targets.items():
    target_clips = experiment.load_clips(data, built(data.dataset)[0])
    evaluate.check_skeletons(target_clips, codec)
    protocol = protocols.get(data.protocol or config.protocol)
    kept = [scoring.joint_map(clip, protocol) for clip in target_clips if not protocol.dropped(clip)]
    assert kept, f"target {target} has nothing to score"


def test_from_files_through_training_to_a_report(built, tmp_path):
  """The one that needs most: two data sets with joints of their own, and a target with a protocol of its own."""
  config, target = recipe("h36m_to_3dhp_poseaug"), "mpi_inf_3dhp"
  data = config.targets[target]
  built(config.train.dataset)
  data_dir, _ = built(data.dataset)
  clips = [experiment.load_clips(part, data_dir) for part in (config.train, config.validation)]
  loop.train(config, str(tmp_path / "run"), *clips)
  trained = experiment.load(str(tmp_path / "run"), "latest")
  scores = runs.evaluate(trained, data_dir, target=target, flip=False, show_progress=False)
  assert np.isfinite(scores["metrics"]["mpjpe_mm"])
  assert scores["fingerprint"]["protocol"] == data.protocol != config.protocol
  json.dumps(scores, allow_nan=False)


def test_real_files_and_fixtures_do_not_mix(built, tmp_path):
  built("lsp/lspet")
  with pytest.raises(ValueError, match="was built of a fixture, not real files; delete it"):
    build.build("lsp/lspet", built("lsp/lspet")[0])
  with pytest.raises(ValueError, match="a fixture is made up, it does not read"):
    build.build("lsp/lspet", tmp_path, tmp_path, fixture=True)
  with pytest.raises(ValueError, match="'cmu_mocap' has no fixture"):
    build.build("cmu_mocap", tmp_path, fixture=True)
  raw = tmp_path / "raw"
  entry, _ = build.find("lsp/lspet")
  entry.write_fixture(raw, config="lspet")
  real = build.build("lsp/lspet", tmp_path, raw)
  assert not real.fixture and source.facts("lsp", tmp_path)["fixture"] is False
  with pytest.raises(ValueError, match="was built of real files, not a fixture; delete it"):
    build.build("lsp/lspet", tmp_path, fixture=True)
  shutil.rmtree(real.directory)
  assert build.build("lsp/lspet", tmp_path, fixture=True).fixture


def test_an_unknown_configuration_is_refused(tmp_path):
  with pytest.raises(ValueError, match="'human36m' has no configuration 'cpn'; it has official, gt, cpn_ft_h36m_dbb"):
    build.build("human36m/cpn", tmp_path)
  with pytest.raises(ValueError, match="'cmu_mocap' has no configuration 'full'; it has none"):
    build.build("cmu_mocap/full", tmp_path)


def test_reports_of_different_data_are_refused(built):
  """What was built is in the fingerprint: two annotations, two detectors and a fixture are three other numbers."""

  def scored(name, **changes):
    data_dir, _ = built(name)
    clips = source.load_clips(name, SCORED[name][0], data_dir)
    facts = dict(split="test", flip_averaging=False, checkpoint_step=0, seed=0, oracles=[], keypoints_source="")
    facts |= source.facts(name, data_dir) | changes
    return protocols.evaluate(SCORED[name][1], clips, [c.joints_3d for c in clips], facts=facts, resamples=2)

  univ = scored("mpi_inf_3dhp/univ")
  with pytest.raises(ValueError, match='annotation: "universal" against "metric"'):
    report.check_comparable(univ, scored("mpi_inf_3dhp/metric"))
  with pytest.raises(ValueError, match="fixture: true against false"):
    report.check_comparable(univ, scored("mpi_inf_3dhp/univ", fixture=False))
