"""The settings of ISO's joint training that benchmarks/iso_balance.py compares, by name, and what it reads of a run."""

from typing import Any

import numpy as np
from ml_collections import ConfigDict

from configs import cmu_iso, synthetic_iso

CONFIGS = {"synthetic_iso": synthetic_iso, "cmu_iso": cmu_iso}


def game(**options: Any) -> dict[str, Any]:
  return {"method_options": options}


SCENE = dict(vertical="scene", elevation=0.0)
DEPTH, BONES = dict(lift="depth"), dict(lift="bones")

# What a lift takes the size of people from: rms of x and y, and length of all bones, means of the training data.
SIZES = {
  "synthetic_iso": {"depth": 0.33, "bones": 4.25},
  "cmu_iso": {"depth": 0.31, "bones": 3.95},
}

VARIANTS: dict[str, dict[str, Any]] = {
  "published": game(),
  "weight 0": game(weight=0.0),
  "scene": game(**SCENE),
  "depth, scene": game(**DEPTH, **SCENE),
  "bones": game(**BONES),
  "bones, level": game(**BONES, elevation=0.0),
  "bones, scene": game(**BONES, **SCENE),
  "bones, scene, noise 0.05": game(**BONES, **SCENE, noise=0.05),
  "bones, scene, noise 0.1": game(**BONES, **SCENE, noise=0.1),
}


def build(name: str, variant: str) -> ConfigDict:
  """configs/NAME.py as published, with the variant's changes."""
  config = changed(CONFIGS[name].get_config("published"), VARIANTS[variant])
  if lift := config.method_options.get("lift"):
    config = changed(config, {"method_options": {"size": SIZES[name][lift]}})
  return config


def changed(config: ConfigDict, changes: dict) -> ConfigDict:
  """The config with nested changes, which may add options that the config leaves at their defaults."""
  with config.unlocked():
    for key, value in changes.items():
      if isinstance(value, dict):
        config[key] = changed(config.get(key, ConfigDict()), value)
      else:
        config[key] = value
  return config


def figures(lines: list[dict], steps: int) -> dict:
  """What the rule looks at, from a run's log: the discriminator over the second half, both heads at the end."""
  trained = [line for line in lines if "train/loss" in line]
  validated = [line for line in lines if "validation/mpjpe_mm" in line]
  late = [line["train/discriminator_accuracy"] for line in trained if line["step"] > steps // 2]
  last = {k.removeprefix("validation/"): round(v, 4) for k, v in validated[-1].items() if k != "step"}
  curve = lambda rows, name: [[r["step"], round(r[name], 4)] for r in rows if name in r]  # noqa: E731
  return {
    "accuracy": {"least": min(late), "mean": float(np.mean(late)), "most": max(late)},
    "generator": float(np.mean([line["train/generator"] for line in trained if line["step"] > steps // 2])),
    "cycle_3d": trained[-1].get("train/cycle_3d"),
    "ratio": last["self_supervised_mpjpe_mm"] / last["mpjpe_mm"],
    **last,
    "curves": {
      "accuracy": curve(trained, "train/discriminator_accuracy"),
      "real_judged_real": curve(trained, "train/real_judged_real"),
      "mpjpe_mm": curve(validated, "validation/mpjpe_mm"),
      "self_supervised_mpjpe_mm": curve(validated, "validation/self_supervised_mpjpe_mm"),
    },
  }
