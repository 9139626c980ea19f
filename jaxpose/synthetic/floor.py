"""People on the ground: they crawl on knees or feet, sit, kneel, lie, roll over and do push-ups.

Limbs that carry weight reach for points on the ground; `track.settle` puts the body's lowest surface there afterwards.
"""

from collections.abc import Sequence

import numpy as np

from jaxpose.synthetic import actions, gestures, kinematics, signals, stepping, upright
from jaxpose.synthetic.body import Body
from jaxpose.synthetic.style import Style
from jaxpose.synthetic.track import Track, clearance, cross_fade

_KNEE_FLESH, _WRIST_HEIGHT, _ANKLE_FLESH = 0.03, 0.022, 0.024  # of stature: joints of limbs that lie on the ground


def crawl(t: np.ndarray, fps: float, start: float, body: Body, style: Style, rng: np.random.Generator) -> Track:
  """Crawls about from `start` seconds on, on hands and knees or, as a bear, on hands and feet."""
  bear = rng.uniform() < 0.3
  script = upright.stand(t, fps)
  actions.travel(script, start, t[-1] + 5, rng, speed=rng.uniform(0.25, 0.6) * body.stature / 1.7, sharpest=0.45)
  heading = np.cumsum(script.turn) / fps
  ahead, left = kinematics.about_y(heading)[:, :, 2], kinematics.about_y(heading)[:, :, 0]
  position = np.cumsum(script.speed[:, None] * ahead, 0) / fps
  cadence = (0.4 + 1.1 * (script.speed + 0.6 * np.abs(script.turn)) * 1.7 / body.stature) * style.cadence
  path = stepping.Path(position, heading, np.cumsum(cadence) / fps + rng.uniform())
  going = np.clip(script.speed / 0.3, 0, 1)
  duty = np.full(len(t), rng.uniform(0.58, 0.7))
  noise = signals.drift(rng, t, 6) * style.restlessness
  sway = np.cos(2 * np.pi * path.phase - np.pi * duty)  # 1 over the left knee

  def fall(offset, place, jitter):
    places = np.broadcast_to(np.array(place, np.float64), (len(t), 3))
    wobble = rng.normal(0, jitter, (64, 3)) * (1, 0, 1)
    return stepping.footfalls(path, offset=offset, duty=duty, place=places, jitter=wobble)

  root = position + (0.03 * body.stature * 0.5 * sway * going)[:, None] * left
  lag = rng.uniform(-0.05, 0.1)
  height_of_shoulders = rng.uniform(0.82, 0.89) * body.arm + _WRIST_HEIGHT * body.stature
  hips, legs = {}, {}
  height = np.full(len(t), rng.uniform(0.76, 0.86) * body.leg)  # a bear's; who is on the knees has their thighs' own
  for side, sign in kinematics.SIDES.items():
    offset = 0.0 if sign > 0 else 0.5
    hips[side] = root + (sign * body.hip) * left
    width = sign * (body.hip * rng.uniform(0.9, 1.2))
    falls = fall(offset, (width, 0, -0.22 * body.leg if bear else 0.02), 0.008)
    legs[side] = falls
  roll = (0.05 if bear else 0.12) * sway * going  # lifts the hip of the knee that swings
  if not bear:
    limits = []
    for side, sign in kinematics.SIDES.items():
      flat = np.linalg.norm((legs[side].position - hips[side])[:, (0, 2)], axis=-1)
      drop = sign * body.hip * np.sin(roll)
      limits.append(np.sqrt(np.maximum(body.thigh**2 - flat**2, (0.7 * body.thigh) ** 2)) + drop)
    height = signals.blur(signals.soft_min(*limits, softness=0.004), 0.06, fps) + _KNEE_FLESH * body.stature
  root[:, 1] = height + 0.004 * noise[:, 0]
  slope = np.arcsin(np.clip((height_of_shoulders - root[:, 1]) / body.torso, -0.8, 0.8))
  pitch = np.pi / 2 - slope
  sag = rng.uniform(0.45, 0.65) if bear else rng.uniform(-0.1, 0.25)
  root_angles = np.stack([heading, pitch - (1.0 if bear else 0.5) * sag, roll, 0.08 * sway * going], -1)
  angles = np.zeros((len(t), len(kinematics.CHANNELS)))
  _set(angles, "lumbar_flexion", (0.75 if bear else 0.5) * sag + 0.02 * noise[:, 1])
  _set(angles, "thoracic_flexion", 0.5 * sag + 0.03 * noise[:, 2])
  _set(angles, "thoracic_twist", -0.1 * sway * going + 0.03 * noise[:, 3])
  _set(angles, "neck_flexion", -np.radians(rng.uniform(15, 42)) + 0.08 * noise[:, 4])
  _set(angles, "neck_twist", 0.2 * noise[:, 5])
  pose = kinematics.forward(body, root, root_angles, angles)
  for side, sign in kinematics.SIDES.items():
    if bear:
      _on_a_foot(angles, side, legs[side], body, pose, ahead + (0.3 * sign) * left)
    else:
      _on_a_knee(angles, side, legs[side], body, pose, root_angles[:, 1], going)
  # The legs settle first: hands reach for the ground from where the shoulders then are.
  root[:, 1] -= clearance(body, kinematics.forward(body, root, root_angles, angles).points)
  pose = kinematics.forward(body, root, root_angles, angles)
  for side, sign in kinematics.SIDES.items():
    offset = (0.5 if sign > 0 else 0.0) - lag
    reach = float(np.mean(np.linalg.norm((pose["thorax"] - root)[:, (0, 2)], axis=-1)))
    falls = fall(offset, (sign * body.shoulder * rng.uniform(0.85, 1.15), 0, reach + 0.03), 0.015)
    target = falls.position.copy()
    size = np.clip(falls.step_after / 0.3, 0, 1)
    target[:, 1] = body.stature * (_WRIST_HEIGHT + 0.05 * size * np.sin(np.pi * falls.swing) ** 2)
    pole = -ahead + (0.8 * sign) * left
    arm = kinematics.reach(body, side, "arm", pose.thorax, pose[f"{side}_shoulder"], target, pole)
    angles[:, kinematics.limb_channels(side, "arm")] = arm
  return Track(root, root_angles, kinematics.clamp(angles), np.ones(len(t)))


