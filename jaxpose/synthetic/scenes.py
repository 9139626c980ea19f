"""What happens in a sequence: actions put together in time, and the two scenarios made of them.

`SOURCE` is everyday life: walking, standing and talking, reaching, waving, turning, squatting, sitting. `TARGET` is
what such data lack: running, jumping, kicking, boxing, crawling, climbing, hanging, push-ups, and sitting and lying on
the floor.
"""

from collections.abc import Callable

import numpy as np

from jaxpose.synthetic import actions, climbing, floor, gestures, signals, upright
from jaxpose.synthetic.body import Body
from jaxpose.synthetic.style import Style
from jaxpose.synthetic.track import Track, anchor, cross_fade

_BEFORE, _AFTER = (
  2.0,
  1.5,
)  # seconds that are simulated around a sequence, so that it starts and ends in the middle of life

Scene = Callable[[np.ndarray, float, float, Body, Style, np.random.Generator], Track]
_Acts = Callable[[upright.Script, float, Body, np.random.Generator], None]


def timeline(frames: int, fps: float) -> tuple[np.ndarray, slice]:
  """Times [T'] in seconds of a simulation with its margins, and the slice of it that is the sequence."""
  before, after = round(_BEFORE * fps), round(_AFTER * fps)
  return np.arange(-before, frames + after) / fps, slice(before, before + frames)


def _side(rng: np.random.Generator) -> str:
  return ("left", "right")[rng.integers(2)]


def _standing(acts: _Acts) -> Scene:
  """The scene of someone on their feet who does `acts`."""

  def scene(t, fps, end, body, style, rng):
    script = upright.stand(t, fps)
    acts(script, end, body, rng)
    return upright.perform(script, body, style, rng)

  return scene


def _walk_in(script: upright.Script, end: float, rng: np.random.Generator, chance: float = 0.5) -> float:
  """Perhaps walks first, and returns when that is over."""
  if rng.uniform() > chance:
    return -0.5
  stop = rng.uniform(0.18, 0.35) * end
  actions.travel(script, -2.5, stop, rng, speed=rng.uniform(0.8, 1.4))
  return stop - 0.2


def _walking(script, end, body, rng):
  pause = rng.uniform(0.35, 0.65) * end if rng.uniform() < 0.4 else None
  speed = rng.uniform(0.7, 1.7)
  if pause is None:
    actions.travel(script, -3.0, end + 3, rng, speed=speed)
  else:
    actions.travel(script, -3.0, pause, rng, speed=speed)
    actions.turn_about(script, pause, pause + 1.2, rng)
    actions.travel(script, pause + 1.0, end + 3, rng, speed=rng.uniform(0.7, 1.7))
  extra = rng.choice(("none", "none", "carry", "face", "wave", "talk"))
  start = rng.uniform(0, 0.4) * end
  stop = start + rng.uniform(0.4, 0.7) * end
  if extra == "carry":
    gestures.carry(script, body, start, stop, rng)
  elif extra == "face":
    gestures.to_face(script, body, _side(rng), start, stop, rng)
  elif extra == "wave":
    gestures.wave(script, body, _side(rng), start, stop, rng)
  elif extra == "talk":
    gestures.talk(script, body, start, stop, rng, (_side(rng),))


def _talking(script, end, body, rng):
  at = _walk_in(script, end, rng, 0.35)
  actions.shift_weight(script, body, at, end + 2, rng)
  while at < end:
    length = rng.uniform(2.0, 4.0)
    how = rng.choice(("talk", "talk", "talk", "one", "hips", "fold", "face", "stretch", "clap"))
    if how == "talk":
      gestures.talk(script, body, at, at + length, rng)
    elif how == "one":
      gestures.talk(script, body, at, at + length, rng, (_side(rng),))
    elif how == "hips":
      gestures.hands_on_hips(script, body, at, at + length, rng)
    elif how == "fold":
      gestures.fold_arms(script, body, at, at + length, rng)
    elif how == "face":
      gestures.to_face(script, body, _side(rng), at, at + length, rng)
    elif how == "stretch":
      gestures.stretch(script, body, at, at + length, rng)
    else:
      gestures.clap(script, body, at, at + length, rng)
    at += length - 0.4
  if rng.uniform() < 0.5:
    step = rng.uniform(0.3, 0.7) * end
    actions.side_step(script, step, step + 2.4, rng)


