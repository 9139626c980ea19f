"""Predictions for whole clips, from an inference graph alone."""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxpose.codec import Codec
from jaxpose.codec.image_25d import Image25D
from jaxpose.data import pipeline, transforms
from jaxpose.data.clip import Clip
from jaxpose.graphs import graph as graphs
from jaxpose.graphs import lift
from jaxpose.graphs.graph import InferenceGraph

_ALIGNED = 16  # rows: the last ones of a slice are then computed as any other


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
    taken = starts[:, None] + np.arange(window)
    here, taken = taken < len(clip), np.minimum(taken, len(clip) - 1)
    if valid_only:
      here, taken = (x[clip.valid[taken].any(1)] for x in (here, taken))
    frames.append(taken + offset)
    present.append(here)
    owners.append(np.full(len(taken), number))
    offset += len(clip)
  frame, owner = np.concatenate(frames), np.concatenate(owners)
  cameras = jax.tree.map(lambda *x: np.stack(x), *(c.camera for c in clips))
  batch = {
    "keypoints_2d": np.concatenate([c.keypoints_2d for c in clips])[frame],
    "confidence": np.concatenate([c.confidence for c in clips])[frame],
    "camera": jax.tree.map(lambda x: x[owner], cameras),
  }
  batch |= {name: array[frame] for name, array in pipeline.of_scenes(clips).items()}
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

  A batch with a "factor" [B, T] is decoded with that oracle; a ValueError for a codec other than image_25d.
  """
  _check_factor(batch, codec)
  pose = lift.decode(codec, outputs["inputs"], batch)
  if "flipped" not in outputs:
    return pose
  mirrored = lift.decode(codec, outputs["flipped"], transforms.flip(batch, codec.skeleton))
  return (pose + transforms.flip_pose(mirrored, codec.skeleton)) / 2


def _check_factor(batch, codec: Codec) -> None:
  if "factor" in batch and not isinstance(codec, Image25D):
    raise ValueError(f"codec {codec.name!r} decodes without a factor; the protocol's oracle is for 'image_25d' alone")


@functools.partial(jax.jit, static_argnames=("graph", "flip"))
def _run(variables, arrays, *, graph: InferenceGraph, flip: bool):
  return (lift.flipped(graph) if flip else graph).run(variables, arrays)["positions"]


def predict(
  graph: InferenceGraph,
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

  With `flip`, the mean of the prediction and the mirrored prediction of the mirrored input. `factors`: as in `cut`;
  `protocols.factors` has those that a protocol asks for. overlap: frames that neighbouring windows share, and blend
  (`scatter`). seed: of a graph that draws random numbers.
  """
  check_skeletons(clips, graph.codec)
  rows = cut(clips, window, factors=factors, overlap=overlap)
  run = functools.partial(_run, variables, graph=graph, flip=flip)
  poses = in_batches(run, graphs.check(graph, inputs_of(graph, rows, seed)), max(1, batch_size // window))
  return scatter(clips, rows, poses, overlap)


def sample(
  graph: InferenceGraph, variables, clips: Sequence[Clip], *, window: int = 1, batch_size: int = 256, seed: int = 0
) -> list[np.ndarray]:
  """Hypotheses [H, T, J, 3] for every frame of every clip, root-relative metres, by a graph that gives such.

  `batch_size` counts frames. The hypotheses of neighbouring windows have nothing to do with one another.
  """
  check_skeletons(clips, graph.codec)
  rows = cut(clips, window)
  run = functools.partial(_hypotheses, variables, graph=graph)
  poses = in_batches(run, graphs.check(graph, inputs_of(graph, rows, seed)), max(1, batch_size // window))
  return [np.moveaxis(x, 1, 0) for x in scatter(clips, rows, np.moveaxis(poses, 1, 2))]


@functools.partial(jax.jit, static_argnames="graph")
def _hypotheses(variables, arrays, *, graph: InferenceGraph):
  return graph.run(variables, arrays)["hypotheses"]


def inputs_of(graph: InferenceGraph, rows: Rows, seed: int = 0) -> dict[str, Any]:
  """What the graph takes of the windows."""
  _check_factor(rows.batch, graph.codec)
  arrays = graphs.arrays_of(rows.batch)
  for name in ("present", "body", "look"):
    if not graph.takes(name):
      arrays.pop(name, None)
  if graph.takes("seed"):
    arrays["seed"] = graphs.seeds(len(rows.clip), seed)
  return arrays


def in_batches(function, tree, size: int, whole: int = 0):
  """function(tree) in slices of `size` along the leading axis, joined; one compiled program serves all slices.

  whole: of how many rows these are a part, or are all; slices are then as long as for all, and of no odd length, by
  which rows would round otherwise.
  """
  count = len(jax.tree.leaves(tree)[0])
  size = min(size, -(-whole // _ALIGNED) * _ALIGNED if whole else count)
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
