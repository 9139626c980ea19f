"""What arms do: waving, talking, reaching, telephoning, clapping, punching ... laid over a script's own arm motion.

Hands go to points in the frame of the thorax (left, up, forward from the base of the neck), in units of the arm's
length.
"""

import numpy as np

from jaxpose.synthetic import kinematics, signals
from jaxpose.synthetic.body import Body
from jaxpose.synthetic.upright import Script

_ELBOW_DOWN = (0.45, -0.8, -0.45)  # where elbows point, left arm
_ELBOW_OUT = (0.9, -0.25, -0.1)
_ELBOW_RAISED = (0.8, -0.3, 0.35)


def hand_at(body: Body, side: str, points: np.ndarray, elbow: tuple[float, float, float] = _ELBOW_DOWN) -> np.ndarray:
  """Arm angles [T, 4] that hold the wrist at points [T, 3]: arm's lengths from the base of the neck, x outwards."""
  sign = kinematics.SIDES[side]
  frames = len(points)
  mirror = np.array((sign, 1, 1))
  shoulder = np.broadcast_to(np.array((sign * body.shoulder, -body.shoulder_drop, 0)), (frames, 3))
  upright = np.broadcast_to(np.eye(3), (frames, 3, 3))
  # A pole that points down says nothing to a raised hand: its elbow goes outwards and to the front.
  raised = np.clip(points[:, 1:2] / 0.5, 0, 1)
  pole = (np.array(elbow) + raised * (np.array(_ELBOW_RAISED) - elbow)) * mirror
  return kinematics.reach(body, side, "arm", upright, shoulder, points * mirror * body.arm, pole)


def lay(script: Script, body: Body, side: str, points, weight: np.ndarray, elbow=_ELBOW_DOWN) -> None:
  """Holds a hand at points [T, 3] or [3] (see `hand_at`) by weight [T]; a raised arm lifts its shoulder."""
  points = np.broadcast_to(np.asarray(points, np.float64), (len(script.t), 3))
  arm = hand_at(body, side, points, elbow)
  script.overlay(kinematics.limb_channels(side, "arm"), arm, weight)
  raised = np.clip(np.hypot(arm[:, 0], arm[:, 1]) - np.radians(50), 0, None)
  script.overlay(kinematics.channel(f"{side}_clavicle_elevation"), 0.16 * raised[:, None], weight)


def wave(script: Script, body: Body, side: str, start: float, end: float, rng: np.random.Generator) -> None:
  """Waves a raised hand from side to side, beside the head or over it."""
  t = script.t
  weight = signals.window(t, start, end, rng.uniform(0.45, 0.75))
  rate, size = rng.uniform(1.2, 2.4), rng.uniform(0.13, 0.3)
  height, out, front = rng.uniform(0.25, 0.75), rng.uniform(0.35, 0.6), rng.uniform(0.15, 0.45)
  beat = np.sin(2 * np.pi * rate * (t - start) + 0.6 * signals.drift(rng, t, 1, high=1.0)[:, 0])
  points = np.stack([out + size * beat, height - 0.06 * beat**2, np.full_like(t, front)], -1)
  points += 0.02 * signals.drift(rng, t, 3)
  low, high = np.array(_ELBOW_DOWN), np.array(_ELBOW_OUT)
  lay(script, body, side, points, weight, tuple(low + rng.uniform(0, 1) * (high - low)))
  sign = kinematics.SIDES[side]
  script.look += weight * sign * rng.uniform(-0.1, 0.4)
  script.tilt -= weight * sign * rng.uniform(0, 0.12)


def talk(
  script: Script, body: Body, start: float, end: float, rng: np.random.Generator, sides=("left", "right")
) -> None:
  """Speaks with the hands: they hover before the trunk and beat now and then."""
  t = script.t
  weight = signals.window(t, start, end, 0.8)
  beats = np.clip(signals.drift(rng, t, 1, low=0.1, high=0.5)[:, 0] + 0.6, 0, 1.3)
  for side in sides:
    centre = np.array((rng.uniform(0.18, 0.4), rng.uniform(-0.62, -0.4), rng.uniform(0.4, 0.62)))
    wander = signals.drift(rng, t, 3, low=0.25, high=2.2, exponent=0.6) * (0.10, 0.09, 0.08) * beats[:, None]
    wander += signals.drift(rng, t, 3, low=0.05, high=0.3) * 0.05
    lay(script, body, side, centre + wander, weight * rng.uniform(0.85, 1))
  script.nod += weight * np.radians(4) * signals.drift(rng, t, 1, low=0.3, high=1.5)[:, 0]
  script.look += weight * np.radians(12) * signals.drift(rng, t, 1, low=0.08, high=0.5)[:, 0]


def reach_for(
  script: Script, body: Body, side: str, start: float, end: float, rng: np.random.Generator, where: str
) -> None:
  """Reaches for something `high`, `front`, `side`, `across` or `low`, looks at it, holds it a moment and comes back."""
  places = {  # outwards, up, forward; then the trunk's bend and its twist towards the hand's side, and a nod
    "high": ((0.1, 0.55, 0.55), 0.0, -0.2, -0.35),
    "front": ((0.15, -0.1, 0.95), 0.25, -0.2, 0.1),
    "side": ((1.15, -0.05, 0.3), 0.1, 0.45, 0.1),
    "across": ((-0.35, -0.15, 0.8), 0.2, -0.6, 0.1),
    "low": ((0.2, -0.7, 0.7), 0.75, -0.25, 0.25),
  }
  if where not in places:
    raise ValueError(f"unknown place {where!r} to reach for; known are {', '.join(places)}")
  place, bend, twist, nod = places[where]
  t, sign = script.t, kinematics.SIDES[side]
  rise = min(rng.uniform(0.7, 1.1), 0.45 * (end - start))
  weight = signals.window(t, start, end, rise)
  early = signals.window(t, start - 0.1, end + 0.1, rise)
  points = np.array(place) + rng.normal(0, 0.1, 3) + 0.03 * signals.drift(rng, t, 3)
  size = rng.uniform(0.7, 1.2)
  lay(script, body, side, points, weight, (0.6, -0.7, -0.3))
  script.bend += early * bend * size
  script.twist += sign * early * twist * size
  script.look += sign * early * np.clip(twist, -0.4, 0.5)
  script.nod += early * nod
  script.heels += early * (np.radians(rng.uniform(0, 28)) if where == "high" and rng.uniform() < 0.5 else 0)