def _reaching(script, end, body, rng):
  at = max(_walk_in(script, end, rng, 0.3), 0.0)
  places = list(rng.permutation(["high", "front", "side", "across", "low", "low", "high"]))
  while at < end and places:
    length = rng.uniform(1.8, 2.8)
    gestures.reach_for(script, body, _side(rng), at, at + length, rng, str(places.pop()))
    at += length - 0.2
    if rng.uniform() < 0.35:
      actions.turn_about(script, at - 0.2, at + 1.0, rng)
      at += 1.0


def _waving(script, end, body, rng):
  at = max(_walk_in(script, end, rng, 0.5), 0.0)
  actions.shift_weight(script, body, at, end + 2, rng)
  side = _side(rng)
  while at < end:
    length = rng.uniform(2.2, 4.5)
    gestures.wave(script, body, side, at, at + length, rng)
    if rng.uniform() < 0.25:
      gestures.wave(script, body, "left" if side == "right" else "right", at + 0.2, at + length, rng)
    at += length + rng.uniform(-0.3, 0.6)
    side = _side(rng)


def _turning(script, end, body, rng):
  at = max(_walk_in(script, end, rng, 0.3), 0.0)
  while at < end:
    if rng.uniform() < 0.65:
      length = rng.uniform(1.4, 2.6)
      actions.turn_about(script, at, at + length, rng)
    else:
      length = rng.uniform(2.0, 3.0)
      actions.side_step(script, at, at + length, rng)
    at += length + rng.uniform(0.0, 0.5)
  if rng.uniform() < 0.5:
    gestures.talk(script, body, rng.uniform(0, 0.4) * end, end, rng)


def _squatting(script, end, body, rng):
  at = max(_walk_in(script, end, rng, 0.4), 0.2)
  while at < end - 1:
    length = rng.uniform(2.6, 5.5)
    actions.squat(script, body, at, at + length, rng)
    at += length + rng.uniform(0.2, 0.8)


def _sitting(script, end, body, rng):
  down = rng.choice((-3.5, 0.3, 1.2)) + rng.uniform(0, 0.5)
  up = end + 3.5 if rng.uniform() < 0.5 else end - rng.uniform(0.3, 1.2)
  actions.sit(script, body, down, up, rng)
  if down < 0 and up - down > 11:
    gestures.reach_for(
      script, body, _side(rng), 0.55 * end, 0.85 * end, rng, str(rng.choice(("side", "high", "front")))
    )


def _running(script, end, body, rng):
  speed = rng.uniform(1.7, 2.9) * np.sqrt(body.stature / 1.7)
  start = -3.0 if rng.uniform() < 0.75 else 0.8
  stop = end + 3 if rng.uniform() < 0.75 else end - 1.5
  actions.travel(script, start, stop, rng, speed=speed, running=1.0, arena=1.35)


def _jumping(script, end, body, rng):
  at = rng.uniform(0.0, 0.6)
  if rng.uniform() < 0.3:
    actions.jumping_jacks(script, body, at, end + 1, rng)
    return
  place = 0.0
  while at < end - 0.5:
    far = rng.choice((0.0, 0.0, rng.uniform(0.3, 0.9)))
    if place + far > 1.5:
      far = 0.0
    place += far
    size = np.sqrt(body.stature / 1.7)
    at = actions.jump(script, body, at, rng, height=rng.uniform(0.12, 0.38) * size, distance=float(far) * size)
    at += rng.uniform(0, 0.5)


