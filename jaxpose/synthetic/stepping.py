"""Footfalls: where and when feet (and a crawler's hands and knees) are put down along a path, so that none skates.

A limb stands while its own phase is in [0, duty) of a cycle, at the place that it would have in the body's frame in the
middle of that stance, and then swings to the next such place. Walking, turning on the spot, side steps and standing
still are one case.
"""

import dataclasses

import numpy as np

from jaxpose.synthetic import kinematics, signals
from jaxpose.synthetic.body import Body


@dataclasses.dataclass(frozen=True)
class Path:
  """What a body travels along: position [T, 3] and heading [T] of its middle, and its cycle's unwrapped phase [T]."""

  position: np.ndarray
  heading: np.ndarray
  phase: np.ndarray


@dataclasses.dataclass(frozen=True)
class Falls:
  """One limb: position [T, 3], heading [T], the share of its swing done [T] (0 in stance), of its stance done [T] (1 in
  swing), and how large [T] the step before and after the stance are, in metres; a turn of a radian counts 0.3 m."""

  position: np.ndarray
  heading: np.ndarray
  swing: np.ndarray
  stance: np.ndarray
  step_before: np.ndarray
  step_after: np.ndarray


def footfalls(
  path: Path,
  *,
  offset: float,
  duty: np.ndarray,
  place: np.ndarray,
  toe_out: float = 0.0,
  jitter: np.ndarray | None = None,
) -> Falls:
  """Footfalls of one limb.

  offset: its phase against the path's; duty [T]: the share of the cycle that it stands; place [T, 3]: where it stands
  in the body's frame (left, up, forward); jitter [K, 3]: what is added to one placement after the other.
  """
  turns = path.phase + offset
  frames = np.arange(len(turns), dtype=np.float64)
  cycles = np.arange(np.floor(turns[0]), np.ceil(turns[-1]) + 2)
  duties = np.interp(np.interp(cycles, turns, frames), frames, duty)
  middle = np.interp(cycles + duties / 2, turns, frames)

  def at_middle(values):
    return np.stack([np.interp(middle, frames, column) for column in values.T], -1)

  heading = np.interp(middle, frames, path.heading)
  local = at_middle(place)
  if jitter is not None:
    local = local + jitter[np.arange(len(cycles)) % len(jitter)]
  places = at_middle(path.position) + (kinematics.about_y(heading) @ local[..., None])[..., 0]
  steps = np.linalg.norm(np.diff(places, axis=0), axis=-1) + 0.3 * np.abs(np.diff(heading))
  steps = np.concatenate([steps[:1], steps, steps[-1:]])
  k = np.floor(turns).astype(int) - int(cycles[0])
  share = turns - np.floor(turns)
  swing = np.clip((share - duties[k]) / (1 - duties[k]), 0, 1)
  moved = signals.ease(swing)
  following = np.minimum(k + 1, len(cycles) - 1)
  return Falls(
    places[k] + moved[:, None] * (places[following] - places[k]),
    heading[k] + moved * (heading[following] - heading[k]) + toe_out,
    swing,
    np.clip(share / duties[k], 0, 1),
    steps[k],
    steps[k + 1],
  )


def roll_over(falls: Falls, running: np.ndarray) -> np.ndarray:
  """The foot's pitch [T] through a cycle, heel up positive: heel strike, flat foot, heel rise, and back in the swing.

  Sizes follow the step's length and vanish for a foot that stays; running lands flatter and pushes off further.
  """
  before, after = np.clip(falls.step_before / 1.2, 0, 1), np.clip(falls.step_after / 1.2, 0, 1)
  strike = -np.radians(20 - 14 * running) * before
  push = np.radians(56 + 4 * running) * np.sqrt(after)
  landing = strike * (1 - signals.ease(falls.stance / 0.18))
  rising = push * signals.ease((falls.stance - 0.5) / 0.62) / signals.ease(np.full(1, 0.5 / 0.62))
  next_strike = -np.radians(20 - 14 * running) * after
  swinging = push + (next_strike - push) * signals.ease(falls.swing / 0.9)
  return np.where(falls.swing > 0, swinging, landing + rising)


def ankle_over(body: Body, falls: Falls, pitch: np.ndarray, lift: np.ndarray) -> np.ndarray:
  """The ankle's position [T, 3] of a foot that is pitched over its ball (heel up) or its heel (toes up) and lifted."""
  up, down = np.maximum(pitch, 0), np.minimum(pitch, 0)
  height = body.ankle * np.cos(pitch) + body.ball * np.sin(up) - body.heel * np.sin(down)
  ahead = body.ankle * np.sin(pitch) + body.ball * (1 - np.cos(up)) - body.heel * (1 - np.cos(down))
  forward = np.stack([np.sin(falls.heading), np.zeros_like(pitch), np.cos(falls.heading)], -1)
  ankle = falls.position + ahead[:, None] * forward
  ankle[:, 1] += height + lift
  return ankle


def swing_lift(falls: Falls, running: np.ndarray, body: Body) -> np.ndarray:
  """Height [T] of a swinging foot over the ground beyond what its pitch gives; runners bring the heel up behind."""
  size = np.clip(falls.step_after / 0.5, 0, 1)
  reach = np.clip(falls.step_after / (1.7 * body.stature), 0, 1)
  walk = 0.028 * body.stature * np.sin(np.pi * falls.swing) ** 2
  run = 0.26 * body.stature * reach * np.sin(np.pi * falls.swing**0.72) ** 2
  return size * (walk + running * run)
