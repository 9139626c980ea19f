"""Draws the pictures of the documentation anew: python docs/make_images.py

The contact sheet shows one sequence of each action of synthetic_mocap, as its builder makes them with seed 0.
"""

import pathlib

from jaxpose import plot
from jaxpose.synthetic import motion, scenes

IMAGES = pathlib.Path(__file__).parent / "images"
# The round of the scenario from which each action is shown: chosen by eye for a view that says most.
ROUND = 3


def main() -> None:
  IMAGES.mkdir(exist_ok=True)
  sheet = []
  for split, scenario in (("train", scenes.SOURCE), ("target", scenes.TARGET)):
    sheet += [motion.simulate(split, ROUND * len(scenario) + i).motion for i in range(len(scenario))]
  plot.contact_sheet(sheet, IMAGES / "synthetic_contact_sheet.png", poses=10, columns=2, dpi=90)


if __name__ == "__main__":
  main()
