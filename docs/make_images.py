"""Draws the pictures of the documentation anew: python docs/make_images.py

The game of ISO is drawn from benchmarks/results/iso_balance.json.

The contact sheet shows one sequence of each action of synthetic_mocap, as its builder makes them with seed 0. Rendered
people move by the same.
"""

import json
import pathlib

import jax
import numpy as np
from PIL import Image

from jaxpose import plot
from jaxpose.data import cameras, pipeline
from jaxpose.synthetic import appearance, images, motion, scenes

IMAGES = pathlib.Path(__file__).parent / "images"
# The round of the scenario from which each action is shown: chosen by eye for a view that says most.
ROUND = 3


def draw_game() -> None:
  """Who wins the game of ISO's joint training, and how far off both heads are, over the steps."""
  path = pathlib.Path(__file__).parents[1] / "benchmarks" / "results" / "iso_balance.json"
  runs = {(r["config"], r["variant"]): r["curves"] for r in json.loads(path.read_text()) if r["seed"] == 0}
  games = {"without noise": "bones, scene", "chosen": "bones, scene, noise 0.05", "weight 0": "weight 0"}
  accuracy = {name: tuple(zip(*runs["synthetic_iso", variant]["accuracy"])) for name, variant in games.items()}
  plot.curves(accuracy, IMAGES / "iso_accuracy.png", y_label="the discriminator is right")
  chosen = runs["synthetic_iso", games["chosen"]]
  heads = {"supervised": "mpjpe_mm", "second": "self_supervised_mpjpe_mm"}
  errors = {name: tuple(zip(*chosen[metric])) for name, metric in heads.items()}
  plot.curves(errors, IMAGES / "iso_heads.png", y_label="MPJPE, mm")


def draw_people(columns: int = 8, size: int = 128) -> None:
  """A row of each look: rendered people, cropped as in training."""
  clips = [c for i in range(columns) for c in cameras.clips_from_motion(
    motion.simulate("train", i).motion, cameras.build("fixed_four"), fps=5.0)[i % 4 : i % 4 + 1]]  # fmt: skip
  crop = images.Crop(size=size, scale=0.2, roll_rad=0.35, shift=0.1)
  rows = []
  for look in appearance.NAMES:
    data = pipeline.windows(images.pictured(clips, look))
    first = np.searchsorted(data.clip, np.arange(columns)) + 10
    batch = pipeline.gather(data, first, 1)
    draw = jax.jit(lambda b: images.render(b, jax.random.key(0), crop, clips[0].skeleton)["images"][:, 0])
    rows.append(np.concatenate(list(np.asarray(draw(batch))), 1))
  sheet = (255 * np.concatenate(rows)).astype(np.uint8)
  Image.fromarray(sheet).save(IMAGES / "rendered_people.png")


def main() -> None:
  IMAGES.mkdir(exist_ok=True)
  sheet = []
  for split, scenario in (("train", scenes.SOURCE), ("target", scenes.TARGET)):
    sheet += [motion.simulate(split, ROUND * len(scenario) + i).motion for i in range(len(scenario))]
  draw_game()
  draw_people()
  plot.contact_sheet(sheet, IMAGES / "synthetic_contact_sheet.png", poses=10, columns=2, dpi=90)


if __name__ == "__main__":
  main()
