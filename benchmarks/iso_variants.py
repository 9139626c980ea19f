"""The settings of ISO's joint training that benchmarks/iso_balance.py compares: changes to a config, by name."""

from typing import Any


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
