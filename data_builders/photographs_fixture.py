"""What fixtures of annotated photographs share: people's joints in pixels, and images of noise."""

import pathlib
from collections.abc import Sequence

import numpy as np
from PIL import Image

from jaxpose import skeleton as skeletons
from jaxpose.skeleton import Skeleton
from jaxpose.synthetic import motion


def poses(skeleton: Skeleton, count: int, seed: int, size: tuple[int, int]) -> np.ndarray:
  """Pixels [count, J, 2] of simulated people in an image of (width, height), facing the camera or not."""
  if not count:
    return np.zeros((0, skeleton.num_joints, 2))
  world = motion.simulate("train", seed % 40, seed=seed, frames=max(2, count)).motion
  joints = world.positions_world[:count].astype(np.float64)
  mapped = skeletons.joint_map(world.skeleton, skeleton)(joints)
  mapped = mapped - mapped.mean((1, 2), keepdims=True).mean(-1, keepdims=True)
  flat = mapped[..., :2] * (1, -1)  # seen from the front: the person's left is at +x, as in the image
  flat -= (flat.min(1, keepdims=True) + flat.max(1, keepdims=True)) / 2
  room = 0.8 * np.array(size) / np.maximum(np.ptp(flat, axis=1), 1e-3)
  return flat * room.min(-1)[:, None, None] + np.array(size) / 2


def write_images(folder: pathlib.Path, names: Sequence[str], size: tuple[int, int], seed: int) -> None:
  """JPEG files of noise."""
  folder.mkdir(parents=True, exist_ok=True)
  rng = np.random.default_rng(seed)
  for name in names:
    small = rng.integers(0, 256, (9, 16, 3), dtype=np.uint8)
    Image.fromarray(small).resize(size, Image.Resampling.NEAREST).save(folder / name)
