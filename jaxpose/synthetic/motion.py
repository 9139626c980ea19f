"""Sequences of procedural people, by seed: the same numbers every time, whatever was made before."""

import dataclasses
from collections.abc import Iterator

import numpy as np

from jaxpose.data.clip import Motion
from jaxpose.synthetic import body as bodies
from jaxpose.synthetic import kinematics, scenes, track
from jaxpose.synthetic import style as styles

FPS = 30.0


@dataclasses.dataclass(frozen=True)
class Split:
  """A share of the data: its scenario (of scenes.SCENARIOS), its number of people, and the key of its randomness."""

  name: str
  scenario: str
  people: int
  key: int


SPLITS = {
  s.name: s
  for s in (
    Split("train", "source", 20, 0),
    Split("validation", "source", 8, 1),
    Split("target", "target", 20, 2),
  )
}


@dataclasses.dataclass(frozen=True)
class Simulation:
  """A sequence and what made it: angles [T, D] (kinematics.CHANNELS), root_angles [T, 4], points [T, P, 3] (POINTS)."""

  motion: Motion
  body: bodies.Body
  angles: np.ndarray
  root_angles: np.ndarray
  points: np.ndarray


def simulate(split: str, index: int, *, seed: int = 0, frames: int = 300) -> Simulation:
  """Sequence `index` of a split: `frames` at 30 a second, metres, y up, the floor at y = 0, around the origin.

  The random key is (seed, split, index) alone. Actions take turns, people do too. Raises ValueError for an unknown
  split.
  """
  if split not in SPLITS:
    raise ValueError(f"unknown split {split!r}; known are {', '.join(SPLITS)}")
  if frames < 2 or index < 0:
    raise ValueError(f"frames={frames}, index={index}: a motion has at least 2 frames, and sequences count from 0")
  its = SPLITS[split]
  names = list(scenes.SCENARIOS[its.scenario])
  action = names[index % len(names)]
  person = (index + 3 * (index // len(names))) % its.people  # no person and no kind of body keeps to one action
  body, style = _person(its, person, seed)
  rng = _generator(seed, its.key, 1, index)
  t, inside = scenes.timeline(frames, FPS)
  made = scenes.SCENARIOS[its.scenario][action](t, FPS, frames / FPS, body, style, rng)
  made = track.settle(body, made)
  made = track.Track(*(getattr(made, f.name)[inside] for f in dataclasses.fields(made)))
  made = _centred(made, rng.uniform(-np.pi, np.pi))
  points = kinematics.forward(body, made.root, made.root_angles, made.angles).points
  motion = Motion(
    positions_world=points[:, : kinematics.H36M.num_joints].astype(np.float32),
    skeleton=kinematics.H36M,
    fps=FPS,
    subject=f"{split}{person:02d}",
    action=action,
    sequence=f"{split}_{index:03d}_{action}",
    up="y",
  )
  return Simulation(motion, body, made.angles, made.root_angles, points)


def motions(split: str, count: int, *, seed: int = 0, frames: int = 300) -> Iterator[Motion]:
  """The first `count` sequences of a split."""
  for index in range(count):
    yield simulate(split, index, seed=seed, frames=frames).motion


def _person(split: Split, person: int, seed: int) -> tuple[bodies.Body, styles.Style]:
  rng = _generator(seed, split.key, 0, person)
  if split.scenario == "source":
    body = bodies.sample_adult(rng)
  else:
    body = bodies.sample_other(rng, bodies.OTHER_BODIES[person % len(bodies.OTHER_BODIES)])
  return body, styles.sample(rng)


def _generator(*key: int) -> np.random.Generator:
  return np.random.Generator(np.random.Philox(np.random.SeedSequence(list(key))))


def _centred(made: track.Track, heading: float) -> track.Track:
  """The track turned by a heading, with the middle of its horizontal extent at the origin."""
  turn = kinematics.about_y(np.array(heading))
  root = made.root @ turn.T
  middle = (root.min(0) + root.max(0)) / 2 * (1, 0, 1)
  return dataclasses.replace(made, root=root - middle, root_angles=made.root_angles + (heading, 0, 0, 0))
