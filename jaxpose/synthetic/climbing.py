"""People off the ground: they climb walls and ladders, hang from a bar, swing and pull themselves up."""

import numpy as np

from jaxpose.synthetic import kinematics, signals, stepping
from jaxpose.synthetic.body import Body
from jaxpose.synthetic.style import Style
from jaxpose.synthetic.track import Track


def climb(t: np.ndarray, fps: float, start: float, body: Body, style: Style, rng: np.random.Generator) -> Track:
  """Climbs a wall (knees out, holds anywhere) or a ladder, up and down, from `start` seconds on; it stands at +z."""
  ladder = rng.uniform() < 0.4
  size = body.stature / 1.7
  speed = rng.uniform(0.22, 0.45) * size
  rate = _up_and_down(t, start, speed, rng)
  lowest = 0.62 * body.leg + rng.uniform(0.2, 0.3) * size
  height = np.cumsum(rate) / fps
  height = lowest + height - height[t >= start][0]
  height = lowest + 0.1 * np.logaddexp(0, (height - lowest) / 0.1)  # never below the first holds
  zero = np.zeros_like(t)
  traverse = zero if ladder else 0.22 * size * signals.drift(rng, t, 1, low=0.04, high=0.15)[:, 0]
  position = np.stack([traverse, height, zero], -1)
  stride = rng.uniform(0.45, 0.62) * size
  phase = np.cumsum(np.abs(rate)) / fps / stride + 0.05 * t + rng.uniform()
  path = stepping.Path(position, zero, phase)
  duty = zero + rng.uniform(0.68, 0.78)
  noise = signals.drift(rng, t, 8) * style.restlessness
  wall = rng.uniform(0.30, 0.38) * size
  spread = 0.6 if ladder else 1.0
  sway = np.cos(2 * np.pi * phase - np.pi * duty)
  root = position + np.stack([0.03 * size * sway, 0.01 * noise[:, 0], 0.015 * noise[:, 1]], -1)
  pitch = rng.uniform(-0.05, 0.12)
  root_angles = np.stack([0.06 * noise[:, 2], pitch + 0.03 * noise[:, 3], -0.08 * sway, 0.08 * sway], -1)
  angles = np.zeros((len(t), len(kinematics.CHANNELS)))
  going_up = np.clip(rate / speed, -1, 1)
  values = {
    "thoracic_flexion": 0.1 + 0.04 * noise[:, 4], "lumbar_lateral": 0.06 * sway, "thoracic_lateral": 0.05 * sway,
    "thoracic_twist": -0.1 * sway, "neck_flexion": -0.25 - 0.3 * going_up + 0.1 * noise[:, 5],
    "neck_twist": 0.25 * noise[:, 6],
  }  # fmt: skip
  for name, value in values.items():
    angles[:, kinematics.channel(name)[0]] = value
  for side in kinematics.SIDES:
    angles[:, kinematics.channel(f"{side}_clavicle_elevation")[0]] = 0.25
  pose = kinematics.forward(body, root, root_angles, angles)
  for side, sign in kinematics.SIDES.items():
    foot = (
      sign * (0.09 + 0.1 * spread * rng.uniform(0.8, 1.2)) * size,
      -rng.uniform(0.66, 0.74) * body.leg,
      wall - 0.1 * size,
    )
    hand = sign * body.shoulder * (0.9 + 0.45 * spread), body.torso + rng.uniform(0.35, 0.55) * body.arm, wall
    for limb, place, offset in (("leg", foot, 0.0), ("arm", hand, 0.5)):
      falls = stepping.footfalls(
        path,
        offset=offset + (0.0 if sign > 0 else 0.5) + rng.uniform(-0.04, 0.04),
        duty=duty,
        place=np.broadcast_to(np.array(place), root.shape),
        jitter=rng.normal(0, 0.01 if ladder else 0.045, (64, 3)) * (1, 1, 0.2) * size,
      )
      off_wall = 0.09 * size * np.sin(np.pi * falls.swing) ** 2 * np.clip(falls.step_after / 0.25, 0, 1)
      target = falls.position - np.stack([zero, zero, off_wall], -1)
      if limb == "leg":
        target[:, 1] = np.maximum(target[:, 1], body.ankle)
      pole = {"leg": (sign * spread * 0.6, 0.25, 0.8), "arm": (sign * 0.8, -0.6, 0.15)}[limb]
      parent, joint = (pose.pelvis, "hip") if limb == "leg" else (pose.thorax, "shoulder")
      poles = np.broadcast_to(np.array(pole), root.shape)
      solved = kinematics.reach(body, side, limb, parent, pose[f"{side}_{joint}"], target, poles)
      angles[:, kinematics.limb_channels(side, limb)] = solved
    dorsiflexion = root_angles[:, 1] - angles[:, kinematics.channel(f"{side}_hip_flexion")[0]]
    dorsiflexion = dorsiflexion + angles[:, kinematics.channel(f"{side}_knee_flexion")[0]]
    angles[:, kinematics.channel(f"{side}_ankle_dorsiflexion")[0]] = dorsiflexion
  return Track(root, root_angles, kinematics.clamp(angles), zero)


