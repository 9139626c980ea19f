"""The settings of ISO's joint training that benchmarks/iso_balance.py compares: changes to a config, by name."""

from typing import Any


def game(discriminator: dict[str, Any] | None = None, rate: float = 2e-4, **options: Any) -> dict[str, Any]:
  options |= {"discriminator_options": discriminator} if discriminator else {}
  return {"method_options": options, "optim": {"discriminator_learning_rate": rate}}


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
  "depth": game(**DEPTH),
  "depth, scene": game(**DEPTH, **SCENE),
  "bones": game(**BONES),
  "bones, level": game(**BONES, elevation=0.0),
  "bones, scene": game(**BONES, **SCENE),
  "bones, scene, elevation 20": game(**BONES, vertical="scene"),
  "bones, scene, noise 0.05": game(**BONES, **SCENE, noise=0.05),
  "bones, scene, noise 0.1": game(**BONES, **SCENE, noise=0.1),
  "bones, scene, R1 0.01": game(**BONES, **SCENE, r1=0.01),
  "bones, scene, R1 0.1": game(**BONES, **SCENE, r1=0.1),
  "bones, scene, rate 5e-5": game(**BONES, **SCENE, rate=5e-5),
  "bones, scene, width 64": game({"width": 64}, **BONES, **SCENE),
  "bones, scene, weight 1": game(**BONES, **SCENE, weight=1.0),
}
