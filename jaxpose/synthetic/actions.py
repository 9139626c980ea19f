"""What people do on their feet: each function adds one action to a script, from `start` to `end` in seconds."""

import numpy as np

from jaxpose.synthetic import gestures, kinematics, signals
from jaxpose.synthetic.body import Body
from jaxpose.synthetic.upright import GRAVITY, Script, standing_height


def travel(
  script: Script,
  start: float,
  end: float,
  rng: np.random.Generator,
  *,
  speed: float,
  running: float = 0.0,
  arena: float = 1.1,
  sharpest: float | None = None,
) -> None:
  """Walks (or runs) about at `speed` m/s, on a path that wanders and keeps within about `arena` metres of the origin.

  sharpest: the fastest turn in rad/s; by default what keeps the path in the arena.
  """
  t = script.t
  weight = signals.window(t, start, end, 0.7 + 0.25 * speed)
  pace = speed * weight * (1 + 0.06 * signals.drift(rng, t, 1, high=0.6)[:, 0])
  wander = 0.35 * signals.drift(rng, t, 1, low=0.05, high=0.4)[:, 0]
  script.speed += pace
  script.running += running * weight
  position, heading, turn = np.zeros(2), 0.0, 0.0
  sharpest = max(1.0, 1.25 * speed / arena) if sharpest is None else sharpest
  favourite = rng.choice((-1.0, 1.0))  # the side to turn to when the way back is straight behind
  for i in range(len(t)):
    distance = float(np.linalg.norm(position))
    to_centre = np.arctan2(-position[0], -position[1]) if distance > 1e-3 else heading
    off = (to_centre - heading + np.pi) % (2 * np.pi) - np.pi
    if abs(off) > 2.6:
      off = favourite * abs(off)
    urge = np.clip((distance - 0.35 * arena) / (0.5 * arena), 0, 1)
    wish = np.clip(wander[i] * (1 - urge) + 1.3 * urge * off, -sharpest, sharpest)
    turn += (wish - turn) * min(1.0, 5 / script.fps)
    script.turn[i] += turn * weight[i]
    heading += script.turn[i] / script.fps
    ahead = np.array((np.sin(heading), np.cos(heading)))
    left = np.array((np.cos(heading), -np.sin(heading)))
    position = position + (script.speed[i] * ahead + script.sidestep[i] * left) / script.fps


def turn_about(script: Script, start: float, end: float, rng: np.random.Generator) -> None:
  """Turns on the spot by a quarter to a full circle, head first."""
  angle = rng.uniform(0.5, 1.8) * np.pi * rng.choice((-1, 1))
  if abs(angle) / (end - start) > 2.2:
    angle = np.sign(angle) * 2.2 * (end - start)
  profile = np.gradient(signals.ramp(script.t, start, end)) * script.fps
  script.turn += angle * profile
  ahead = profile / profile.max() if profile.max() > 0 else profile
  script.look += np.sign(angle) * 0.35 * np.roll(ahead, -int(0.2 * script.fps))
  script.twist += np.sign(angle) * 0.15 * ahead


def side_step(script: Script, start: float, end: float, rng: np.random.Generator) -> None:
  """Steps to one side and back, or backwards and back."""
  stroke = np.sin(2 * np.pi * (script.t - start) / (end - start)) * signals.window(script.t, start, end, 0.5)
  speed = rng.uniform(0.35, 0.6) * rng.choice((-1, 1))
  if rng.uniform() < 0.6:
    script.sidestep += speed * stroke
  else:
    script.speed += 1.2 * speed * stroke


def shift_weight(script: Script, body: Body, start: float, end: float, rng: np.random.Generator) -> None:
  """Stands on one leg more than on the other, and changes."""
  weight = signals.window(script.t, start, end, 0.8)
  side = np.tanh(1.5 * signals.drift(rng, script.t, 1, low=0.08, high=0.35)[:, 0])
  script.aside += weight * 0.03 * body.stature * side
  script.tilt -= weight * 0.08 * side
  script.twist += weight * 0.12 * signals.drift(rng, script.t, 1, low=0.08, high=0.4)[:, 0]


def squat(script: Script, body: Body, start: float, end: float, rng: np.random.Generator) -> None:
  """Squats, one to three times, half or deep, arms forward or to the floor."""
  count = max(1, min(int(rng.integers(1, 4)), int((end - start) / 2)))
  length = (end - start) / count
  deepest = rng.uniform(0.4, 0.68)
  apart = rng.uniform(0.1, 0.5)
  low = rng.uniform() < 0.4
  script.wider += signals.window(script.t, start - 0.8, end + 0.8, 0.2) * rng.uniform(0, 0.06) * body.stature
  for i in range(count):
    at = start + i * length
    stroke = signals.window(script.t, at, at + length, 0.45 * length * rng.uniform(0.8, 1))
    depth = deepest * rng.uniform(0.85, 1.05)
    script.crouch += stroke * depth * body.leg
    script.back += stroke * 0.12 * body.thigh
    script.bend += stroke * (0.4 + 0.3 * depth + 0.25 * low)
    script.knees_apart += stroke * apart
    script.heels += stroke * max(0.0, depth - 0.52) * 2.4
    if low:
      points = np.array((0.1, -0.85, 0.6)) + 0.05 * signals.drift(rng, script.t, 3)
    else:
      points = np.array((0.15, rng.uniform(-0.25, 0.05), 0.85)) + 0.03 * signals.drift(rng, script.t, 3)
    for side in kinematics.SIDES:
      gestures.lay(script, body, side, points, stroke)


