"""From clips to batches: deterministic, shuffled anew each epoch, resumable from any step on any number of processes.

The order of rows is a pure function of (seed, number of windows), so there is nothing to checkpoint: step s takes rows
s * batch to (s + 1) * batch of one endless sequence of epochs, and process p of n the p-th contiguous slice of them.
Several data sets are mixed by mixture.py, whose order is a pure function too.
The resident path (whole data set on the device) and the streaming path (Grain) read the same rows in the same order.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, cast

import grain
import jax
import numpy as np

from jaxpose.data.clip import Clip
from jaxpose.geometry.camera import Camera

Batch = dict[str, Any]
Order = Callable[[int, int], np.ndarray]  # rows start to stop of the endless sequence, as window indices


class Windows(NamedTuple):
  """Clips laid end to end, and the windows that training draws from them. A pytree, of NumPy or JAX arrays.

  frames: {"keypoints_2d" [F, J, 2], "confidence" [F, J], "joints_3d" [F, J, 3], "valid" [F]}, with "present" [F] where
  short clips were padded, "labelled" [F] where some clips have no joints_3d, and "body" and "look" where clips are
  rendered (synthetic/images.py); camera: one a clip; start: int32 [W], a
  window's first frame among the F; clip: int32 [W], its clip.
  """

  frames: dict[str, Any]
  camera: Camera
  start: Any
  clip: Any

  @property
  def nbytes(self) -> int:
    return sum(x.nbytes for x in jax.tree.leaves(self))


def windows(
  clips: Sequence[Clip], length: int = 1, stride: int = 1, *, pad_short: bool = False, allow_2d: bool = False
) -> Windows:
  """All windows of `length` consecutive valid frames, one every `stride` frames of a clip.

  pad_short: a clip shorter than `length`, all of it valid, is a window too; frames that repeat its last one fill it,
  neither "present" nor valid. allow_2d: clips without joints_3d take part; their frames are not "labelled", and
  joints_3d holds a stand-in there that must not be used.

  Raises ValueError if no clip holds such a window, or a clip lacks joints_3d and must not.
  """
  if not clips:
    raise ValueError("no clips to train on; check the data set's name and splits")
  for clip in clips:
    if clip.joints_3d is None and not allow_2d:
      raise ValueError(f"clip {clip.name} has no joints_3d: training needs 3D targets")
  missing = [length - len(c) if pad_short and 0 < len(c) < length and c.valid.all() else 0 for c in clips]
  present = [np.arange(len(c) + more) < len(c) for c, more in zip(clips, missing)]
  labelled = [np.full(len(c) + more, c.joints_3d is not None) for c, more in zip(clips, missing)]
  clips = [_padded(c, more) for c, more in zip(clips, missing)]
  starts, owners, offset = [], [], 0
  for number, clip in enumerate(clips):
    usable = clip.valid | ~present[number]
    good = np.convolve(usable, np.ones(length, int), "valid") == length if len(clip) >= length else np.zeros(0, bool)
    every = np.flatnonzero(good)
    begins = every[::stride] if length == 1 else every[every % stride == 0]
    starts.append(begins + offset)
    owners.append(np.full(len(begins), number))
    offset += len(clip)
  start = np.concatenate(starts).astype(np.int32)
  if not len(start):
    longest = max(len(c) for c in clips)
    raise ValueError(
      f"none of the {len(clips)} clips holds a window of {length} valid frames (the longest clip has {longest}, "
      f"{sum(int(c.valid.sum()) for c in clips)} frames are valid in all); shorten the window or check the camera rig"
    )
  frames = {
    "keypoints_2d": np.concatenate([c.keypoints_2d for c in clips]),
    "confidence": np.concatenate([c.confidence for c in clips]),
    "joints_3d": np.concatenate([_stand_in(c) if c.joints_3d is None else c.joints_3d for c in clips]),
    "valid": np.concatenate([c.valid for c in clips]),
  }
  frames |= of_scenes(clips)
  if any(missing):
    frames["present"] = np.concatenate(present)
  if not all(one.all() for one in labelled):
    frames["labelled"] = np.concatenate(labelled)
  camera = jax.tree.map(lambda *leaves: np.stack(leaves), *(c.camera for c in clips))
  return Windows(frames, camera, start, np.concatenate(owners).astype(np.int32))


def of_scenes(clips: Sequence[Clip]) -> dict[str, np.ndarray]:
  """{name: [F, ...]} of what clips say of scenes to render ("body", "look" in `extra`); empty where none does.

  Raises ValueError where some clips do and some do not.
  """
  names = [name for name in ("body", "look") if any(name in clip.extra for clip in clips)]
  for clip in clips:
    if lacking := [name for name in names if name not in clip.extra]:
      raise ValueError(f"clip {clip.name} has no {lacking[0]!r} to render, and others have: give each data set a look")
  return {name: np.concatenate([clip.extra[name] for clip in clips]) for name in names}


def _padded(clip: Clip, count: int) -> Clip:
  """The clip and `count` frames more, which repeat its last one and are not valid."""
  if not count:
    return clip
  longer = lambda x: np.concatenate([x, np.repeat(x[-1:], count, 0)])  # noqa: E731
  return clip.replace(
    keypoints_2d=longer(clip.keypoints_2d),
    confidence=longer(clip.confidence),
    joints_3d=None if clip.joints_3d is None else longer(clip.joints_3d),
    valid=np.concatenate([clip.valid, np.zeros(count, bool)]),
    extra={name: longer(clip.extra[name]) for name in ("body", "look") if name in clip.extra},
  )


def _stand_in(clip: Clip) -> np.ndarray:
  """A pose before the camera for every frame, of which every codec has finite targets."""
  return np.tile(np.array([0, 0, 1], np.float32), (len(clip), clip.skeleton.num_joints, 1))


def gather(data: Windows, index, length: int) -> Batch:
  """The batch of the windows `index` [B]: arrays [B, T, ...], a camera [B, ...]. NumPy gives NumPy, JAX gives JAX."""
  offsets = np.arange(length, dtype=np.int32).reshape((1,) * np.ndim(index) + (length,))
  rows = data.start[index][..., None] + offsets
  batch: Batch = {name: array[rows] for name, array in data.frames.items()}
  owner = data.clip[index]
  batch["camera"] = Camera(*(field[owner] for field in data.camera))
  return batch


@functools.lru_cache(maxsize=16)
def _permutation(seed: int, epoch: int, size: int) -> np.ndarray:
  return np.random.Generator(np.random.Philox(key=[seed, epoch])).permutation(size).astype(np.int32)


def order(size: int, start: int, stop: int, seed: int) -> np.ndarray:
  """Window indices of rows start to stop of the endless shuffled sequence: int32 [stop - start]."""
  epochs = range(start // size, -(-stop // size))
  rows = [_permutation(seed, e, size)[max(start - e * size, 0) : stop - e * size] for e in epochs]
  return np.concatenate(rows) if rows else np.zeros(0, np.int32)


class _Steps:
  """Random access to one process's share of the batches, step after step, for grain.MapDataset.source.

  A batch is gathered whole: row by row, Python would take longer for the windows than a device for the step.
  """

  def __init__(
    self,
    data: Windows,
    length: int,
    batch: int,
    rows: Order,
    steps: range,
    process: tuple[int, int],
    images: Callable[[int], np.ndarray] | None,
  ):
    self.data, self.length, self.batch, self.rows, self.steps, self.process = data, length, batch, rows, steps, process
    self.images = images

  def __len__(self) -> int:
    return len(self.steps)

  def __getitem__(self, i: int) -> Batch:
    step, local = self.steps[int(i)], self.batch // self.process[1]
    first = step * self.batch
    index = self.rows(first, first + self.batch)[self.process[0] * local : (self.process[0] + 1) * local]
    gathered = gather(self.data, index, self.length)
    if self.images is None:
      return gathered
    return {**gathered, "images": np.stack([self.images(int(clip)) for clip in self.data.clip[index]])}


def batches(
  data: Windows,
  *,
  length: int,
  batch_size: int,
  seed: int,
  num_steps: int,
  start_step: int = 0,
  process: tuple[int, int] = (0, 1),
  workers: int = 0,
  rows: Order | None = None,
  images: Callable[[int], np.ndarray] | None = None,
) -> Iterator[Batch]:
  """This process's share of the batches of steps start_step to num_steps, in order, through Grain.

  `process` is (index, count): the p-th of n contiguous slices of every global batch. Any start_step and any number of
  processes or workers read the same rows. rows: (start, stop) -> window indices, `order` with this seed when None.
  images: of a clip, by its number (`images.of_clips`), decoded in the threads that read; for windows of whole clips.
  """
  index, count = process
  if batch_size % count:
    raise ValueError(f"batch_size={batch_size} is not divisible by the {count} processes; choose a multiple of {count}")
  rows = rows or functools.partial(order, len(data.start), seed=seed)
  source = _Steps(data, length, batch_size, rows, range(start_step, num_steps), process, images)
  dataset = grain.MapDataset.source(cast(Any, source))
  stream = dataset.to_iter_dataset(grain.ReadOptions(num_threads=2, prefetch_buffer_size=8))
  if workers:
    stream = stream.mp_prefetch(grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=2))
  return iter(stream)