def _on_a_foot(angles, side, falls, body, pose, pole):
  """Sets the leg of a bear, whose foot comes down where it falls, heel up."""
  lifted = np.full(len(angles), np.radians(48))
  lift = 0.05 * body.stature * np.sin(np.pi * falls.swing) ** 2 * np.clip(falls.step_after / 0.3, 0, 1)
  target = stepping.ankle_over(body, falls, lifted, lift)
  leg = kinematics.reach(body, side, "leg", pose.pelvis, pose[f"{side}_hip"], target, pole)
  angles[:, kinematics.limb_channels(side, "leg")] = leg
  _set(angles, f"{side}_ankle_dorsiflexion", kinematics.level(side, pose.pelvis, leg, lifted))


def _on_a_knee(angles, side, falls, body, pose, pitch, going):
  """Sets a leg whose thigh points at the knee's place and whose shank lies on the ground behind it."""
  knee = falls.position.copy()
  knee[:, 1] = _KNEE_FLESH * body.stature + 0.012 * body.stature * np.sin(np.pi * falls.swing) ** 2
  local = (pose.pelvis.transpose(0, 2, 1) @ (knee - pose[f"{side}_hip"])[..., None])[..., 0]
  local /= np.linalg.norm(local, axis=-1, keepdims=True)
  flexion = np.arctan2(local[:, 2], -local[:, 1])
  _set(angles, f"{side}_hip_flexion", flexion)
  _set(angles, f"{side}_hip_abduction", kinematics.SIDES[side] * np.arcsin(local[:, 0]))
  raised = 0.12 * np.sin(np.pi * falls.swing) ** 2 * going
  _set(angles, f"{side}_knee_flexion", np.radians(92.5) - pitch + flexion + raised)
  _set(angles, f"{side}_ankle_dorsiflexion", np.full(len(angles), -0.7))


