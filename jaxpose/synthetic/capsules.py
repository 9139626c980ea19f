"""Pictures of people made of capsules: rays against cylinders with round ends, in closed form, in JAX.

A person of `h36m_17` becomes capsules with hands, toes, a face and hair, so that front and back differ; what lies left
and right is built alike, so that a mirrored picture is one of a mirrored person. A scene lives in the axes of a camera,
in metres, and a picture is the colours that rays from the camera's centre meet: a crop, roll, zoom or mirror of it is
other rays into the same scene, and thus exact.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxpose import skeleton as skeletons
from jaxpose.geometry.camera import Camera

BODY = skeletons.get("h36m_17")
MATERIALS = ("skin", "hair", "top", "bottom", "shoe", "face", "thing")  # "thing": what is not the person

# From, to, radius in metres, material; points that are no joints are made by `points`.
_BONES = (
  ("left_hip", "right_hip", 0.095, "bottom"), ("pelvis", "spine", 0.12, "top"), ("spine", "thorax", 0.125, "top"),
  ("left_shoulder", "right_shoulder", 0.07, "top"), ("thorax", "nose", 0.055, "skin"),
  ("chin", "crown", 0.085, "skin"), ("occiput", "nape", 0.085, "hair"), ("mouth", "brow", 0.028, "face"),
)  # fmt: skip
_LIMBS = (
  ("hip", "knee", 0.075, "bottom"), ("knee", "ankle", 0.052, "bottom"), ("ankle", "toe", 0.042, "shoe"),
  ("shoulder", "elbow", 0.05, "top"), ("elbow", "wrist", 0.04, "skin"), ("wrist", "hand", 0.04, "skin"),
)  # fmt: skip
BONES = (*_BONES, *((f"{s}_{a}", f"{s}_{b}", r, m) for a, b, r, m in _LIMBS for s in ("left", "right")))
_MADE = ("chin", "crown", "occiput", "nape", "mouth", "brow", "left_toe", "right_toe", "left_hand", "right_hand")
_POINTS = (*BODY.names, *_MADE)
_FROM, _TO = np.array([[_POINTS.index(a), _POINTS.index(b)] for a, b, *_ in BONES]).T
RADIUS = np.array([r for *_, r, _ in BONES], np.float32)
MATERIAL = np.array([MATERIALS.index(m) for *_, m in BONES])


class Scene(NamedTuple):
  """What rays meet. Capsules: ends a, b [N, 3] and radius [N] in metres, camera axes; material: int [N]. One of
  radius 0 is not there.

  color: [M, 3] of each material, stripes: [M, 2], their depth and their waves a metre. light: unit [3], towards it;
  ambient: share of light that has no direction; tint: [3]. wave: [K, 3], phase: [K], paint: [K, 3], sharpness: of the
  background, a pattern of directions; ground: [3] colour; horizon: [4], a plane and how soft it is; floor: [3].
  """

  a: Array
  b: Array
  radius: Array
  material: Array
  color: Array
  stripes: Array
  light: Array
  ambient: Array
  tint: Array
  wave: Array
  phase: Array
  paint: Array
  sharpness: Array
  ground: Array
  horizon: Array
  floor: Array


def points(joints: Float[Array, "17 3"]) -> Float[Array, "P 3"]:
  """The joints of `BODY` and those that make a head, hands and feet of them, metres, camera axes.

  The head looks along shoulders x neck, as in `data.detector.face`; toes along hips x shin.
  """
  at = lambda name: joints[BODY.index(name)]  # noqa: E731
  up = _unit(at("head_top") - at("nose"))
  ahead = _unit(jnp.cross(at("left_shoulder") - at("right_shoulder"), up))
  skull = (at("nose") + at("head_top")) / 2
  made = [skull - 0.03 * up, skull + 0.03 * up, skull + 0.05 * up - 0.025 * ahead, skull - 0.02 * up - 0.03 * ahead]
  made += [skull - 0.055 * up + 0.07 * ahead, skull + 0.02 * up + 0.075 * ahead]
  across = at("left_hip") - at("right_hip")
  for side in ("left", "right"):
    shin = _unit(at(f"{side}_knee") - at(f"{side}_ankle"))
    made.append(at(f"{side}_ankle") + 0.16 * _unit(jnp.cross(across, shin)) - 0.05 * shin)
  for side in ("left", "right"):
    made.append(at(f"{side}_wrist") + 0.09 * _unit(at(f"{side}_wrist") - at(f"{side}_elbow")))
  return jnp.concatenate([joints, jnp.stack(made)])


def person(joints: Float[Array, "17 3"]) -> tuple[Float[Array, "N 3"], Float[Array, "N 3"]]:
  """Both ends of a person's capsules, in the order of `BONES`."""
  everything = points(joints)
  return everything[_FROM], everything[_TO]


