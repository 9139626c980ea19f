"""People on their feet. A `Script` says over time what the body does; `perform` turns it into a track.

Feet are put down by `stepping` and legs reach them by inverse kinematics, so planted feet stay planted whatever the
pelvis does: walking, squatting, sitting on a chair, bending and jumping are one computation. The trunk and the arms
follow the gait, and gestures are laid over them with smooth weights.
"""

import dataclasses
from typing import Any

import numpy as np

from jaxpose.synthetic import kinematics, signals, stepping
from jaxpose.synthetic.body import Body
from jaxpose.synthetic.style import Style
from jaxpose.synthetic.track import Track

GRAVITY = 9.81
_STRETCH = 0.985  # of a leg that stands


@dataclasses.dataclass(frozen=True)
class Overlay:
  """Angles [T, K] for some channels that replace the body's own by weight [T]."""

  channels: list[int]
  values: np.ndarray
  weight: np.ndarray


@dataclasses.dataclass
class Script:
  """What a body does: curves [T], which actions add to, over the times `t` in seconds (which start before 0).

  speed, sidestep: m/s; turn: rad/s, left positive; running: 0 walks, 1 runs; crouch: metres the pelvis is lowered;
  back, aside: metres the pelvis is behind and left of the feet's middle; bend, tilt, twist: of the trunk, radians,
  forwards, to the left, to the left; look, nod: of the head; hop, foot_hop: metres pelvis and feet are off the ground;
  drive, foot_drive: metres they have jumped forwards; heels: pitch of both heels off the ground; wider: metres each
  foot is set further out at its next step; spread: the same in the air, in jumps; knees_apart: how far knees point
  sideways; swing: share of the gait's arm swing that is left.
  """

  t: np.ndarray
  fps: float
  speed: np.ndarray
  sidestep: np.ndarray
  turn: np.ndarray
  running: np.ndarray
  crouch: np.ndarray
  back: np.ndarray
  aside: np.ndarray
  bend: np.ndarray
  tilt: np.ndarray
  twist: np.ndarray
  look: np.ndarray
  nod: np.ndarray
  hop: np.ndarray
  foot_hop: np.ndarray
  drive: np.ndarray
  foot_drive: np.ndarray
  heels: np.ndarray
  wider: np.ndarray
  spread: np.ndarray
  knees_apart: np.ndarray
  swing: np.ndarray
  overlays: list[Overlay] = dataclasses.field(default_factory=list)

  def overlay(self, channels: list[int], values: np.ndarray, weight: np.ndarray) -> None:
    """Lays angles [T, K] or [K] over the channels, with weight [T]."""
    self.overlays.append(Overlay(channels, np.broadcast_to(values, (len(self.t), len(channels))), weight))


def stand(t: np.ndarray, fps: float) -> Script:
  """A script of someone who just stands."""
  curves = [f.name for f in dataclasses.fields(Script) if f.name not in ("t", "fps", "overlays", "swing")]
  zeros: dict[str, Any] = {name: np.zeros(len(t)) for name in curves}
  return Script(t, fps, **zeros, swing=np.ones(len(t)))


def standing_height(body: Body) -> float:
  """Of the pelvis, metres."""
  return _STRETCH * body.leg + body.ankle