def push_ups(t: np.ndarray, fps: float, start: float, body: Body, style: Style, rng: np.random.Generator) -> Track:
  """Push-ups from `start` seconds on, straight as a plank, with rests."""
  going = signals.ramp(t, start, start + 1)
  period = rng.uniform(1.3, 2.4)
  stroke = 0.5 - 0.5 * np.cos(2 * np.pi * (t - start) / period + 0.3 * signals.drift(rng, t, 1, high=0.5)[:, 0])
  depth = rng.uniform(0.25, 0.6) * going * stroke * (t > start)
  height = body.arm * (0.93 - depth) + _WRIST_HEIGHT * body.stature
  ankle = body.ball * 0.9
  rise = np.arcsin(np.clip((height + body.shoulder_drop - ankle) / (body.leg + body.torso), -0.9, 0.9))
  pike = rng.uniform(-0.08, 0.2) + 0.02 * signals.drift(rng, t, 1)[:, 0]
  root = np.stack([np.zeros_like(t), ankle + body.leg * np.sin(rise + pike), body.leg * np.cos(rise + pike)], -1)
  zero = np.zeros_like(t)
  root_angles = np.stack([zero, np.pi / 2 - rise + pike * body.leg / body.torso, zero, zero], -1)
  angles = np.zeros((len(t), len(kinematics.CHANNELS)))
  for side in kinematics.SIDES:
    apart = rng.uniform(0.0, 0.12)
    hip = root_angles[:, 1] - (np.pi / 2 - rise - pike)
    angles[:, kinematics.limb_channels(side, "leg")] = np.stack([hip, zero + apart, zero, zero + 0.06], -1)
    _set(angles, f"{side}_ankle_dorsiflexion", zero + 0.25)
  _set(angles, "neck_flexion", zero - np.radians(rng.uniform(0, 30)))
  pose = kinematics.forward(body, root, root_angles, angles)
  where = float(np.mean(pose["thorax"][:, 2])) - 0.1 * body.arm
  for side, sign in kinematics.SIDES.items():
    hand = np.array((sign * body.shoulder * rng.uniform(1.1, 1.6), _WRIST_HEIGHT * body.stature, where))
    target, pole = np.broadcast_to(hand, root.shape), np.broadcast_to(np.array((sign * 0.9, 0.3, -0.6)), root.shape)
    arm = kinematics.reach(body, side, "arm", pose.thorax, pose[f"{side}_shoulder"], target, pole)
    angles[:, kinematics.limb_channels(side, "arm")] = arm
  return Track(root - (0, 0, float(root[0, 2])), root_angles, kinematics.clamp(angles), np.ones(len(t)))


SITTING = ("long", "knees_up", "cross_legged", "kneeling", "one_knee_up")
LYING = ("back", "knees_bent", "side", "front", "legs_up", "sit_ups")


def rest(
  kinds: Sequence[str], t: np.ndarray, start: float, end: float, body: Body, style: Style, rng: np.random.Generator
) -> Track:
  """Goes through kinds of sitting and lying on the floor (of SITTING and LYING), for about equal times.

  Raises ValueError for an unknown kind, listing those there are.
  """
  track = _resting(kinds[0], t, body, style, rng)
  length = (end - start) / len(kinds)
  for i, kind in enumerate(kinds[1:], 1):
    at = start + i * length + rng.uniform(-0.3, 0.3)
    change = rng.uniform(1.1, 1.7)
    following = _resting(kind, t, body, style, rng)
    weight = signals.ramp(t, at - change / 2, at + change / 2)
    track = cross_fade(track, following, weight)
    if kind in LYING and kinds[i - 1] in LYING:  # who rolls over keeps the arms close
      for side in kinematics.SIDES:
        close, channels = np.array((0.25, 0.0, 0.3, 1.2)), kinematics.limb_channels(side, "arm")
        closing = (4 * weight * (1 - weight))[:, None]
        track.angles[:, channels] += closing * (close - track.angles[:, channels])
  return track


def _resting(kind: str, t: np.ndarray, body: Body, style: Style, rng: np.random.Generator) -> Track:
  if kind not in SITTING + LYING:
    raise ValueError(f"unknown way to rest {kind!r}; known are {', '.join(SITTING + LYING)}")
  return _sitting(kind, t, body, style, rng) if kind in SITTING else _lying(kind, t, body, style, rng)


