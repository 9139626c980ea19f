"""Pictures of the people of a batch, drawn on the device as it is made: a data set of images that stores nothing.

A clip whose `extra` has "body" (`h36m_17` joints [T, 17, 3], metres, camera axes) and "look" (an index of
`appearance.NAMES` a frame) can be rendered; `pictured` makes such clips. A person is cropped by a virtual camera that
turns to the middle of the keypoints, zooms and rolls: keypoints, joints and picture are all of that camera, exactly.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxpose import skeleton as skeletons
from jaxpose.data import crop as crops
from jaxpose.data import transforms
from jaxpose.data.clip import Clip
from jaxpose.data.transforms import Batch
from jaxpose.geometry import camera as cameras
from jaxpose.geometry.camera import Camera
from jaxpose.skeleton import Skeleton
from jaxpose.synthetic import appearance, capsules

SCENE = ("body", "look")  # what a batch must hold besides a clip's fields
_NARROWEST = 1e-3  # tangent of half a crop's field of view


class Crop(NamedTuple):
  """How persons are cropped: size: pixels, width and height; margin: sides over those of the keypoints' box.

  For training, drawn for each sample: scale: of the margin, from 1 / (1 + scale) to 1 + scale; roll_rad: up to this
  much, about the optical axis; shift: of the middle, up to this share of half a side; flip: probability of mirroring.
  fresh: whether a frame looks otherwise at every step; else it has one appearance for ever, as a photograph has.
  """

  size: int = 64
  margin: float = 1.25
  scale: float = 0.0
  roll_rad: float = 0.0
  shift: float = 0.0
  flip: float = 0.0
  fresh: bool = True


def crop(**options: Any) -> Crop:
  """A checked Crop; raises ValueError for an unknown option or a value out of range."""
  unknown = [name for name in options if name not in Crop._fields]
  if unknown:
    raise ValueError(f"a crop has no option {unknown[0]!r}; it has {', '.join(Crop._fields)}")
  made = Crop(**options)
  if made.size < 8 or made.margin <= 0 or min(made.scale, made.roll_rad, made.shift) < 0 or not 0 <= made.flip <= 1:
    raise ValueError(f"{made}: size is at least 8, margin positive, flip a probability, and no other is negative")
  return made


def pictured(clips: Sequence[Clip], look: str) -> list[Clip]:
  """The clips with what `render` needs. Raises ValueError for an unknown look and for clips without 3D."""
  number = appearance.index(look)
  made = []
  for clip in clips:
    if clip.joints_3d is None:
      raise ValueError(f"clip {clip.name} has no joints_3d: nothing to render; leave out look={look!r}")
    to = skeletons.joint_map(clip.skeleton, capsules.BODY)
    if to.missing:
      raise ValueError(
        f"clip {clip.name}: joints {clip.skeleton.name!r} lack {', '.join(to.missing)}, which are rendered"
      )
    body = to(clip.joints_3d)
    extra = {**clip.extra, "body": body, "look": np.full(len(clip), number, np.int32)}
    made.append(clip.replace(extra=extra))
  return made


def render(batch: Batch, key: jax.Array | None, options: Crop, skeleton: Skeleton) -> Batch:
  """The batch [B, T] seen by virtual cameras [B], one a window, with "images" [B, T, S, S, 3], RGB from 0 to 1.

  key: of this step's draws; a row's are folded with its place. None for none at all: crops as they are at inference.
  "turn" [B, 3, 3] takes the axes of the camera that was to those of the new one (of the unmirrored picture).
  """
  look = batch["look"]
  body = jnp.asarray(batch["body"])
  seen = cropped(batch, key, options)
  camera, turn = seen["camera"], seen["turn"]
  seeds = jax.vmap(jax.vmap(_seed))(body)
  if key is not None and options.fresh:
    rows = jax.vmap(lambda i: jax.random.fold_in(jax.random.fold_in(key, 2), i))(jnp.arange(len(body)))
    seeds = jax.vmap(jax.random.split, (0, None))(rows, body.shape[1])

  def row(frames: tuple[Array, Array, Array], camera: Camera, turn: Array) -> Array:
    return jax.vmap(lambda b, k, n: picture(b, k, n, camera, turn, options.size))(*frames)

  images = jax.lax.map(lambda args: row(*args), ((body, seeds, look), camera, turn))
  made = {**{n: v for n, v in seen.items() if n not in SCENE}, "images": images}
  if key is None or not options.flip:
    return made
  turned = made.pop("turn")
  return {**transforms.random_flip(made, jax.random.fold_in(key, 1), skeleton, options.flip), "turn": turned}


def picture(
  body: Float[Array, "17 3"], key: jax.Array, look: Array, camera: Camera, turn: Float[Array, "3 3"], size: int
) -> Float[Array, "S S 3"]:
  """One person as a camera sees it that is turned by `turn` from the axes of `body`; same arguments, same bytes."""
  scene, noise = appearance.scene(body, key, appearance.chosen(look))
  through = capsules.rays(camera, (size, size)) @ turn  # turn^T of every ray
  image = capsules.render(scene, through)
  grain = noise * jax.random.normal(jax.random.fold_in(key, 1), image.shape)
  return jnp.clip(image + grain, 0, 1)


def cropped(batch: Batch, key: jax.Array | None, options: Crop) -> Batch:
  """Keypoints, joints_3d and camera [B] of the virtual cameras, and "turn" [B, 3, 3]; no picture yet."""
  camera, keypoints = batch["camera"], jnp.asarray(batch["keypoints_2d"])
  there = (jnp.asarray(batch["confidence"]) > 0)[..., None]
  rays = cameras.unproject(keypoints, camera)
  draws = jnp.zeros((len(keypoints), 4))
  if key is not None:
    rows = jax.vmap(lambda i: jax.random.fold_in(jax.random.fold_in(key, 0), i))(jnp.arange(len(keypoints)))
    draws = jax.vmap(lambda k: jax.random.uniform(k, (4,), minval=-1, maxval=1))(rows)
  low, high = jnp.where(there, rays, jnp.inf).min((1, 2)), jnp.where(there, rays, -jnp.inf).max((1, 2))
  half = jnp.maximum((high - low).max(-1) / 2 * options.margin, _NARROWEST) * (1 + options.scale) ** draws[:, 0]
  middle = (low + high) / 2 + options.shift * half[:, None] * draws[:, 1:3]
  size = options.size, options.size
  virtual, turn = crops.toward(camera, middle, options.size / 2 / half, size, options.roll_rad * draws[:, 3])
  return {**crops.seen_by(batch, virtual, turn, size), "turn": turn}


def uncropped(points: Float[Array, "B T J 2"], virtual: Camera, turn: Float[Array, "B 3 3"], camera: Camera) -> Array:
  """Pixels [B, T, J, 2] of virtual cameras as pixels of the camera that they were turned from, its lens included."""
  return crops.move(points, virtual, camera, jnp.swapaxes(turn, -1, -2))


def _seed(body: Float[Array, "17 3"]) -> jax.Array:
  """A key of the body's bits: a frame has one appearance, in whatever batch it comes."""
  bits = jax.lax.bitcast_convert_type(body, jnp.uint32).ravel()
  weights = np.random.default_rng(0).integers(0, 2**32, bits.size, np.uint32) | np.uint32(1)
  return jax.random.fold_in(jax.random.key(0), jnp.sum(bits * weights, dtype=jnp.uint32))