def perform(script: Script, body: Body, style: Style, rng: np.random.Generator) -> Track:
  """The track of a script. Deterministic in `rng`; steps, posture and gestures all vary a little."""
  path, going = _travel(script, body, style, rng)
  noise = signals.drift(rng, script.t, 12) * style.restlessness
  stride = 2 * np.pi * path.phase
  walk = going * (1 - script.running)
  duty = 0.62 - 0.28 * script.running
  standing_left = np.cos(stride - np.pi * duty)  # 1 in the middle of the left foot's stance

  # The pelvis, but for its height.
  pelvis_turn = -np.radians(6 + 3 * script.running) * style.pelvis_turn * going * np.cos(stride)
  lean = np.radians(3) * walk + np.radians(7 + 5 * script.speed / 4) * script.running * going
  banking = 0.7 * np.arctan(script.speed * script.turn / GRAVITY)  # into the curve
  pitch = lean + 0.5 * script.bend + np.radians(0.8) * noise[:, 0]
  dropping = np.radians(3.5) * going * standing_left  # the pelvis hangs down on the side that swings
  roll = -dropping + banking + 0.35 * script.tilt
  heading = path.heading + np.radians(2) * noise[:, 1] * (1 - going)
  root_angles = np.stack([heading, pitch, roll, pelvis_turn + 0.25 * script.twist], -1)
  pelvis = kinematics.root_rotation(root_angles)
  left, ahead = kinematics.about_y(path.heading)[:, :, 0], kinematics.about_y(path.heading)[:, :, 2]
  aside = script.aside + 0.012 * body.stature * style.sway * going * standing_left * (1 - 0.6 * script.running)
  aside = aside + 0.012 * noise[:, 2] * (1 - going) + 0.9 * standing_height(body) * np.sin(banking)
  behind = script.back + 0.13 * body.torso * np.sin(script.bend) + 0.008 * noise[:, 3] * (1 - going)
  root = path.position + aside[:, None] * left + (script.drive - behind)[:, None] * ahead

  # Feet, then the pelvis as high as both legs allow, then the legs.
  width = style.stance + (style.step_width - style.stance) * going
  feet, lifts, moved, hips = {}, {}, {}, {}
  limits = []  # how high each leg allows the pelvis to be
  for side, sign in kinematics.SIDES.items():
    place = np.stack([sign * (width * body.stature + script.wider), np.zeros_like(width), np.zeros_like(width)], -1)
    falls = stepping.footfalls(
      path,
      offset=0.0 if sign > 0 else 0.5,
      duty=duty,
      place=place,
      toe_out=sign * style.toe_out,
      jitter=rng.normal(0, 0.006, (64, 3)) * (1, 0, 2),
    )
    foot_pitch, lift = stepping.roll_over(falls, script.running), stepping.swing_lift(falls, script.running, body)
    along = (sign * script.spread)[:, None] * left + script.foot_drive[:, None] * ahead
    hip = hips[side] = pelvis @ np.array((sign * body.hip, 0, 0))
    ankle = stepping.ankle_over(body, falls, foot_pitch, lift)
    flat = np.linalg.norm((ankle + along - root - hip)[:, (0, 2)], axis=-1)
    limits.append(
      ankle[:, 1] + np.sqrt(np.maximum((_STRETCH * body.leg) ** 2 - flat**2, (0.5 * body.leg) ** 2)) - hip[:, 1]
    )
    feet[side], lifts[side] = (falls, foot_pitch + script.heels), lift + script.foot_hop
    moved[side] = along
  bounce = 0.021 * body.stature * style.bounce * script.running * going
  height = standing_height(body) - script.crouch - script.running * going * 0.022 * body.stature
  height = height - bounce * np.cos(2 * stride - 2 * np.pi * duty) + 0.002 * noise[:, 4] * (1 - going)
  height = signals.soft_min(height, *limits, softness=0.004)
  root[:, 1] = signals.blur(height, 0.045, script.fps) + script.hop

  angles = np.zeros((len(script.t), len(kinematics.CHANNELS)))
  for side in kinematics.SIDES:
    hip = root + hips[side]
    falls, foot_pitch = feet[side]
    _leg(angles, side, falls, foot_pitch, lifts[side], moved[side], hip, pelvis, heading, script, body, style)
  _trunk(angles, script, style, stride, going, lean, dropping, noise)
  _arms(angles, script, style, stride, going, noise, rng)
  for overlay in script.overlays:
    beneath = angles[:, overlay.channels]
    angles[:, overlay.channels] = beneath + overlay.weight[:, None] * (overlay.values - beneath)
  return Track(root, root_angles, kinematics.clamp(angles), np.zeros(len(script.t)))


def _travel(script: Script, body: Body, style: Style, rng: np.random.Generator) -> tuple[stepping.Path, np.ndarray]:
  """The path, with a cadence that suits the speed, and how much of a gait there is, [T] in [0, 1]."""
  pace = np.hypot(script.speed, script.sidestep) + 0.35 * np.abs(script.turn)
  # Walking: step length over cadence is the same at all speeds, 0.0065 m per step/min (Sekiya 1996), for an adult.
  walking = np.sqrt(np.maximum(pace, 0.25) / (0.0065 * 60)) / np.sqrt(body.stature / 1.7)
  running = (2.45 + 0.12 * pace) / np.sqrt(body.stature / 1.7)
  steps = (walking + script.running * (running - walking)) * style.cadence
  steps = steps * (1 + 0.02 * style.restlessness * signals.drift(rng, script.t, 1)[:, 0])
  heading = np.cumsum(script.turn) / script.fps
  left, ahead = kinematics.about_y(heading)[:, :, 0], kinematics.about_y(heading)[:, :, 2]
  velocity = script.speed[:, None] * ahead + script.sidestep[:, None] * left
  position = np.cumsum(velocity, 0) / script.fps
  phase = np.cumsum(steps) / 2 / script.fps + rng.uniform()
  going = signals.blur(np.clip(pace / 0.9, 0, 1), 0.12, script.fps)
  return stepping.Path(position, heading, phase), going