def _sitting(kind: str, t: np.ndarray, body: Body, style: Style, rng: np.random.Generator) -> Track:
  zero, noise = np.zeros_like(t), signals.drift(rng, t, 16) * style.restlessness
  root = np.stack([zero, zero + body.depth, zero], -1)
  low, high = {"kneeling": (-0.1, 0.15), "cross_legged": (-0.35, -0.15), "long": (-0.35, -0.05)}.get(kind, (-0.6, -0.4))
  lean = rng.uniform(low, high)  # raised knees tip the pelvis back
  behind = kind != "kneeling" and rng.uniform() < 0.3  # leans back on the hands
  root_angles = np.stack([0.05 * noise[:, 0], lean + 0.03 * noise[:, 1], 0.03 * noise[:, 2], zero], -1)
  angles = np.zeros((len(t), len(kinematics.CHANNELS)))
  _set(angles, "lumbar_flexion", (0.1 if behind else -0.8 * lean + rng.uniform(0.0, 0.2)) + 0.04 * noise[:, 3])
  _set(angles, "thoracic_flexion", style.slouch + rng.uniform(0, 0.2) + 0.04 * noise[:, 4])
  _set(angles, "thoracic_twist", 0.12 * noise[:, 5])
  _set(angles, "lumbar_lateral", 0.05 * noise[:, 6])
  _set(angles, "neck_flexion", rng.uniform(-0.3, 0.3) + 0.1 * noise[:, 7])
  _set(angles, "neck_twist", 0.3 * noise[:, 8])
  raised = rng.integers(2)
  for i, (side, sign) in enumerate(kinematics.SIDES.items()):
    shape = kind if kind != "one_knee_up" else "knees_up" if i == raised else "long"
    apart = rng.uniform(0.5, 1.6) * body.hip
    places = {
      "long": ((sign * apart, _ANKLE_FLESH * body.stature, rng.uniform(0.9, 0.97) * body.leg), (0.1, 1, 0)),
      "knees_up": ((sign * apart, body.ankle, rng.uniform(0.5, 0.66) * body.leg), (rng.uniform(-0.1, 0.5), 1, 0.1)),
      "cross_legged": (
        (-sign * 0.01 * body.stature, (0.035 + 0.015 * i) * body.stature, (0.27 + 0.12 * i) * body.leg),
        (1, rng.uniform(0.55, 0.8), 0.4),
      ),
    }
    if shape in places:
      place, pole = places[shape]
      target = np.array(place) + 0.012 * signals.drift(rng, t, 3, high=0.5) * (1, 0, 1)
      pole = np.broadcast_to(np.array(pole) * (sign, 1, 1), target.shape)
      pelvis = kinematics.root_rotation(root_angles)
      hip = root + pelvis @ np.array((sign * body.hip, 0, 0))
      leg = kinematics.reach(body, side, "leg", pelvis, hip, target, pole)
    else:
      fold = rng.uniform(2.4, 2.6) + 0.02 * noise[:, 9]
      leg = np.stack([fold - np.radians(93) + lean, zero + rng.uniform(0.05, 0.3), zero, fold], -1)
    angles[:, kinematics.limb_channels(side, "leg")] = leg
    _set(
      angles, f"{side}_ankle_dorsiflexion", zero + (0.0 if shape == "long" else -0.35 if shape != "kneeling" else -0.85)
    )
  pose = kinematics.forward(body, root, root_angles, angles)
  busy = None if behind else rng.choice(("knees", "talk", "lap"))
  for side in kinematics.SIDES:
    angles[:, kinematics.limb_channels(side, "arm")] = _sitting_arm(side, busy, t, body, pose, rng)
  return Track(root, root_angles, kinematics.clamp(angles), np.ones(len(t)))


def _sitting_arm(side: str, busy: str | None, t: np.ndarray, body: Body, pose, rng: np.random.Generator) -> np.ndarray:
  """The arm's angles: with the hand on the floor behind (None), on the knee, or before the body (talk, lap)."""
  sign = kinematics.SIDES[side]
  if busy in ("talk", "lap"):
    centre = np.array(
      (rng.uniform(0.1, 0.4), rng.uniform(-0.65, -0.4) if busy == "talk" else -0.72, rng.uniform(0.4, 0.6))
    )
    wander = signals.drift(rng, t, 3, low=0.2, high=1.5) * (0.09 if busy == "talk" else 0.02)
    return gestures.hand_at(body, side, centre + wander, (0.8, -0.6, -0.2))
  if busy == "knees":
    knee, hip = pose[f"{side}_knee"], pose[f"{side}_hip"]
    target = knee + 0.18 * (hip - knee) + np.array((0, 0.04, 0)) + 0.012 * signals.drift(rng, t, 3)
    pole = (sign * 0.9, -0.6, -0.3)
  else:
    spot = (sign * rng.uniform(0.2, 0.32), _WRIST_HEIGHT * body.stature, -rng.uniform(0.25, 0.45) * body.arm)
    target, pole = np.broadcast_to(np.array(spot), (len(t), 3)), (sign * 0.5, 0, -1.0)
  poles = np.broadcast_to(np.array(pole), target.shape)
  return kinematics.reach(body, side, "arm", pose.thorax, pose[f"{side}_shoulder"], target, poles)


