"""From clips and predictions to sums: per cell (a clip, or the frames of one label in it), joint and statistic.

Every table, mean and interval of a report is a weighted mean of these sums, so frames are visited once.
"""

import dataclasses
from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jaxpose import metrics
from jaxpose import skeleton as skeletons
from jaxpose.data.clip import Clip
from jaxpose.protocols.protocol import Protocol

ALIGNMENTS = ("", "_scaled", "_procrustes")  # suffixes of metric names, in the order of the sums' axis A
STATISTICS = ("mpjpe_mm", "pck_150", "auc")  # in the order of the axis S
_CHUNK = 4096  # frames at once; every chunk has this size, so each joint set compiles once
_UNITS = np.array([1000.0, 100.0, 100.0])  # metres and fractions to mm and percent


@dataclasses.dataclass(frozen=True)
class Scores:
  """sums: float64 [N, A, S, J] in mm and percent, over the frames [N] of each cell; clip: [N] index; label: [N] or "".

  velocity: [clips] mean norm of the error of first differences, mm per frame; NaN where no two valid frames meet.
  """

  sums: np.ndarray
  frames: np.ndarray
  clip: np.ndarray
  label: list[str]
  velocity: np.ndarray

  def over(self, joints: Sequence[int]) -> np.ndarray:
    """Sums over frames of the mean over some joints: [N, A, S]."""
    return self.sums[..., list(joints)].mean(-1)


def joint_map(clip: Clip, protocol: Protocol) -> skeletons.JointMap | None:
  """The map to the protocol's joint set, None where the clip is in it; a ValueError where it cannot stand in."""
  if protocol.joint_set is None or protocol.joint_set == clip.skeleton.name:
    return None
  target = skeletons.get(protocol.joint_set)
  mapped = skeletons.joint_map(clip.skeleton, target)
  blends = [n for n, sources in mapped.averaged.items() if len(sources) > 1]
  if not protocol.renames or mapped.missing or blends:
    why = f"; it lacks {', '.join((*mapped.missing, *blends))}" if protocol.renames else ""
    raise ValueError(
      f"clip {clip.name} has joints {clip.skeleton.name!r}; "
      f"protocol {protocol.name!r} scores {protocol.joint_set!r}{why}"
    )
  return mapped


def check(clip: Clip, prediction: np.ndarray) -> None:
  """Raises a ValueError that names the clip, if a prediction cannot be scored."""
  if clip.joints_3d is None:
    raise ValueError(f"clip {clip.name} has no joints_3d; a protocol scores clips with 3D ground truth")
  if np.shape(prediction) != clip.joints_3d.shape:
    raise ValueError(
      f"clip {clip.name}: the prediction has shape {np.shape(prediction)}, its ground truth {clip.joints_3d.shape}"
    )
  bad = clip.valid & ~np.isfinite(prediction).all((1, 2))
  if bad.any():
    raise ValueError(
      f"clip {clip.name}: the prediction holds NaN or infinity in {bad.sum()} scored frames, first {np.argmax(bad)}"
    )


def score(clips: Sequence[Clip], predictions: Sequence[np.ndarray], protocol: Protocol) -> Scores:
  """Scores the valid frames of checked clips, each of which has one at least."""
  poses, cells, owners, labels, velocities = [], [], [], [], []
  for number, (clip, prediction) in enumerate(zip(clips, predictions)):
    pair = _root_relative(clip, prediction, protocol)
    poses.append(pair[:, clip.valid])
    frame_labels = protocol.frame_labels(clip) if protocol.frame_labels else None
    pairs, cell = np.unique(
      np.asarray(frame_labels)[clip.valid] if frame_labels is not None else np.full(clip.valid.sum(), ""),
      return_inverse=True,
    )
    cells.append(cell + len(owners))
    owners += [number] * len(pairs)
    labels += pairs.tolist()
    # Differences across a frame that is not scored would be displacements over several frames.
    velocities.append(np.diff(pair, axis=1)[:, clip.valid[1:] & clip.valid[:-1]])
  sums = _cell_sums(np.concatenate(poses, 1), np.concatenate(cells), len(owners))
  for number in np.flatnonzero(~np.isfinite(sums).all((1, 2, 3))):
    raise ValueError(f"clip {clips[owners[number]].name}: an error is not finite; are its coordinates in metres?")
  frames = np.bincount(np.concatenate(cells), minlength=len(owners))
  return Scores(sums, frames, np.array(owners), labels, _clip_means(velocities))


def _root_relative(clip: Clip, prediction, protocol: Protocol) -> np.ndarray:
  """Prediction and ground truth [2, T, J, 3], in the protocol's scored joints, root at zero."""
  assert clip.joints_3d is not None  # `check` came first
  pair = np.stack([np.asarray(prediction, np.float32), clip.joints_3d])
  pair = np.where(clip.valid[:, None, None], pair, 0)  # NaN is allowed where nothing is scored
  mapped = joint_map(clip, protocol)
  skeleton = clip.skeleton if mapped is None else mapped.target
  pair = pair if mapped is None else mapped(pair)
  pair = pair - pair[:, :, skeleton.root : skeleton.root + 1]
  return pair[:, :, [skeleton.index(n) for n in protocol.scored]] if protocol.scored else pair


@jax.jit
def _statistics(predicted, target):
  """[n, J, 3] twice -> [n, A, S, J]: error, PCK and AUC of each joint under each alignment."""
  poses = [predicted, metrics.scale_align(predicted, target), metrics.procrustes_align(predicted, target)]
  # A joint alone, [n, A, J, 1, 3], makes a per-frame metric a per-joint one.
  predicted, target = jnp.stack(poses, 1)[..., None, :], jnp.stack([target] * len(poses), 1)[..., None, :]
  return jnp.stack([f(predicted, target) for f in (metrics.mpjpe, metrics.pck, metrics.auc)], 2)


_mpjpe = jax.jit(metrics.mpjpe)


def _cell_sums(pair: np.ndarray, cell: np.ndarray, number: int) -> np.ndarray:
  order = np.argsort(cell, kind="stable")
  sums, done = np.zeros((number, len(ALIGNMENTS), len(STATISTICS), pair.shape[2])), 0
  for values in _chunks(_statistics, pair, order):
    ids = cell[order[done : done + len(values)]]
    starts = np.flatnonzero(np.diff(ids, prepend=-1))
    sums[ids[starts]] += np.add.reduceat(values.astype(np.float64), starts, axis=0)
    done += len(values)
  return sums * _UNITS[:, None]


def _clip_means(differences: Sequence[np.ndarray]) -> np.ndarray:
  """Mean over a clip's differences [2, n, J, 3] of their error, mm per frame; NaN where n = 0."""
  lengths = [d.shape[1] for d in differences]
  pair = np.concatenate(differences, 1)
  values = np.concatenate([*_chunks(_mpjpe, pair, np.arange(pair.shape[1])), np.zeros(0)]).astype(np.float64)
  parts = np.split(values, np.cumsum(lengths)[:-1])
  return np.array([1000 * part.mean() if len(part) else np.nan for part in parts])


def _chunks(function, pair: np.ndarray, order: np.ndarray) -> Iterator[np.ndarray]:
  """`function` of frames in the given order, chunk by chunk; the last chunk is filled up with its own last frame."""
  for start in range(0, len(order), _CHUNK):
    chosen = order[np.minimum(np.arange(start, start + _CHUNK), len(order) - 1)]
    yield np.asarray(function(pair[0, chosen], pair[1, chosen]))[: len(order) - start]
