"""What an image network's output says of keypoints, coding by coding: READOUTS.

Every function takes the `size` (width, height) in pixels of the image that the network saw, keypoints are pixels of it
(geometry/pixels.py), and the output's own shape gives its stride. The functions are pure and batch over images.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from jaxpose.heatmaps import argmax, dark, direct, gaussian, integral, offset, simcc


class Readout(NamedTuple):
  """A coding of keypoints.

  output: what a head must give: "maps" [B, H, W, channels * J], "bins" (simcc.Bins), or "points" [B, J, 2].
  target(keypoints [B, J, 2], like, size) -> what a perfect output of the shape of `like` is.
  loss(output, target) -> [B, J], unreduced; the caller leaves out joints without a label.
  decode(output, size) -> (keypoints [B, J, 2], confidence [B, J] from 0 to 1).
  spread(output, size) -> [B, J], the standard deviation in pixels of what the output says of a joint, the coding's own
    included; None where it says nothing of the kind.
  """

  output: str
  target: Callable[..., Any]
  loss: Callable[..., Any]
  decode: Callable[..., Any]
  spread: Callable[..., Any] | None
  channels: int = 1


READOUTS: dict[str, Readout] = {
  "argmax": Readout("maps", gaussian.target, gaussian.loss, argmax.decode, gaussian.spread),
  "quarter": Readout("maps", gaussian.target, gaussian.loss, argmax.quarter, gaussian.spread),
  "dark": Readout("maps", gaussian.target, gaussian.loss, dark.decode, gaussian.spread),
  # SimpleBaseline as published (Xiao et al. 2018): it cannot say where in a cell a joint is.
  "published": Readout("maps", gaussian.rounded, gaussian.loss, argmax.quarter, gaussian.spread),
  "integral": Readout("maps", integral.target, integral.loss, integral.decode, gaussian.spread),
  "offset": Readout("maps", offset.target, offset.loss, offset.decode, offset.spread, 3),
  "simcc": Readout("bins", simcc.target, simcc.loss, simcc.decode, simcc.spread),
  "direct": Readout("points", direct.target, direct.loss, direct.decode, None),
}


def get(name: str) -> Readout:
  """The coding of that name; a ValueError lists the known ones."""
  if name not in READOUTS:
    raise ValueError(f"unknown readout {name!r}; known are {', '.join(READOUTS)}")
  return READOUTS[name]