def _lying(kind: str, t: np.ndarray, body: Body, style: Style, rng: np.random.Generator) -> Track:
  zero, noise = np.zeros_like(t), signals.drift(rng, t, 24) * style.restlessness
  roll = {"side": rng.choice((-1, 1)) * rng.uniform(1.2, 1.6), "front": np.pi}.get(kind, 0.0)
  pitch = -np.pi / 2 + zero
  angles = np.zeros((len(t), len(kinematics.CHANNELS)))
  curl = zero
  if kind == "sit_ups":
    period = rng.uniform(2.2, 3.6)
    curl = (0.5 - 0.5 * np.cos(2 * np.pi * t / period)) ** 1.5
    pitch = pitch + 0.75 * curl
  _set(angles, "lumbar_flexion", 0.05 + 0.5 * curl + 0.03 * noise[:, 0] + (0.2 if kind == "side" else 0))
  _set(angles, "thoracic_flexion", 0.5 * curl + 0.03 * noise[:, 1] + (0.15 if kind == "side" else 0))
  _set(angles, "thoracic_lateral", 0.05 * noise[:, 2])
  _set(angles, "neck_flexion", 0.15 + 0.5 * curl + 0.06 * noise[:, 3] - (0.25 if kind == "front" else 0))
  _set(angles, "neck_twist", 0.25 * noise[:, 4] + (0.9 if kind == "front" else 0))
  bicycle = kind == "legs_up" and rng.uniform() < 0.6
  rate, behind_head = rng.uniform(0.5, 0.9), rng.uniform() < 0.35
  on_belly = rng.uniform() < 0.4
  for i, (side, sign) in enumerate(kinematics.SIDES.items()):
    lower = sign * roll > 0
    wobble = 0.03 * noise[:, 6 + 4 * i : 10 + 4 * i]
    if kind == "legs_up":
      turn = 2 * np.pi * rate * t + np.pi * i
      if bicycle:
        leg = np.stack([1.2 + 0.5 * np.sin(turn), zero + 0.1, zero, 1.15 - 0.75 * np.cos(turn - 0.6)], -1)
      else:
        lift = 0.55 - 0.45 * np.cos(2 * np.pi * 0.6 * rate * t)
        leg = np.stack([0.25 + lift, zero + 0.06, zero, zero + 0.15], -1)
    elif kind in ("knees_bent", "sit_ups") or (kind == "back" and rng.uniform() < 0.3):
      leg = np.array((rng.uniform(0.65, 0.9), rng.uniform(0.0, 0.3), 0, rng.uniform(1.5, 1.9)))
      leg = leg + np.stack([0.75 * curl, zero, zero, zero], -1)
    elif kind == "side":  # what is on top hangs down to the floor
      leg = np.array((rng.uniform(0.4, 1.1), 0.0 if lower else -0.35, 0, rng.uniform(0.6, 1.6)))
    elif kind == "front":
      leg = np.array((-0.03, rng.uniform(0.03, 0.3), -0.25, rng.uniform(0.15, 0.3)))
    else:
      leg = np.array((0.03, rng.uniform(0.03, 0.3), -0.25, rng.uniform(0.02, 0.15)))
    angles[:, kinematics.limb_channels(side, "leg")] = leg + wobble * (1, 1, 1, 1)
    _set(angles, f"{side}_ankle_dorsiflexion", zero - (0.7 if kind in ("front", "back") else 0.3))
    if kind == "front":  # hands beside or under the head
      at = np.array((rng.uniform(0.3, 0.7), rng.uniform(0.0, 0.5), 0.1))
      arm = gestures.hand_at(body, side, np.broadcast_to(at, (len(t), 3)), (1.0, -0.1, 0.0))
    elif kind == "side":
      arm = np.array((rng.uniform(0.6, 1.5), 0.05 if lower else -0.4, 0.1, rng.uniform(0.5, 1.7)))
    elif kind == "sit_ups" or behind_head:
      arm = gestures.hand_at(body, side, np.broadcast_to(np.array((0.16, 0.28, 0.05)), (len(t), 3)), (1.0, 0.2, 0.3))
    elif on_belly:
      at = np.array((0.02, -0.85 * body.torso / body.arm, 0.32)) + rng.normal(0, 0.03, 3)
      arm = gestures.hand_at(body, side, np.broadcast_to(at, (len(t), 3)), (1.0, -0.3, -0.5))
    else:
      arm = np.array((rng.uniform(-0.1, 0.05), rng.uniform(0.2, 1.2), rng.uniform(-0.3, 0.6), rng.uniform(0.05, 0.4)))
    angles[:, kinematics.limb_channels(side, "arm")] = arm + wobble
  root = np.stack([zero, zero + body.depth, zero], -1)
  root_angles = np.stack([zero, pitch, zero, roll + 0.06 * noise[:, 5]], -1)
  return Track(root, root_angles, kinematics.clamp(angles), np.ones(len(t)))


def _set(angles: np.ndarray, name: str, values: np.ndarray) -> None:
  angles[:, kinematics.channel(name)[0]] = values
