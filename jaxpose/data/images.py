"""Images of clips: stored crops decoded row by row while they stream, and what is drawn onto them in training.

Decoding is Pillow's, in the threads of `pipeline.batches`, which asks for a row's image by the number of its clip; so
the same rows have the same images on any number of processes. The rest are transforms of batches with "images"
[B, T, H, W, 3] from 0 to 1 (`crop.random_crop` makes them of bytes), keyed as in transforms.py.
"""

import io
import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, UInt8
from PIL import Image

from jaxpose.data.clip import Clip
from jaxpose.data.transforms import Batch


def decoded(encoded: bytes, where: str) -> UInt8[np.ndarray, "H W 3"]:
  """RGB of an encoded image. Raises ValueError, naming `where`, for what is none or is cut short."""
  try:
    with Image.open(io.BytesIO(encoded)) as image:
      return np.array(image.convert("RGB"))
  except (OSError, SyntaxError, Image.DecompressionBombError) as error:
    raise ValueError(f"{where}: its image cannot be decoded ({error}); build the data set again") from error


def of_clips(clips: Sequence[Clip]) -> Callable[[int], UInt8[np.ndarray, "T H W 3"]]:
  """image(number of a clip) -> its frames, of clips that store "encoded_image" in `extra`.

  Raises ValueError for clips without one an image a frame, and, when asked, for an image of another size than its
  camera's.
  """
  for clip in clips:
    count = len(clip.extra.get("encoded_image", ()))
    if count != len(clip):
      raise ValueError(f"clip {clip.name} stores {count} images for {len(clip)} frames; build it with images='crops'")

  def images(number: int) -> np.ndarray:
    clip = clips[number]
    frames = np.stack([decoded(encoded, f"clip {clip.name}") for encoded in clip.extra["encoded_image"]])
    if frames.shape[2:0:-1] != tuple(np.asarray(clip.camera.size).astype(int)):
      raise ValueError(f"clip {clip.name}: an image of {frames.shape[2:0:-1]} px, a camera of {clip.camera.size}")
    return frames

  return images


def colour(batch: Batch, key: jax.Array, strength: float = 0.2) -> Batch:
  """Each channel of each sample times 1 - strength to 1 + strength, as Integral regression's training (Sun et al.)."""
  if not 0 <= strength < 1:
    raise ValueError(f"colour: strength={strength}; it is at least 0 and below 1")
  images = jnp.asarray(batch["images"])
  draw = lambda k: jax.random.uniform(k, (3,), minval=1 - strength, maxval=1 + strength)  # noqa: E731
  gains = jax.vmap(draw)(_keys(key, len(images)))[:, None, None, None]
  return {**batch, "images": jnp.clip(images * gains, 0, 1)}


def erase(batch: Batch, key: jax.Array, probability: float = 0.5, largest: float = 0.3) -> Batch:
  """With this probability, noise over a rectangle of 2 % to `largest` of the sample's images (Zhong et al. 2020).

  Keypoints beneath stay labelled: the network learns to place what it does not see.
  """
  if not (0 <= probability <= 1 and 0.02 <= largest <= 1):
    raise ValueError(f"erase: probability={probability}, largest={largest}; from 0 to 1, and from 0.02 to 1")
  images = jnp.asarray(batch["images"])
  height, width = images.shape[2:4]

  def one(image: Array, key: jax.Array) -> Array:
    draws = jax.random.uniform(key, (5,))
    area = (0.02 + (largest - 0.02) * draws[0]) * height * width
    aspect = jnp.exp(math.log(3) * (2 * draws[1] - 1))
    tall, wide = jnp.sqrt(area * aspect), jnp.sqrt(area / aspect)
    top, left = draws[2] * jnp.maximum(height - tall, 0), draws[3] * jnp.maximum(width - wide, 0)
    row, column = jnp.arange(height)[:, None], jnp.arange(width)[None]
    inside = (row >= top) & (row < top + tall) & (column >= left) & (column < left + wide)
    noise = jax.random.uniform(jax.random.fold_in(key, 1), image.shape)
    return jnp.where((inside & (draws[4] < probability))[None, :, :, None], noise, image)

  return {**batch, "images": jax.vmap(one)(images, _keys(key, len(images)))}


def _keys(key: jax.Array, count: int) -> jax.Array:
  return jax.vmap(lambda i: jax.random.fold_in(key, i))(jnp.arange(count))
