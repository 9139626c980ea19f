"""Predictions for whole clips, from a method's inference graph alone."""

import functools
import inspect
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxpose.codec import Codec
from jaxpose.codec.image_25d import Image25D
from jaxpose.data import transforms
from jaxpose.data.clip import Clip
from jaxpose.methods.method import Method


class Rows(NamedTuple):
  """Windows of clips, as a model takes them: batch arrays [N, T, ...], and where their frames belong.

  Where a clip is shorter than a window, the batch has "present", bool [N, T]: False for the frames that fill it.

  frame: int [N, T], the index of each frame among all frames of the clips laid end to end; clip: int [N].
  """

  batch: dict[str, Any]
  frame: np.ndarray
  clip: np.ndarray


def cut(
  clips: Sequence[Clip],
  window: int = 1,
  valid_only: bool = False,
  factors: Sequence[np.ndarray] | None = None,
  overlap: int = 0,
) -> Rows:
  """Cuts every clip into windows of `window` frames that cover it, in order, with `overlap` frames in common.

  The last window of a clip overlaps its neighbour as it must; a clip shorter than `window` is padded with its last
  frame.
  With `valid_only`, windows without any valid frame are left out. `factors`: one [T] a clip, metres a pixel; an oracle
  that `decode_both` then decodes with (`Protocol.factor`).
  """
  if not 0 <= overlap < window:
    raise ValueError(f"overlap={overlap} must be at least 0 and less than the window of {window} frames")
  frames, present, owners, offset = [], [], [], 0
  for number, clip in enumerate(clips):
    last = max(len(clip) - window, 0)
    starts = np.unique(np.minimum(np.arange(0, last + window, window - overlap), last))
    own = starts[:, None] + np.arange(window)
    here, own = own < len(clip), np.minimum(own, len(clip) - 1)
    if valid_only:
      here, own = (x[clip.valid[own].any(1)] for x in (here, own))
    frames.append(own + offset)
    present.append(here)
    owners.append(np.full(len(own), number))
    offset += len(clip)
  frame, owner = np.concatenate(frames), np.concatenate(owners)
  cameras = jax.tree.map(lambda *x: np.stack(x), *(c.camera for c in clips))
  batch = {
    "keypoints_2d": np.concatenate([c.keypoints_2d for c in clips])[frame],
    "confidence": np.concatenate([c.confidence for c in clips])[frame],
    "camera": jax.tree.map(lambda x: x[owner], cameras),
  }
  there = np.concatenate(present)
  if not there.all():
    batch["present"] = there
  if factors is not None:
    batch["factor"] = np.concatenate([np.asarray(f, np.float32) for f in factors])[frame]
  return Rows(batch, frame, owner)


def scatter(clips: Sequence[Clip], rows: Rows, poses: np.ndarray, overlap: int = 0) -> list[np.ndarray]:
  """Poses [N, T, J, 3] of windows back to one [T, J, 3] a clip; frames in no window are NaN.

  Without overlap, a frame of two windows has the pose of the first: all but a clip's tail are then predicted as whole
  windows laid end to end, which is how clips are cut in publications. With overlap, it has their mean, weighted by how
  far the frame is from an end of the window that is not the clip's, up to `overlap` + 1 frames: from a frame to the
  next, a window's share changes by no more than 1 / (overlap + 1) (for overlaps up to half a window), and no seam is
  left.
  """
  lengths = [len(c) for c in clips]
  if overlap:
    return _blend(lengths, rows, poses, overlap)
  out = np.full((sum(lengths), *poses.shape[2:]), np.nan, np.float32)
  out[rows.frame[::-1, ::-1]] = poses[::-1, ::-1]  # of equal indices the last one assigned stays
  return np.split(out, np.cumsum(lengths)[:-1])


def _blend(lengths: list[int], rows: Rows, poses: np.ndarray, overlap: int) -> list[np.ndarray]:
  window, ends = rows.frame.shape[1], np.cumsum(lengths)[rows.clip]
  first, last = rows.frame[:, 0] == ends - np.asarray(lengths)[rows.clip], rows.frame[:, -1] == ends - 1
  left = np.where(first[:, None], window, np.arange(1, window + 1))
  right = np.where(last[:, None], window, np.arange(window, 0, -1))
  weight = np.minimum(np.minimum(left, right), overlap + 1) / (overlap + 1)
  weight = np.where(rows.batch.get("present", True), weight, 0)  # a frame that fills a short clip stands for nothing
  total, out = np.zeros(sum(lengths)), np.zeros((sum(lengths), *poses.shape[2:]))
  np.add.at(total, rows.frame, weight)
  np.add.at(out, rows.frame, weight[..., None, None] * poses)
  with np.errstate(invalid="ignore"):  # 0 / 0 where no window is
    out /= total[:, None, None]
  return np.split(out.astype(np.float32), np.cumsum(lengths)[:-1])


