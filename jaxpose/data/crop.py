"""A crop of an image is a new camera, exactly: turned to the middle of the crop, rolled, and of another focal length.

Keypoints, 3D joints, pixels and the camera's place in the world all follow from one rotation, so augmentation by crops
is right in 2D and in 3D; mirroring is `transforms.flip`. The new camera has no distortion: the image is straightened.
The camera of an uncalibrated photograph is nominal (a focal length of the longer side), and serves as well.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from jaxpose.data.transforms import Batch
from jaxpose.geometry import camera as cameras
from jaxpose.geometry import pixels
from jaxpose.geometry.camera import Camera
from jaxpose.geometry.rotation import einsum

AnyArray = Array | np.ndarray
MARGIN = 1.5  # side of a stored crop over the longer side of the person's box (data_builders/still_images.py)
_NEAREST = 1e-3  # z of a unit ray: what is behind the new camera is far outside its image, not mirrored into it


def toward(
  camera: Camera, middle: Float[AnyArray, "B 2"], focal: Float[AnyArray, " B"], size: tuple[int, int], roll_rad=0.0
) -> tuple[Camera, Float[Array, "B 3 3"]]:
  """(the new cameras [B], turn [B, 3, 3] from the old camera's axes to theirs).

  middle: rays (x/z, y/z) that the new cameras look along, undistorted; focal: of the new cameras, in pixels; size:
  width and height of their images; roll_rad: [B] or a number, how far the image turns clockwise.
  """
  middle = jnp.asarray(middle)
  count = len(middle)
  roll = jnp.broadcast_to(jnp.asarray(roll_rad, jnp.float32), (count,))
  cosine, sine, zero, one = jnp.cos(roll), jnp.sin(roll), jnp.zeros(count), jnp.ones(count)
  rolled = jnp.stack([cosine, -sine, zero, sine, cosine, zero, zero, zero, one], -1).reshape(count, 3, 3)
  turn = einsum("bij,bjk->bik", rolled, _to_axis(middle))
  center = jnp.broadcast_to(jnp.array([size], jnp.float32) / 2, (count, 2))
  virtual = Camera(
    focal=jnp.broadcast_to(jnp.asarray(focal)[:, None], (count, 2)),
    center=center,
    radial=jnp.zeros((count, 3)),
    tangential=jnp.zeros((count, 2)),
    tangential_gain=jnp.ones(count),
    size=2 * center,
    rotation=einsum("bij,bjk->bik", turn, camera.rotation),
    translation=einsum("bij,bj->bi", turn, camera.translation),
  )
  return virtual, turn


def zoomed(camera: Camera, middle: Float[AnyArray, "B 2"], zoom: Float[AnyArray, " B"]) -> Float[Array, " B"]:
  """The focal length of a camera that looks along `middle` and enlarges what is there by `zoom`, in area by zoom^2.

  A pixel at a ray of length n has 1 / (f^2 n^3) of solid angle, one in the middle of an image 1 / F^2, so that
  F = zoom f n^1.5.
  """
  length = jnp.sqrt(1 + jnp.sum(jnp.asarray(middle) ** 2, -1))
  return zoom * jnp.sqrt(jnp.prod(jnp.asarray(camera.focal), -1)) * length**1.5


def seen_by(batch: Batch, virtual: Camera, turn: Float[AnyArray, "B 3 3"], size: tuple[int, int]) -> Batch:
  """The batch [B, T] as the new cameras see it: keypoints, joints_3d and "images" [B, T, H, W, 3], from 0 to 1.

  A missing joint is at 0. Keypoints follow their rays, the old lens's distortion undone.
  """
  present = jnp.asarray(batch["confidence"])[..., None] > 0
  moved = move(batch["keypoints_2d"], batch["camera"], virtual, turn)
  seen = {**batch, "camera": virtual, "keypoints_2d": jnp.where(present, moved, 0)}
  if "joints_3d" in batch:
    seen["joints_3d"] = einsum("bij,btkj->btki", turn, batch["joints_3d"])
  if "images" in batch:
    seen["images"] = warp(batch["images"], batch["camera"], virtual, turn, size)
  return seen


def move(
  points: Float[AnyArray, "B T J 2"], camera: Camera, virtual: Camera, turn: Float[AnyArray, "B 3 3"]
) -> Float[Array, "B T J 2"]:
  """Pixels of one camera as pixels of another, `turn` taking its axes to the other's.

  With the cameras exchanged and `turn` transposed it goes back. What is behind the other camera ends far outside.
  """
  rays = cameras.unproject(points, camera)
  through = einsum("bij,btkj->btki", turn, jnp.concatenate([rays, jnp.ones_like(rays[..., :1])], -1))
  through = jnp.concatenate([through[..., :2], jnp.maximum(through[..., 2:], _NEAREST)], -1)
  return cameras.project(through, virtual)


def warp(
  images: Float[AnyArray, "B T H W 3"] | UInt8[AnyArray, "B T H W 3"],
  camera: Camera,
  virtual: Camera,
  turn: Float[AnyArray, "B 3 3"],
  size: tuple[int, int],
) -> Float[Array, "B T H2 W2 3"]:
  """The new cameras' images of `size`, bilinear between the pixels' centres, 0 outside; bytes become 0 to 1.

  Trap: nothing is smoothed, so shrink a large image first.
  """
  images = jnp.asarray(images)
  scale = 1 / 255 if images.dtype == jnp.uint8 else 1.0
  grid = jnp.broadcast_to(pixels.grid(size[1], size[0]), (len(images), size[1], size[0], 2))
  place = move(grid, virtual, camera, jnp.swapaxes(jnp.asarray(turn), -1, -2)) - 0.5

  def sample(channel: Array, place: Array) -> Array:
    return jax.scipy.ndimage.map_coordinates(channel, [place[..., 1], place[..., 0]], order=1, mode="constant")

  over_channels = jax.vmap(sample, (2, None), 2)
  return scale * jax.vmap(jax.vmap(over_channels, (0, None)))(images.astype(jnp.float32), place)


def random_crop(
  batch: Batch,
  key: jax.Array | None,
  *,
  size: tuple[int, int],
  padding: float = 1.25,
  scale: float = 0.0,
  roll_rad: float = 0.0,
  roll_probability: float = 0.6,
) -> Batch:
  """Crops of `size` (width, height) of batches whose images are stored crops: of one size, the person in the middle.

  The person's box, completed to the aspect of `size`, times `padding` fills the crop. Drawn for each sample, as in
  SimpleBaseline (Xiao et al. 2018): the box times 1 + N(0, `scale`), at most that far from 1; a roll of N(0,
  `roll_rad`), at most twice that, with `roll_probability`. Without a key, nothing is drawn. A joint that is left
  outside counts as missing. Raises ValueError for what cannot be drawn.
  """
  if not (padding > 0 and 0 <= scale < 1 and roll_rad >= 0 and 0 <= roll_probability <= 1 and min(size) > 0):
    raise ValueError(
      f"random_crop: size={size}, padding={padding}, scale={scale}, roll_rad={roll_rad}, roll_probability="
      f"{roll_probability}; sizes and padding are positive, scale is below 1, roll not negative, the last a probability"
    )
  camera = batch["camera"]
  count = len(batch["keypoints_2d"])
  factor, roll = jnp.ones(count), jnp.zeros(count)
  if key is not None:
    keys = jax.vmap(lambda i: jax.random.fold_in(key, i))(jnp.arange(count))
    draws = jax.vmap(functools.partial(jax.random.normal, shape=(2,)))(keys)
    rolls = jax.vmap(lambda k: jax.random.bernoulli(jax.random.fold_in(k, 1), roll_probability))(keys)
    factor = 1 + jnp.clip(scale * draws[:, 0], -scale, scale)
    roll = jnp.where(rolls, roll_rad * jnp.clip(draws[:, 1], -2, 2), 0)
  stored = jnp.asarray(camera.size)
  middle = cameras.unproject((stored / 2)[:, None], camera)[:, 0]
  zoom = size[1] / (stored[:, 1] * padding / MARGIN * factor)
  virtual, turn = toward(camera, middle, zoomed(camera, middle, zoom), size, roll)
  seen = seen_by(batch, virtual, turn, size)
  inside = jnp.all((seen["keypoints_2d"] >= 0) & (seen["keypoints_2d"] < jnp.array([[[size]]])), -1)
  return {**seen, "confidence": jnp.where(inside, seen["confidence"], 0)}


def _to_axis(ray: Float[Array, "B 2"]) -> Float[Array, "B 3 3"]:
  """The least rotation that turns the ray (x, y, 1) into the optical axis."""
  z = jax.lax.rsqrt(1 + jnp.sum(ray**2, -1))
  x, y = ray[:, 0] * z, ray[:, 1] * z
  rows = [1 - x * x / (1 + z), -x * y / (1 + z), -x, -x * y / (1 + z), 1 - y * y / (1 + z), -y, x, y, z]
  return jnp.stack(rows, -1).reshape(-1, 3, 3)
