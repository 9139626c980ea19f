"""Bodies: segment lengths drawn from published proportions, left and right alike.

Segments are the fractions of stature of Drillis & Contini 1966, as printed in Winter 2009 (Biomechanics and Motor
Control of Human Movement, 4th ed., figure 4.1). Those are measured on the skin: the widths between joint centres are
smaller, by factors stated below. Statures are the means and standard deviations of the ANSUR II survey (2012);
children's are the CDC growth charts' medians (2000).
"""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Body:
  """Lengths in metres of one person. Offsets are between joint centres of a person who stands upright and faces +z."""

  stature: float
  thigh: float
  shank: float
  ankle: float  # height of the ankle over the sole
  heel: float  # of the heel behind the ankle
  ball: float  # of the ball of the foot before the ankle, where the foot rolls over
  hip: float  # from the mid-line to a hip centre
  lower_spine: float  # pelvis to mid-spine
  upper_spine: float  # mid-spine to the base of the neck
  shoulder: float  # from the mid-line to a shoulder centre
  shoulder_drop: float  # of the shoulder centre under the base of the neck
  upper_arm: float
  forearm: float
  neck: float  # base of the neck to nose, upwards
  nose: float  # base of the neck to nose, forwards
  head: float  # nose to crown, upwards
  depth: float  # half of the trunk's thickness, what it lies on

  @property
  def leg(self) -> float:
    return self.thigh + self.shank

  @property
  def arm(self) -> float:
    return self.upper_arm + self.forearm

  @property
  def torso(self) -> float:
    return self.lower_spine + self.upper_spine


# Fractions of stature; heights first, since segments are their differences.
_ANKLE, _KNEE, _HIP, _SHOULDER, _CHIN, _EYE = 0.039, 0.285, 0.530, 0.818, 0.870, 0.936
_FOOT, _UPPER_ARM, _FOREARM = 0.152, 0.186, 0.146
_SHOULDER_WIDTH, _HIP_WIDTH = 0.259, 0.191
_HIP_CENTRES = 0.6  # hip joint centres lie inside the hips' breadth by this factor (as Bell 1990's regression gives)
_SHOULDER_CENTRES = 0.8  # and the shoulders' inside the breadth across the deltoids
_ANSUR = {"male": (1.756, 0.069), "female": (1.629, 0.064)}
_CHILD_MEDIANS = ((5, 1.09), (7, 1.22), (9, 1.34), (11, 1.44), (13, 1.57))  # CDC 2000, years and metres


def proportioned(
  stature: float,
  *,
  breadth: float = 1.0,
  limbs: float = 1.0,
  child: float = 0.0,
  segments: np.ndarray | None = None,
) -> Body:
  """The body of a stature in metres.

  breadth scales the widths, limbs the arms and legs, child in [0, 1] goes from adult proportions to those of a
  five-year-old (longer head, shorter legs), and segments [6] are factors of one thigh, shank, upper arm, forearm, spine
  and head.
  """
  if not 0.5 < stature < 2.5:
    raise ValueError(f"stature={stature}: a body is 0.5 to 2.5 metres tall")
  thigh, shank, upper_arm, forearm, spine, head = np.ones(6) if segments is None else segments
  legs, skull = limbs * (1 - 0.06 * child), head * (1 + 0.35 * child)
  shoulder_drop = 0.012
  spine *= (_SHOULDER + shoulder_drop - _HIP) * (1 - 0.02 * child)
  nose_height = (_CHIN + _EYE) / 2
  return Body(
    *(
      float(fraction * stature)
      for fraction in (
        1,
        (_HIP - _KNEE) * thigh * legs,
        (_KNEE - _ANKLE) * shank * legs,
        _ANKLE,
        0.27 * _FOOT,
        0.47 * _FOOT,
        _HIP_WIDTH / 2 * _HIP_CENTRES * breadth,
        0.47 * spine,
        0.53 * spine,
        _SHOULDER_WIDTH / 2 * _SHOULDER_CENTRES * breadth,
        shoulder_drop,
        _UPPER_ARM * upper_arm * limbs,
        _FOREARM * forearm * limbs,
        (nose_height - _SHOULDER - shoulder_drop) * skull,
        0.045 * skull,
        (1 - nose_height) * skull,
        0.058 * breadth,
      )
    )
  )


def sample_adult(rng: np.random.Generator) -> Body:
  """An adult of either sex: stature from ANSUR II, 3 % on every segment, 2 % of limbs against trunk, 5 % of breadth."""
  mean, deviation = _ANSUR[("male", "female")[rng.integers(2)]]
  return proportioned(
    mean + deviation * _bounded(rng),
    breadth=1 + 0.05 * _bounded(rng),
    limbs=1 + 0.02 * _bounded(rng),
    segments=_segments(rng, 0.03),
  )


OTHER_BODIES = ("child", "tall", "short", "broad", "long_limbed")


def sample_other(rng: np.random.Generator, kind: str) -> Body:
  """A body unlike the adults of `sample_adult`: one of OTHER_BODIES; a ValueError lists them."""
  if kind not in OTHER_BODIES:
    raise ValueError(f"unknown kind of body {kind!r}; known are {', '.join(OTHER_BODIES)}")
  segments = _segments(rng, 0.04)
  breadth, limbs = 1 + 0.05 * _bounded(rng), 1 + 0.02 * _bounded(rng)
  if kind == "child":
    years = rng.uniform(5, 13)
    stature = float(np.interp(years, [y for y, _ in _CHILD_MEDIANS], [h for _, h in _CHILD_MEDIANS])) * (
      1 + 0.04 * _bounded(rng)
    )
    return proportioned(stature, breadth=breadth, limbs=limbs, child=(13 - years) / 8, segments=segments)
  male, female = _ANSUR["male"][0], _ANSUR["female"][0]
  if kind == "tall":
    return proportioned(male + rng.uniform(0.16, 0.28), breadth=breadth, limbs=limbs * 1.02, segments=segments)
  if kind == "short":
    return proportioned(female - rng.uniform(0.13, 0.24), breadth=breadth, limbs=limbs * 0.97, segments=segments)
  if kind == "broad":
    return proportioned(rng.uniform(female, male), breadth=rng.uniform(1.2, 1.4), limbs=limbs * 0.95, segments=segments)
  return proportioned(
    rng.uniform(female, male), breadth=breadth * 0.92, limbs=rng.uniform(1.08, 1.16), segments=segments
  )


def _bounded(rng: np.random.Generator) -> float:
  """A standard normal number, kept within two deviations: no monsters."""
  return float(np.clip(rng.standard_normal(), -2, 2))


def _segments(rng: np.random.Generator, deviation: float) -> np.ndarray:
  """Factors [6] of the segments of `proportioned`."""
  return 1 + deviation * np.clip(rng.standard_normal(6), -2, 2)
