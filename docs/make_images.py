"""Draws the pictures of the documentation anew: python docs/make_images.py

The game of ISO is drawn from benchmarks/results/iso_balance.json.

The contact sheet shows one sequence of each action of synthetic_mocap, as its builder makes them with seed 0.
"""

import json
import pathlib

from jaxpose import plot
from jaxpose.synthetic import motion, scenes

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


def main() -> None:
  IMAGES.mkdir(exist_ok=True)
  sheet = []
  for split, scenario in (("train", scenes.SOURCE), ("target", scenes.TARGET)):
    sheet += [motion.simulate(split, ROUND * len(scenario) + i).motion for i in range(len(scenario))]
  draw_game()
  plot.contact_sheet(sheet, IMAGES / "synthetic_contact_sheet.png", poses=10, columns=2, dpi=90)


if __name__ == "__main__":
  main()