def _leg(angles, side, falls, foot_pitch, lift, moved, hip, pelvis, heading, script, body, style):
  """Sets a leg whose foot stands where it falls, as steep as `foot_pitch` or as the ankle can."""
  apart = 0.6 * style.knees_out * np.clip(script.crouch / 0.4, 0, 1) + script.knees_apart
  facing = 0.85 * falls.heading + 0.15 * heading + kinematics.SIDES[side] * np.minimum(apart, 0.6)
  pole = np.stack([np.sin(facing), np.full_like(facing, 0.3), np.cos(facing)], -1)
  for _ in range(3):
    ankle = stepping.ankle_over(body, falls, foot_pitch, lift) + moved
    leg = kinematics.reach(body, side, "leg", pelvis, hip, ankle, pole)
    dorsiflexion = kinematics.level(side, pelvis, leg, foot_pitch)
    # What the ankle cannot do lifts the heel.
    foot_pitch = foot_pitch + signals.blur(np.maximum(dorsiflexion - np.radians(36), 0), 0.05, script.fps)
  angles[:, kinematics.limb_channels(side, "leg")] = leg
  angles[:, kinematics.channel(f"{side}_ankle_dorsiflexion")] = dorsiflexion[:, None]


def _trunk(angles, script, style, stride, going, lean, dropping, noise):
  """Sets the spine and the neck: the shoulders turn against the pelvis, the gaze stays level."""
  counter = np.radians(5 + 4 * script.running) * style.pelvis_turn * going * np.cos(stride)
  still = 1 - 0.6 * going
  set_ = _setter(angles)
  set_("lumbar_flexion", 0.3 * script.bend - 0.3 * lean + np.radians(0.8) * noise[:, 5])
  set_("thoracic_flexion", style.slouch + 0.3 * script.bend + np.radians(1.2) * noise[:, 6])
  set_("lumbar_lateral", 0.3 * script.tilt + 0.8 * dropping)
  set_("thoracic_lateral", 0.35 * script.tilt + np.radians(1) * noise[:, 7])
  set_("lumbar_twist", 0.2 * script.twist + counter)
  set_("thoracic_twist", 0.55 * script.twist + 0.8 * counter + np.radians(2) * noise[:, 8] * still)
  gaze = -0.55 * (style.slouch + script.bend) - 0.5 * lean
  set_("neck_flexion", style.head_forward + gaze + script.nod + np.radians(3) * noise[:, 9] * still)
  set_("neck_twist", script.look - counter + np.radians(8) * noise[:, 10] * still)
  set_("neck_lateral", -0.3 * script.tilt + np.radians(2) * noise[:, 11])
  set_("head_flexion", 0.3 * script.nod)


def _arms(angles, script, style, stride, going, noise, rng):
  """Sets the arms: they swing against the legs, hang straight down when the trunk bends, and never quite rest."""
  restless = signals.drift(rng, script.t, 8) * np.radians(2.5) * style.restlessness
  set_ = _setter(angles)
  run = script.running
  for i, (side, sign) in enumerate(kinematics.SIDES.items()):
    share = style.swing_left if sign > 0 else 2 - style.swing_left
    reach = (np.radians(11 + 9 * np.clip(script.speed, -1, 2)) + np.radians(6) * run) * style.arm_swing * share
    swing = -sign * np.cos(stride - 0.15) * going * script.swing * reach
    hang = script.bend * 0.9
    set_(f"{side}_shoulder_flexion", swing - np.radians(4) - np.radians(10) * run + hang + restless[:, i])
    set_(f"{side}_shoulder_abduction", style.arm_carry + np.radians(6) * run + 0.5 * restless[:, 2 + i])
    set_(f"{side}_shoulder_rotation", np.radians(18) + np.radians(22) * run + 2 * restless[:, 4 + i])
    bent = style.elbow_rest + 0.35 * np.maximum(swing, -0.5 * style.elbow_rest)
    set_(f"{side}_elbow_flexion", bent + run * (np.radians(88) - bent + 0.3 * swing) + restless[:, 6 + i])
    set_(f"{side}_clavicle_protraction", 0.12 * swing)


def _setter(angles):
  def set_(name, values):
    angles[:, kinematics.channel(name)[0]] = values

  return set_