def rays(camera: Camera, size: tuple[int, int]) -> Float[Array, "H W 3"]:
  """Through the middles of the pixels of a camera without distortion: unit vectors in its axes; size: width, height.

  Pixel i covers [i, i + 1), so its middle is at i + 0.5.
  """
  width, height = size
  x = (jnp.arange(width) + 0.5 - camera.center[0]) / camera.focal[0]
  y = (jnp.arange(height) + 0.5 - camera.center[1]) / camera.focal[1]
  through = jnp.stack([*jnp.meshgrid(x, y), jnp.ones((height, width))], -1)
  return through / jnp.linalg.norm(through, axis=-1, keepdims=True)


def render(scene: Scene, through: Float[Array, "H W 3"]) -> Float[Array, "H W 3"]:
  """Colours in [0, 1] of unit rays from the origin: the nearest capsule, lit from `scene.light`, or the background."""
  height, width, _ = through.shape
  direction = through.reshape(-1, 3).T
  depth, index = nearest(scene, direction)
  hit = jnp.isfinite(depth)
  seen = _shade(scene, direction, jnp.where(hit, depth, 1.0), index)
  color = jnp.where(hit[None], seen, _background(scene, direction))
  return jnp.clip(color * scene.tint[:, None], 0, 1).T.reshape(height, width, 3)


def nearest(scene: Scene, direction: Float[Array, "3 P"]) -> tuple[Float[Array, " P"], Int[Array, " P"]]:
  """Distance to the nearest capsule along each unit ray, infinite where there is none, and which one it is."""
  a, axis = scene.a, scene.b - scene.a
  dot = functools.partial(jnp.einsum, "ni,ni->n", precision=jax.lax.Precision.HIGHEST)
  along = lambda v: v[:, :1] * direction[:1] + v[:, 1:2] * direction[1:2] + v[:, 2:] * direction[2:]  # noqa: E731
  square = dot(axis, axis)[:, None] + 1e-9
  ray_axis, ray_a = along(axis), along(a)
  axis_a, radius2 = dot(axis, a)[:, None], (scene.radius**2)[:, None]
  # |p - a - ((p - a).axis / axis.axis) axis|^2 = radius^2 at p = t d: A t^2 - 2 B t + C = 0.
  second = jnp.maximum(square - ray_axis**2, 1e-9)
  first = square * ray_a - axis_a * ray_axis
  third = square * (dot(a, a)[:, None] - radius2) - axis_a**2
  inside = first**2 - second * third
  t = (first - jnp.sqrt(jnp.maximum(inside, 0))) / second
  share = t * ray_axis - axis_a
  body = (inside > 0) & (share > 0) & (share < square)
  # Beyond an end, the ball there.
  far = share > 0
  middle = ray_a + jnp.where(far, ray_axis, 0)
  b = scene.b
  ball = jnp.where(far, dot(b, b)[:, None], dot(a, a)[:, None]) - radius2
  rest = middle**2 - ball
  t = jnp.where(body, t, jnp.where((rest > 0) & (inside > 0), middle - jnp.sqrt(jnp.maximum(rest, 0)), jnp.inf))
  t = jnp.where((t > 0) & (scene.radius > 0)[:, None], t, jnp.inf)
  return t.min(0), t.argmin(0)


def _shade(scene: Scene, direction: Array, depth: Array, index: Array) -> Array:
  """Lambert's law on stripes: [3, P]."""
  axis = scene.b - scene.a
  square = jnp.sum(axis**2, -1, keepdims=True) + 1e-9
  color, stripes = scene.color[scene.material], scene.stripes[scene.material]
  table = jnp.concatenate([scene.a, axis, square, 1 / scene.radius[:, None], color, stripes], -1)
  a, axis, square, inverse, color, stripes = jnp.split(table.T[:, index], [3, 6, 7, 8, 11])
  depth = depth[None]
  from_a = direction * depth - a
  share = jnp.clip((from_a * axis).sum(0, keepdims=True) / square, 0, 1)
  normal = (from_a - share * axis) * inverse
  lit = scene.ambient + (1 - scene.ambient) * jnp.maximum((normal * scene.light[:, None]).sum(0), 0)
  # Across the middle of a limb: what is left and right of a body looks alike.
  wave = jnp.sin(2 * jnp.pi * stripes[1] * share[0] * jnp.sqrt(square[0]))
  return color * (lit * (1 + stripes[0] * jnp.tanh(3 * wave)))[None]


def _background(scene: Scene, direction: Array) -> Array:
  """A floor below a horizon, and patterns of directions: [3, P]."""
  below = jax.nn.sigmoid((scene.horizon[:3] @ direction) * scene.horizon[3])
  color = scene.ground[:, None] + below[None] * (scene.floor - scene.ground)[:, None]
  pattern = jnp.tanh(scene.sharpness * jnp.sin(scene.wave @ direction + scene.phase[:, None]))
  return color + scene.paint.T @ pattern


def _unit(vector: Array) -> Array:
  return vector / jnp.maximum(jnp.linalg.norm(vector, axis=-1, keepdims=True), 1e-6)
