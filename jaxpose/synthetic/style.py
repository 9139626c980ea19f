"""How a person moves: the slow facts of posture and gait that stay the same through all of someone's motions."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Style:
  """Angles in radians, lengths as fractions of stature, the rest are factors around 1."""

  cadence: float  # steps a second against the average at that speed
  step_width: float  # half the distance between the feet's tracks in walking
  stance: float  # half the distance between the feet in standing
  toe_out: float
  knees_out: float  # how far knees point sideways when bent deep
  arm_swing: float
  swing_left: float  # share of the left arm in the swing: 1 is symmetric
  arm_carry: float  # abduction of hanging arms
  elbow_rest: float
  slouch: float  # flexion of the thoracic spine at rest
  head_forward: float
  sway: float  # of the pelvis over the standing leg
  pelvis_turn: float
  bounce: float
  restlessness: float  # scale of all noise


def sample(rng: np.random.Generator) -> Style:
  """A style at random."""
  degrees = np.pi / 180
  return Style(
    cadence=rng.normal(1, 0.04),
    step_width=rng.uniform(0.022, 0.042),
    stance=rng.uniform(0.05, 0.085),
    toe_out=rng.uniform(3, 14) * degrees,
    knees_out=rng.uniform(0.1, 0.5),
    arm_swing=rng.uniform(0.6, 1.35),
    swing_left=rng.uniform(0.7, 1.3),
    arm_carry=rng.uniform(7, 16) * degrees,
    elbow_rest=rng.uniform(10, 32) * degrees,
    slouch=rng.uniform(0, 13) * degrees,
    head_forward=rng.uniform(-4, 12) * degrees,
    sway=rng.uniform(0.6, 1.4),
    pelvis_turn=rng.uniform(0.6, 1.4),
    bounce=rng.uniform(0.8, 1.2),
    restlessness=rng.uniform(0.6, 1.5),
  )
