"""The published evaluation protocols, by name. docs/protocols.md says whose numbers each one may be compared with."""

from collections.abc import Sequence

import numpy as np

from jaxpose.data.clip import Clip
from jaxpose.protocols import generic, h36m, h36m_25d, many, mpi_inf_3dhp, pw3d_14
from jaxpose.protocols.evaluation import evaluate_with
from jaxpose.protocols.protocol import REQUIRED_FACTS, Protocol

PROTOCOLS = {
  p.name: p
  for p in (
    h36m.H36M,
    h36m_25d.H36M_25D,
    mpi_inf_3dhp.OFFICIAL,
    mpi_inf_3dhp.POSEAUG,
    pw3d_14.PW3D_14,
    generic.GENERIC,
    many.MANY,
  )
}

__all__ = ["PROTOCOLS", "REQUIRED_FACTS", "Protocol", "evaluate", "factors", "get"]


def get(name: str) -> Protocol:
  """The protocol of that name; a ValueError lists the known ones."""
  if name not in PROTOCOLS:
    raise ValueError(f"unknown protocol {name!r}; known are {', '.join(PROTOCOLS)}")
  return PROTOCOLS[name]


def factors(name: str, clips: Sequence[Clip]) -> list[np.ndarray] | None:
  """The oracle [T] of each clip that predictions for a protocol are decoded with; None where it asks for none."""
  factor = get(name).factor
  return None if factor is None else [factor(clip) for clip in clips]


def evaluate(
  name: str,
  clips: Sequence[Clip],
  predictions: Sequence[np.ndarray],
  *,
  facts: dict,
  seed: int = 0,
  resamples: int = 1000,
) -> dict:
  """Scores predictions by a published protocol and says everything that decides what the numbers may be compared with.

  Args:
    name: a key of PROTOCOLS.
    clips: whole sequences with joints_3d; only frames with `valid` are scored.
    predictions: one [T, J, 3] array a clip, metres, camera axes, the clip's own joints; absolute or root-relative, as
      the root is subtracted from both sides always.
    facts: what only the caller knows: the REQUIRED_FACTS, those that the protocol requires besides, and anything else
      worth recording; it lands in the fingerprint under its own name. `seed` there is the model's.
    seed, resamples: of the bootstrap intervals.

  Returns:
    {"metrics": {name: value}, "intervals": {name: [low, high] or None}, "per_action", "per_sequence",
    "per_joint_group", the protocol's own groupings, "fingerprint"}, all JSON: millimetres, and percentages 0 to 100;
    None where a metric has no frames (as mpjve_mm where no two consecutive frames are valid).

  Raises:
    ValueError: naming the clip, on a count that does not match, a wrong shape, a wrong joint set, NaN in a scored
      frame, a repeated clip name, no frame to score; naming the fact, on a missing one.
  """
  return evaluate_with(get(name), clips, predictions, facts=facts, seed=seed, resamples=resamples)