def sit(script: Script, body: Body, start: float, end: float, rng: np.random.Generator) -> None:
  """Sits down on a chair, does something with the arms, and stands up again at the end."""
  t = script.t
  down = min(rng.uniform(1.1, 1.7), 0.4 * (end - start))
  seated = signals.window(t, start, end, down)
  seat = (body.shank + body.ankle) * rng.uniform(0.92, 1.08) + 0.02 * body.stature
  script.crouch += seated * (standing_height(body) - seat)
  script.back += seated * rng.uniform(0.8, 0.95) * body.thigh
  # The trunk goes forward to keep the weight over the feet while the seat is not there yet.
  on_the_way = signals.window(t, start - 0.1, start + down, 0.55 * down) + signals.window(
    t, end - down, end + 0.1, 0.45 * down
  )
  rest = rng.uniform(-0.12, 0.3)
  script.bend += 0.75 * on_the_way + seated * rest
  script.back -= 0.13 * body.torso * np.sin(script.bend) * seated  # bending moves a sitter's pelvis no more
  script.bend += seated * 0.12 * signals.drift(rng, t, 1, low=0.08, high=0.4)[:, 0]
  script.tilt += seated * 0.06 * signals.drift(rng, t, 1, low=0.08, high=0.4)[:, 0]
  script.knees_apart += seated * rng.uniform(0.0, 0.35)
  script.wider += signals.window(script.t, start - 0.8, end + 0.8, 0.2) * rng.uniform(-0.01, 0.03) * body.stature
  first, last = start + 0.7 * down, end - 0.7 * down
  lap = np.array((rng.uniform(0.1, 0.25), -0.8 * body.torso / body.arm, rng.uniform(0.45, 0.7)))
  gestures.both_hands(script, body, first, last, lap, rng, (0.9, -0.4, -0.3))
  if last - first > 2:
    activity = rng.choice(("lap", "talk", "face", "reach"))
    side = str(rng.choice(("left", "right")))
    if activity == "talk":
      gestures.talk(script, body, first + 0.3, last - 0.3, rng)
    elif activity == "face":
      gestures.to_face(script, body, side, first + 0.3, last - 0.3, rng)
    elif activity == "reach":
      stop = min(last - 0.2, first + rng.uniform(2.2, 3.2))
      gestures.reach_for(script, body, side, first + 0.2, stop, rng, str(rng.choice(("front", "side", "high"))))
      if last - stop > 1.8:
        gestures.talk(script, body, stop - 0.2, last - 0.2, rng)


def jump(
  script: Script, body: Body, start: float, rng: np.random.Generator, *, height: float, distance: float = 0.0
) -> float:
  """Jumps `height` metres up and `distance` forwards from both feet, and returns when it is over.

  The pelvis is pushed off with constant acceleration, flies a parabola under gravity, and is caught again.
  """
  t = script.t
  rise = np.sqrt(2 * GRAVITY * height)  # speed at take-off, m/s
  flight = 2 * rise / GRAVITY
  dip, catch, stretch = rng.uniform(0.24, 0.34) * body.leg, rng.uniform(0.2, 0.34) * body.leg, 0.035 * body.stature
  crouched = start + rng.uniform(0.4, 0.55)
  off = crouched + 2 * (dip + stretch) / rise
  landed = off + flight
  caught = landed + 2 * (catch + stretch) / rise
  end = caught + rng.uniform(0.5, 0.8)
  flying = (t > off) & (t < landed)
  tau = np.clip(t - off, 0, flight)
  parabola = rise * tau - GRAVITY / 2 * tau**2
  ends = (
    ((start, crouched, off), (0, -dip, stretch), (0, 0, rise)),
    ((landed, caught, end), (stretch, -catch, 0), (-rise, 0, 0)),
  )
  script.hop += np.where(
    t <= off, signals.hermite(t, *ends[0]), np.where(t >= landed, signals.hermite(t, *ends[1]), stretch)
  )
  script.hop += parabola
  tuck = rng.uniform(0.02, 0.2) * height / 0.3
  script.foot_hop += (parabola + tuck * np.sin(np.pi * tau / flight) ** 2) * flying
  along = distance / ((off - crouched) / 2 + flight + (caught - landed) / 2)
  lead = along * (off - crouched) / 2
  keys = (crouched, off, landed, caught)
  script.drive += signals.hermite(t, keys, (0, lead, lead + along * flight, distance), (0, along, along, 0))
  script.foot_drive += distance * signals.ramp(t, off, landed)
  heels = np.radians(48) * signals.ramp(t, off - 0.14, off) * (1 - signals.ramp(t, landed, landed + 0.12))
  script.heels += heels * (1 - 0.5 * signals.window(t, off, landed, 0.5 * flight))
  times = (start, crouched, off, (off + landed) / 2, landed, caught, end)
  script.bend += signals.keyed(t, times, (0, 0.75, 0.05, 0.15, 0.2, rng.uniform(0.5, 0.8), 0))
  script.knees_apart += 0.15 * signals.window(t, start, end, 0.4)
  top = rng.uniform(1.2, 2.7) if distance < 0.5 else rng.uniform(1.0, 1.7)
  weight = signals.window(t, start, end, 0.3, 0.5)
  for side in kinematics.SIDES:
    values = signals.keyed(t, times, (0.2, -0.65, 0.45 * top, top, 0.75 * top, 0.5, 0.1) + rng.normal(0, 0.08, 7))
    elbow = signals.keyed(t, times, (0.5, 0.4, 0.6, 0.5, 0.6, 0.7, 0.4))
    arm = np.stack([values, np.full_like(t, 0.25), np.full_like(t, 0.3), elbow], -1)
    script.overlay(kinematics.limb_channels(side, "arm"), signals.blur(arm, 0.06, script.fps), weight)
  script.swing *= 1 - weight
  return end