def _up_and_down(t: np.ndarray, start: float, speed: float, rng: np.random.Generator) -> np.ndarray:
  """Metres a second upwards, [T]: up from `start` on, a pause, and down."""
  turning = start + rng.uniform(3.5, 6.5)
  rate = speed * (signals.ramp(t, start, start + 1) - signals.ramp(t, turning, turning + 0.8))
  rate -= 0.8 * speed * signals.ramp(t, turning + 1, turning + 1.8)
  return rate * (1 + 0.2 * signals.drift(rng, t, 1, low=0.2, high=1.0)[:, 0])


def hang(t: np.ndarray, fps: float, start: float, body: Body, style: Style, rng: np.random.Generator) -> Track:
  """Hangs from a bar from the first frame on: swings as a pendulum, pulls up, tucks the knees."""
  zero, noise = np.zeros_like(t), signals.drift(rng, t, 12) * style.restlessness
  stretched = 0.95 * body.arm + body.torso
  bar = stretched + body.leg + body.ankle + rng.uniform(0.2, 0.4)
  pulls = rng.uniform() < 0.5
  swing = rng.uniform(0.08, 0.16) if pulls else rng.uniform(0.2, 0.5)
  frequency = np.sqrt(9.81 / (0.75 * (stretched + 0.6 * body.leg))) / (2 * np.pi)
  growing = 0.4 + 0.6 * signals.ramp(t, start, start + 4)
  angle = swing * growing * np.sin(2 * np.pi * frequency * t + rng.uniform(0, 6)) + 0.02 * noise[:, 0]
  pull = zero
  if pulls:
    period = rng.uniform(2.2, 3.2)
    pull = (
      rng.uniform(0.45, 0.6)
      * signals.ramp(t, start, start + 1)
      * (0.5 - 0.5 * np.cos(2 * np.pi * (t - start) / period)) ** 1.3
    )
  tuck = rng.uniform(0, 1.0) * (0.5 + 0.5 * np.tanh(2 * signals.drift(rng, t, 1, low=0.08, high=0.3)[:, 0]))
  turn = 0.25 * signals.drift(rng, t, 1, low=0.05, high=0.3)[:, 0] * (0.3 if pulls else 1)
  root_angles = np.stack([zero, angle, 0.03 * noise[:, 1], 0.3 * turn], -1)
  angles = np.zeros((len(t), len(kinematics.CHANNELS)))
  whip = -1.4 * np.roll(angle, int(0.15 * fps))  # legs trail behind the trunk
  for i, side in enumerate(kinematics.SIDES):
    knee = 0.15 + 1.5 * tuck + 0.15 * noise[:, 3 + i] ** 2
    flexion = 0.1 + 1.1 * tuck + 0.4 * whip + 0.06 * noise[:, 5 + i]
    angles[:, kinematics.limb_channels(side, "leg")] = np.stack([flexion, zero + rng.uniform(0, 0.15), zero, knee], -1)
    angles[:, kinematics.channel(f"{side}_ankle_dorsiflexion")[0]] = -0.5
    angles[:, kinematics.channel(f"{side}_clavicle_elevation")[0]] = 0.4 * (1 - pull)
  angles[:, kinematics.channel("lumbar_flexion")[0]] = 0.1 * tuck + 0.3 * whip
  angles[:, kinematics.channel("thoracic_twist")[0]] = 0.5 * turn
  angles[:, kinematics.channel("neck_flexion")[0]] = -0.2 - 0.3 * pull + 0.1 * noise[:, 7]
  angles[:, kinematics.channel("neck_twist")[0]] = 0.25 * noise[:, 8]
  # Place the trunk so that the middle of the shoulders is at the arms' length under the bar, along the swing.
  rough = kinematics.forward(body, np.zeros((len(t), 3)), root_angles, angles)
  shoulders = (rough["left_shoulder"] + rough["right_shoulder"]) / 2
  width = body.shoulder * rng.uniform(1.0, 1.5)
  slack = np.sqrt(np.maximum(((0.965 - pull) * body.arm) ** 2 - (width - body.shoulder) ** 2, 0.01))
  along = kinematics.about_x(angle) @ np.array((0, 1.0, 0))
  root = np.array((0, bar, 0)) - slack[:, None] * along - shoulders
  pose = kinematics.forward(body, root, root_angles, angles)
  for side, sign in kinematics.SIDES.items():
    target = np.broadcast_to(np.array((sign * width, bar, 0)), root.shape)
    pole = np.broadcast_to(np.array((sign * 1.0, -0.35, 0.15)), root.shape)
    arm = kinematics.reach(body, side, "arm", pose.thorax, pose[f"{side}_shoulder"], target, pole)
    angles[:, kinematics.limb_channels(side, "arm")] = arm
  return Track(root, root_angles, kinematics.clamp(angles), zero)
