"""What a rendered scene looks like, drawn from one of two explicit sets of parameters: a laboratory, or the wild."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxpose.synthetic import capsules
from jaxpose.synthetic.capsules import Scene

CLUTTER, WAVES = 3, 4  # things that stand about; patterns of a background
_EVEN, _NORMAL = 64, 80  # random numbers of a scene


Range = tuple[float, float] | Array  # low, high


class Look(NamedTuple):
  """Ranges (low, high) that a scene is drawn from, evenly.

  tone: how bright a garment is; hue: how far its colour is from grey. stripes: their depth, of the garment's colour.
  ambient: share of undirected light; side: how far the light leaves the direction from the camera, 0 to 1 (anywhere).
  tint: each colour's gain. backdrop: its brightness; paint: depth of its patterns; detail: their waves a radian;
  sharpness: of their edges. clutter, occluder: probabilities that a thing stands behind, and before, the person.
  noise: standard deviation of the sensor's.
  """

  tone: Range
  hue: Range
  stripes: Range
  ambient: Range
  side: Range
  tint: Range
  backdrop: Range
  paint: Range
  detail: Range
  sharpness: Range
  clutter: Range
  occluder: Range
  noise: Range


LOOKS = {
  "lab": Look(
    tone=(0.25, 0.85), hue=(0.0, 0.2), stripes=(0.0, 0.0), ambient=(0.45, 0.55), side=(0.0, 0.4), tint=(0.97, 1.03),
    backdrop=(0.55, 0.75), paint=(0.0, 0.03), detail=(2.0, 6.0), sharpness=(0.5, 1.0), clutter=(0.0, 0.0),
    occluder=(0.0, 0.0), noise=(0.0, 0.01),
  ),
  "wild": Look(
    tone=(0.05, 0.95), hue=(0.0, 0.5), stripes=(0.0, 0.6), ambient=(0.2, 0.6), side=(0.0, 1.0), tint=(0.75, 1.2),
    backdrop=(0.15, 0.85), paint=(0.05, 0.25), detail=(4.0, 40.0), sharpness=(0.5, 5.0), clutter=(0.6, 0.6),
    occluder=(0.35, 0.35), noise=(0.0, 0.04),
  ),
}  # fmt: skip
NAMES = tuple(LOOKS)


def index(name: str) -> int:
  """Of a look; a ValueError lists those there are."""
  if name not in LOOKS:
    raise ValueError(f"look={name!r}; known are {', '.join(LOOKS)}")
  return NAMES.index(name)


def chosen(number: Array, names: Sequence[str] = NAMES) -> Look:
  """The look of that index among `names`, as arrays, also where the index is traced."""
  stacked = [np.array([getattr(LOOKS[n], field) for n in names], np.float32) for field in Look._fields]
  return Look(*(jnp.asarray(values)[number] for values in stacked))


def scene(joints: Float[Array, "17 3"], key: jax.Array, look: Look) -> tuple[Scene, Array]:
  """A person before a background, and the standard deviation of the noise on its picture.

  joints: metres, in the axes of the camera that sees them.
  """
  even_key, normal_key = jax.random.split(key)  # two draws: each compiles as long as all else here
  even, normal = _dealt(jax.random.uniform(even_key, (_EVEN,))), _dealt(jax.random.normal(normal_key, (_NORMAL,)))
  within = lambda pair, *shape: pair[0] + (pair[1] - pair[0]) * even(*shape)  # noqa: E731
  ends = capsules.person(joints)
  things, radius = _things(joints, even, normal, look)
  color, stripes = _wear(within, even, normal, look)
  middle = joints.mean(0)
  toward = -middle / jnp.linalg.norm(middle) + jnp.array([0.0, -0.5, 0.0])  # from the camera, and above
  any_way, side = normal(3), within(look.side)
  light = (1 - side) * toward / jnp.linalg.norm(toward) + side * any_way / jnp.linalg.norm(any_way)
  waves, backdrop = normal(WAVES, 3), within(look.backdrop)
  made = Scene(
    a=jnp.concatenate([ends[0], things[0]]),
    b=jnp.concatenate([ends[1], things[1]]),
    radius=jnp.concatenate([capsules.RADIUS, radius]),
    material=jnp.concatenate([capsules.MATERIAL, jnp.full(CLUTTER + 1, capsules.MATERIALS.index("thing"))]),
    color=color,
    stripes=stripes,
    light=light / jnp.maximum(jnp.linalg.norm(light), 1e-6),
    ambient=within(look.ambient),
    tint=within(look.tint, 3),
    wave=waves / jnp.linalg.norm(waves, axis=-1, keepdims=True) * within(look.detail, WAVES, 1),
    phase=2 * jnp.pi * even(WAVES),
    paint=within(look.paint) * normal(WAVES, 3) / 2,
    sharpness=within(look.sharpness),
    ground=jnp.full(3, backdrop),
    horizon=jnp.array([0.0, 1.0, -0.08, 60.0]),
    floor=backdrop * within((0.55, 0.9), 3),
  )
  return made, within(look.noise)


def _dealt(numbers: Array) -> Callable[..., Array]:
  """deal(*shape): the next numbers, in that shape. What is dealt at last is checked against what there is."""
  at = 0

  def deal(*shape: int) -> Array:
    nonlocal at
    first, at = at, at + int(np.prod(shape))
    assert at <= len(numbers), "_EVEN or _NORMAL is too small"
    return numbers[first:at].reshape(shape)

  return deal


def _wear(within: Callable[..., Array], even: Callable, normal: Callable, look: Look) -> tuple[Array, Array]:
  """Colour and stripes of each of `capsules.MATERIALS`."""
  count = len(capsules.MATERIALS)
  tone = within(look.tone, count, 1)
  color = tone + within(look.hue) * normal(count, 3) / 2
  skin = jnp.array([0.95, 0.72, 0.58]) * within((0.4, 1.0))
  color = color.at[0].set(skin).at[1].set(0.35 * tone[1] * jnp.array([1.0, 0.8, 0.6])).at[5].set(1.25 * skin)
  striped = np.array([m in ("top", "bottom", "thing") for m in capsules.MATERIALS])
  strength = jnp.where(striped, within(look.stripes, count), 0)
  return jnp.clip(color, 0.02, 1.0), jnp.stack([strength, 4 + 12 * even(count)], -1)


def _things(joints: Array, even: Callable, normal: Callable, look: Look) -> tuple[tuple[Array, Array], Array]:
  """What stands behind the person, and one thing before: ends of capsules, and their radii; 0 where there is none."""
  count = CLUTTER + 1
  before = np.arange(count) == CLUTTER
  joint = joints[jnp.minimum((even(count) * len(joints)).astype(int), len(joints) - 1)]
  depth = even(count, 1)
  middle = joint + normal(count, 3) * np.where(before, 0.12, 0.6)[:, None]
  middle = middle * jnp.where(before[:, None], 0.6 + 0.25 * depth, 1.2 + 0.8 * depth)
  half = normal(count, 3) * np.where(before, 0.15, 0.5)[:, None]
  probability = jnp.where(before, look.occluder[0], look.clutter[0])
  radius = jnp.where(even(count) < probability, 0.04 + 0.08 * even(count), 0)
  return (middle - half, middle + half), radius