def jumping_jacks(script: Script, body: Body, start: float, end: float, rng: np.random.Generator) -> None:
  """Hops with the legs apart and the arms overhead, and back together."""
  t = script.t
  period = rng.uniform(0.52, 0.72)
  flight = 0.45 * period
  beats = np.floor((t - start) / period)
  inside = signals.window(t, start, end, 0.4)
  tau = (t - start) - beats * period
  air = np.clip((tau - (period - flight)) / flight, 0, 1)
  apart = np.where(beats % 2 == 0, signals.ease(air), 1 - signals.ease(air))
  parabola = GRAVITY / 2 * flight**2 * air * (1 - air)
  on_ground = np.sin(np.pi * np.clip(tau / (period - flight), 0, 1))
  script.hop += inside * (parabola - 0.03 * on_ground)
  script.foot_hop += inside * parabola
  script.heels += inside * (np.radians(25) * (1 - 0.6 * on_ground))
  script.spread += inside * apart * rng.uniform(0.12, 0.17) * body.stature
  for side in kinematics.SIDES:
    up = rng.uniform(2.3, 2.8)
    arm = np.stack([0.15 + 0.1 * apart, 0.2 + (up - 0.2) * apart, np.full_like(t, -0.2), 0.25 + 0.2 * apart], -1)
    script.overlay(kinematics.limb_channels(side, "arm"), arm, inside)
    script.overlay(kinematics.channel(f"{side}_clavicle_elevation"), (0.25 * apart)[:, None], inside)


def kick(script: Script, body: Body, side: str, start: float, end: float, rng: np.random.Generator) -> None:
  """Kicks forwards, to the side or in a round-house: the knee comes up, the leg snaps out and is drawn back."""
  t, sign = script.t, kinematics.SIDES[side]
  length = end - start
  times = start + length * np.array((0, 0.3, 0.5, 0.62, 0.8, 1))
  style = rng.choice(("front", "side", "round"))
  high = rng.uniform(0.65, 1.0)
  flexion, abduction, rotation = {
    "front": ((-0.25, 1.3, 1.75, 1.7, 1.1, 0), (0.05, 0.1, 0.1, 0.1, 0.1, 0.05), 0.0),
    "side": ((0, 1.0, 0.7, 0.7, 0.8, 0), (0.05, 0.35, 0.75, 0.75, 0.35, 0.05), 0.4),
    "round": ((-0.2, 0.9, 1.15, 1.1, 0.8, 0), (0.2, 0.6, 0.6, 0.5, 0.3, 0.05), 0.5),
  }[style]
  knee = (0.35, 1.9, 0.15, 0.3, 1.5, 0.2)
  leg = [
    np.array(flexion) * high,
    np.array(abduction) * high,
    np.full(6, rotation) * (0, 1, 1, 1, 0.5, 0),
    np.array(knee),
  ]
  weight = signals.window(t, start, end, 0.25 * length)
  script.overlay(kinematics.limb_channels(side, "leg"), signals.keyed(t, times, np.stack(leg, -1)), weight)
  script.overlay(kinematics.channel(f"{side}_ankle_dorsiflexion"), np.array([-0.3]), weight)
  # The weight goes over the other foot, and the trunk leans away from the leg.
  lean_in = signals.window(t, start - 0.35, end + 0.35, 0.45)
  script.aside -= lean_in * sign * 0.055 * body.stature
  script.crouch += lean_in * 0.02 * body.stature
  script.bend -= weight * (0.35 if style == "front" else 0.1) * high
  script.tilt -= weight * sign * (0.1 if style == "front" else 0.55) * high
  script.twist += weight * sign * (-0.35 if style == "round" else 0.2)
  for each in kinematics.SIDES:
    guard = np.array((rng.uniform(0.1, 0.5), rng.uniform(-0.5, -0.05), rng.uniform(0.3, 0.5)))
    gestures.lay(script, body, each, guard + 0.03 * signals.drift(rng, t, 3), lean_in)
