"""A run's own targets, and any other data set as one."""

import dataclasses

import jax
import pytest

from data_builders import build
from jaxpose import codec as codecs
from jaxpose import experiment, runs, targets
from jaxpose import skeleton as skeletons
from jaxpose.config import DataConfig
from jaxpose.experiment import Trained
from tests import helpers


@pytest.fixture(scope="module")
def trained():
  source = dict(dataset="synthetic_mocap", splits=("train",), rig="random", rig_options={"cameras_per_motion": 1})
  config = helpers.config(targets={"own": {**source, "exclude": ("x",), "protocol": "generic"}, "second": source})
  codec = codecs.build(config.codec, skeletons.get("h36m_17"))
  method = experiment.build_method(config, codec)
  return Trained(config, codec, method, method.init(jax.random.key(0), experiment.dummy_batch(17, 1)), 0, {})


def test_the_config_s_targets_are_found_by_name_and_by_data_set(trained):
  first = trained.config.targets["own"]
  assert targets.choose(trained) == targets.choose(trained, "own") == ("own", first)
  assert targets.choose(trained, "synthetic_mocap") == ("own", first)
  assert targets.choose(trained, "second")[0] == "second"


def test_splits_rig_and_rate_take_the_place_of_the_target_s(trained):
  first = trained.config.targets["own"]
  assert targets.choose(trained, "own", fps=10) == ("synthetic_mocap", dataclasses.replace(first, fps=10.0))
  name, data = targets.choose(trained, "own", splits=["target"])
  assert (name, data.splits, data.exclude, data.rig_options) == (
    "synthetic_mocap", ("target",), (), {"cameras_per_motion": 1}
  )  # fmt: skip
  data = targets.choose(trained, "own", rig="fixed_four")[1]
  assert (data.rig, data.rig_options, data.splits, data.exclude) == ("fixed_four", {}, ("train",), ("x",))


def test_another_data_set_needs_its_splits(trained):
  name, data = targets.choose(trained, "pw3d/mesh", splits=["test"], fps=30)
  assert (name, data.dataset, data.splits, data.rig, data.fps) == ("pw3d/mesh", "pw3d/mesh", ("test",), "", 30.0)
  assert data.skeleton == "h36m_17"
  message = r"unknown target 'pw3d'; the run's config has own \(synthetic_mocap\), second .* needs --splits="
  with pytest.raises(ValueError, match=message):
    targets.choose(trained, "pw3d")


def test_a_run_is_scored_on_what_its_config_does_not_name(trained, tmp_path):
  build.build("synthetic_mocap", tmp_path, train=1, validation=1, target=2, frames=20)
  elsewhere = {"cmu": DataConfig(dataset="cmu_mocap", splits=("01",), rig="h36m")}
  other = dataclasses.replace(trained, config=dataclasses.replace(trained.config, targets=elsewhere))
  chosen = targets.choose(other, "synthetic_mocap", splits=["target"], rig="fixed_four", fps=10.0)
  report = runs.evaluate(other, str(tmp_path), target=chosen)
  found = report["fingerprint"]
  assert [found[k] for k in ("dataset", "split", "rig", "fps")] == ["synthetic_mocap", "target", "fixed_four", 10.0]
  assert found["target"] == "synthetic_mocap" and report["metrics"]["mpjpe_mm"] > 0
