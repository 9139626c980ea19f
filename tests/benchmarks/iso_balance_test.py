"""The benchmark of ISO's balance: every variant is a config, and a run's figures are those of its log."""

import pytest

from benchmarks import iso_variants
from benchmarks.iso_variants import SIZES, VARIANTS
from jaxpose import codec, experiment, skeleton
from jaxpose import config as configs


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_builds(name, variant):
  config = configs.from_dict(iso_variants.build(name, variant))
  experiment.build_method(config, codec.build(config.codec, skeleton.get("h36m_17")))
  for key, value in VARIANTS[variant]["method_options"].items():
    assert config.method_options[key] == value


@pytest.mark.parametrize("name", SIZES)
def test_the_configs_are_the_chosen_variant(name):
  chosen = iso_variants.build(name, "bones, scene, noise 0.05")
  assert chosen.to_dict() == iso_variants.CONFIGS[name].get_config().to_dict()


def test_figures_look_at_the_second_half():
  def trained(step, accuracy):
    return {"step": step, "train/loss": 1.0, "train/discriminator_accuracy": accuracy, "train/generator": step / 100}

  def validated(step, mpjpe, second):
    return {"step": step, "validation/mpjpe_mm": mpjpe, "validation/self_supervised_mpjpe_mm": second}

  lines = [trained(100, 0.99), trained(200, 0.9), trained(300, 0.7), trained(400, 0.6)]
  run = iso_variants.figures([*lines, validated(200, 100.0, 300.0), validated(400, 80.0, 120.0)], steps=400)
  assert run["accuracy"] == {"least": 0.6, "mean": pytest.approx(0.65), "most": 0.7}
  assert run["generator"] == 3.5 and run["ratio"] == 1.5
  assert run["curves"]["self_supervised_mpjpe_mm"] == [[200, 300.0], [400, 120.0]]