@functools.partial(jax.jit, static_argnames=("codec",))
def encode_both(batch, *, codec: Codec):
  """Network inputs of a batch, {"inputs", "flipped"} [B, T, J, C]: as it is, and mirrored."""
  mirrored = transforms.flip(batch, codec.skeleton)
  return {
    name: codec.encode(b["keypoints_2d"], b["camera"], b["confidence"])
    for name, b in (("inputs", batch), ("flipped", mirrored))
  }


@functools.partial(jax.jit, static_argnames=("codec",))
def decode_both(outputs, batch, *, codec: Codec):
  """Root-relative metres [B, T, J, 3] from outputs {"inputs"} or {"inputs", "flipped"}: their mean, mirrored back.

  The root's own output is overwritten by 0, as the evaluations of P-STMO, D3DP and MotionBERT do; docs/protocols.md
  says whose differ. A batch with a "factor" [B, T] is decoded with that oracle; a ValueError for a codec other than
  image_25d.
  """
  if "factor" in batch and not isinstance(codec, Image25D):
    raise ValueError(f"codec {codec.name!r} decodes without a factor; the protocol's oracle is for 'image_25d' alone")

  def decode(outputs, batch):
    factor = {"factor": batch["factor"]} if "factor" in batch else {}
    seen = batch["keypoints_2d"], batch["camera"], batch["confidence"]
    outputs = jnp.asarray(outputs).at[..., codec.skeleton.root, :].set(0)  # what each codec's target of the root is
    return codec.decode(outputs, *seen, **factor)

  pose = decode(outputs["inputs"], batch)
  if "flipped" not in outputs:
    return pose
  mirrored = decode(outputs["flipped"], transforms.flip(batch, codec.skeleton))
  return (pose + transforms.flip_pose(mirrored, codec.skeleton)) / 2


@functools.partial(jax.jit, static_argnames=("method", "codec", "flip"))
def predict_batch(variables, batch, key, *, method: Method, codec: Codec, flip: bool):
  """Root-relative metres [B, T, J, 3] for a batch with keypoints_2d, confidence and camera.

  With `flip`, the mean of the prediction and the mirrored prediction of the mirrored input.
  """
  inputs = encode_both(batch, codec=codec)
  names = ("inputs", "flipped") if flip else ("inputs",)
  masked = "present" in batch and "mask" in inspect.signature(method.infer).parameters
  more = {"mask": batch["present"]} if masked else {}
  outputs = {name: method.infer(variables, inputs[name], key, **more) for name in names}
  return decode_both(outputs, batch, codec=codec)


def predict(
  method: Method,
  codec: Codec,
  variables,
  clips: Sequence[Clip],
  *,
  window: int = 1,
  flip: bool = True,
  batch_size: int = 4096,
  seed: int = 0,
  factors: Sequence[np.ndarray] | None = None,
  overlap: int = 0,
) -> list[np.ndarray]:
  """Root-relative metres [T, J, 3] for every frame of every clip, in camera axes; `batch_size` counts frames.

  `factors`: as in `cut`; `protocols.factors` has those that a protocol asks for. overlap: frames that neighbouring
  windows share, and blend (`scatter`).
  """
  check_skeletons(clips, codec)
  rows = cut(clips, window, factors=factors, overlap=overlap)
  predict_one = functools.partial(predict_batch, variables, method=method, codec=codec, flip=flip)
  poses = in_batches(lambda batch: predict_one(batch, jax.random.key(seed)), rows.batch, max(1, batch_size // window))
  return scatter(clips, rows, poses, overlap)


def in_batches(function, tree, size: int):
  """function(tree) in slices of `size` along the leading axis, joined; one compiled program serves all slices."""
  count = len(jax.tree.leaves(tree)[0])
  size = min(size, count)
  results = []
  for start in range(0, count, size):
    # The last slice repeats its last row up to the full size.
    chosen = np.minimum(np.arange(start, start + size), count - 1)
    result = function(jax.tree.map(lambda x, chosen=chosen: jnp.asarray(x[chosen]), tree))
    kept = min(size, count - start)
    results.append(jax.tree.map(lambda x, kept=kept: np.asarray(x)[:kept], result))
  return jax.tree.map(lambda *x: np.concatenate(x), *results)


def check_skeletons(clips: Sequence[Clip], codec: Codec) -> None:
  """Raises a ValueError if a clip's joint set is not the model's."""
  for clip in clips:
    if clip.skeleton.name != codec.skeleton.name:
      raise ValueError(
        f"clip {clip.name} has joints {clip.skeleton.name!r}, but the model was trained on {codec.skeleton.name!r}; "
        "map the clip's joints with skeleton.joint_map first"
      )