def both_hands(
  script: Script, body: Body, start: float, end: float, points, rng: np.random.Generator, elbow=_ELBOW_DOWN
) -> None:
  """Holds both hands at mirrored points [T, 3] or [3], not quite alike."""
  weight = signals.window(script.t, start, end, min(0.7, 0.4 * (end - start)))
  for side in kinematics.SIDES:
    wander = 0.02 * signals.drift(rng, script.t, 3) + rng.normal(0, 0.02, 3)
    lay(script, body, side, np.asarray(points) + wander, weight, elbow)


def carry(script: Script, body: Body, start: float, end: float, rng: np.random.Generator) -> None:
  """Carries a box before the belly."""
  width = rng.uniform(0.2, 0.35)
  both_hands(script, body, start, end, (width, rng.uniform(-0.75, -0.5), rng.uniform(0.45, 0.65)), rng)


def hands_on_hips(script: Script, body: Body, start: float, end: float, rng: np.random.Generator) -> None:
  hips = (body.hip * 1.5 / body.arm, -0.85 * body.torso / body.arm, 0.1)
  both_hands(script, body, start, end, hips, rng, (1.0, -0.1, -0.35))


def fold_arms(script: Script, body: Body, start: float, end: float, rng: np.random.Generator) -> None:
  both_hands(script, body, start, end, (-0.12, rng.uniform(-0.5, -0.4), 0.34), rng, (0.8, -0.6, 0.1))


def to_face(script: Script, body: Body, side: str, start: float, end: float, rng: np.random.Generator) -> None:
  """A hand at the ear, the mouth or the brow: telephoning, drinking, thinking."""
  ear, mouth = np.array((0.24, 0.03, 0.14)), np.array((0.14, -0.02, 0.3))  # of the wrist, a hand's length below
  at = ear + rng.uniform() * (mouth - ear)
  points = at + 0.012 * signals.drift(rng, script.t, 3)
  lay(script, body, side, points, signals.window(script.t, start, end, 0.8), (0.4, -0.9, 0.25))
  script.nod += signals.window(script.t, start, end, 0.8) * rng.uniform(0, 0.25)


def clap(script: Script, body: Body, start: float, end: float, rng: np.random.Generator) -> None:
  beat = 0.5 - 0.5 * np.cos(2 * np.pi * rng.uniform(1.5, 2.8) * (script.t - start))
  height, front = rng.uniform(-0.45, 0.1), rng.uniform(0.5, 0.65)
  points = np.stack([0.04 + 0.26 * beat, np.full_like(beat, height), np.full_like(beat, front)], -1)
  both_hands(script, body, start, end, points, rng, (0.8, -0.6, -0.1))


def stretch(script: Script, body: Body, start: float, end: float, rng: np.random.Generator) -> None:
  """Both arms up, trunk to one side and the other."""
  both_hands(script, body, start, end, (rng.uniform(0.32, 0.5), 0.9, 0.08), rng, (0.9, -0.1, 0.3))
  weight = signals.window(script.t, start, end, 0.8)
  script.tilt += weight * 0.4 * np.sin(2 * np.pi * rng.uniform(0.2, 0.35) * (script.t - start))
  script.bend -= weight * 0.12


def punch(script: Script, body: Body, start: float, end: float, rng: np.random.Generator) -> None:
  """Guards the chin and throws punches, left and right, straight, hooked and upward."""
  t = script.t
  weight = signals.window(t, start, end, 0.5)
  guard = np.array((0.14, -0.1, 0.42))
  aims = np.array(((-0.12, 0.02, 0.98), (-0.1, -0.05, 0.7), (0.0, 0.1, 0.75), (-0.05, -0.4, 0.85)))
  blows = {"left": np.zeros((len(t), 3)), "right": np.zeros((len(t), 3))}
  at, side = start + 0.5, rng.choice(("left", "right"))
  while at < end - 0.6:
    out = rng.uniform(0.16, 0.24)
    stroke = signals.window(t, at, at + 2.2 * out, out, 1.1 * out)
    blows[side] += stroke[:, None] * (aims[rng.integers(len(aims))] + rng.normal(0, 0.04, 3) - guard)
    sign = kinematics.SIDES[side]
    script.twist -= sign * 0.75 * stroke
    script.bend += 0.1 * stroke
    at += 2.2 * out + (0.02 if rng.uniform() < 0.6 else rng.uniform(0.2, 0.7))
    side = ("right" if side == "left" else "left") if rng.uniform() < 0.8 else side
  for each, blow in blows.items():
    lay(script, body, each, guard + blow + 0.02 * signals.drift(rng, t, 3), weight, (0.5, -0.85, 0.0))
  script.crouch += weight * 0.05 * body.stature
  script.bend += weight * 0.18