def _kicking(script, end, body, rng):
  at, side = rng.uniform(0.3, 0.8), _side(rng)
  while at < end:
    length = rng.uniform(1.0, 1.5)
    actions.kick(script, body, side, at, at + length, rng)
    at += length + rng.uniform(0.5, 1.0)
    side = _side(rng)


def _boxing(script, end, body, rng):
  script.turn += 0.12 * signals.drift(rng, script.t, 1, high=0.4)[:, 0]
  actions.shift_weight(script, body, 0.0, end + 1, rng)
  gestures.punch(script, body, -1.5, end + 1.5, rng)


def _from_standing(t, fps, body, style, rng, at: float, track: Track) -> Track:
  """Stands first, and goes over into the track from `at` seconds on: down to the floor, or up the wall."""
  script = upright.stand(t, fps)
  gestures.talk(script, body, -2.0, at, rng)
  first = upright.perform(script, body, style, rng)
  weight = signals.ramp(t, at, at + rng.uniform(1.3, 1.8))
  changing = (weight > 0) & (weight < 1) & (track.settled > 0)
  return anchor(body, cross_fade(first, track, weight), changing.astype(np.float64))


def _crawling(t, fps, end, body, style, rng):
  late = rng.uniform() < 0.3
  track = floor.crawl(t, fps, 2.4 if late else -2.0, body, style, rng)
  return _from_standing(t, fps, body, style, rng, 0.5, track) if late else track


def _pushing_up(t, fps, end, body, style, rng):
  late = rng.uniform() < 0.3
  track = floor.push_ups(t, fps, 2.6 if late else -2.0, body, style, rng)
  return _from_standing(t, fps, body, style, rng, 0.5, track) if late else track


def _floor_sitting(t, fps, end, body, style, rng):
  kinds = [str(k) for k in rng.permutation(floor.SITTING)[: rng.integers(2, 4)]]
  late = rng.uniform() < 0.4
  track = floor.rest(kinds, t, 2.0 if late else 0.0, end, body, style, rng)
  return _from_standing(t, fps, body, style, rng, 0.3, track) if late else track


def _lying(t, fps, end, body, style, rng):
  # Neighbours only: nobody rolls from the back to the front without the side between.
  chains = (
    ("back", "side", "front"), ("front", "side", "knees_bent"), ("sit_ups",), ("legs_up", "back"),
    ("knees_bent", "legs_up"), ("long", "back", "side"), ("side", "knees_bent", "sit_ups"), ("front", "side"),
    ("back", "knees_bent", "knees_up"),
  )  # fmt: skip
  return floor.rest(chains[rng.integers(len(chains))], t, 0.0, end, body, style, rng)


def _climbing(t, fps, end, body, style, rng):
  late = rng.uniform() < 0.3
  track = climbing.climb(t, fps, 1.8 if late else -1.0, body, style, rng)
  return _from_standing(t, fps, body, style, rng, 0.4, track) if late else track


def _hanging(t, fps, end, body, style, rng):
  return climbing.hang(t, fps, -1.0, body, style, rng)


SOURCE: dict[str, Scene] = {
  "walking": _standing(_walking),
  "talking": _standing(_talking),
  "reaching": _standing(_reaching),
  "waving": _standing(_waving),
  "turning": _standing(_turning),
  "squatting": _standing(_squatting),
  "sitting": _standing(_sitting),
}
TARGET: dict[str, Scene] = {
  "running": _standing(_running),
  "jumping": _standing(_jumping),
  "crawling": _crawling,
  "climbing": _climbing,
  "kicking": _standing(_kicking),
  "floor_sitting": _floor_sitting,
  "lying": _lying,
  "boxing": _standing(_boxing),
  "hanging": _hanging,
  "push_ups": _pushing_up,
}
SCENARIOS = {"source": SOURCE, "target": TARGET}
