"""Keypoints one frame at a time, as a camera gives them: each frame's poses at once, people learnt on the way."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from jaxpose import evaluate, lifting, placing, smoothing
from jaxpose import skeleton as skeletons
from jaxpose.adapt.adapter import Adapter
from jaxpose.codec import Codec
from jaxpose.data import jitter
from jaxpose.experiment import Trained
from jaxpose.geometry.camera import Camera
from jaxpose.graphs import graph as graphs
from jaxpose.graphs.lift import flipped
from jaxpose.keypoints.source import LARGEST
from jaxpose.keypoints.tracks import Status, Tracks
from jaxpose.skeleton import Skeleton

ADAPT = ("none", "vanilla", "online")
Step = Callable[[Any, dict[str, Any]], tuple[Any, Any]]  # (state, batch of a frame) -> (state, pose [J, 3])


class Frame(NamedTuple):
  """The poses of a frame, with the axes of its keypoints: of N people where these had such.

  positions: float32 [(N,) J, 3], metres, relative to the root, camera axes; NaN where nobody is. raw: before smoothing.
  places: float32 [(N,) 3], metres, camera axes, where the root of `raw` is. status: uint8 [(N,) J], SEEN or MISSING.
  """

  positions: np.ndarray
  raw: np.ndarray
  places: np.ndarray
  status: np.ndarray


def stream(
  trained: Trained,
  *,
  image_size: tuple[int, int],
  joints: str,
  fps: float | int,
  threshold: float | int,
  adapt: str,
  camera: Camera | None,
  smooth: bool,
) -> Callable[..., Frame]:
  """lift(points [K, 2] or [N, K, 2], confidence=None, ids=None) -> Frame: see `PoseLifter.stream`."""
  source, target = skeletons.get(joints), trained.codec.skeleton
  camera, _ = placing.chosen_camera(camera, image_size, "stream")
  start, step = _step(trained, adapt, fps)
  trusted = lifting.trusted(source, target)
  weight = np.where(trusted | (not trained.config.augment.detector), 1, 0).astype(np.float32)
  if adapt != "none":
    weight = weight * lifting.explained(source, target)
  cameras = jax.tree.map(lambda x: jnp.asarray(x)[None], camera)
  states: dict[int, Any] = {}
  recent: dict[int, list[tuple[np.ndarray, np.ndarray]]] = {}  # keypoints and confidence, of who was there just now
  steady = _smoother(fps)

  def one(person: int, n: int, tracks: Tracks) -> tuple[np.ndarray, np.ndarray]:
    keypoints, confidence = np.nan_to_num(tracks.keypoints[:, n]), tracks.confidence[:, n] * weight
    batch = {"keypoints_2d": keypoints[None], "confidence": confidence[None], "camera": cameras}
    if adapt != "none":
      recent[person] = [*recent.get(person, ()), (keypoints[0], confidence[0])][-jitter.MEMORY - 2 :]
      differences = jitter.tremble(*(np.stack(x) for x in zip(*recent[person])))
      batch["noise"] = np.full((1, 1), jitter.level(differences), np.float32)
    state, pose = step(states.get(person, start), batch)
    if adapt == "online":
      states[person] = state
    raw = np.asarray(pose)
    return raw, placing.place(raw[None, None], tracks.person(tracks.ids[n]), trusted, camera)[0, 0]

  def lift(points: ArrayLike, confidence: ArrayLike | None = None, ids: Sequence[int] | None = None) -> Frame:
    points = np.asarray(points, np.float32)
    tracks = lifting.mapped_to(_one_frame(points, confidence, ids, source, threshold), target)
    people = len(tracks.ids)
    raw, places = np.full((people, target.num_joints, 3), np.nan, np.float32), np.full((people, 3), np.nan, np.float32)
    there = lifting.enough(tracks)[0]
    for n in np.flatnonzero(there):
      raw[n], places[n] = one(tracks.ids[n], int(n), tracks)
    for person in set(recent) - {tracks.ids[n] for n in np.flatnonzero(there)}:
      del recent[person]
    positions = steady(tracks.ids, raw) if smooth else raw
    frame = Frame(positions, raw, places, tracks.status[0])
    return frame if points.ndim == 3 else Frame(*(x[0] for x in frame))

  standing = np.linspace([0.4, 0.2], [0.6, 0.8], source.num_joints) * image_size
  one(0, 0, lifting.mapped_to(_one_frame(standing.astype(np.float32), None, None, source, 0.0), target))
  states.clear(), recent.clear()  # that was compiled now, and not while a first frame waits
  return lift


def _smoother(fps: float | int) -> Callable[[Sequence[int], np.ndarray], np.ndarray]:
  """One-Euro for people [N, J, 3] by their ids; who is not in a frame grows older by it."""
  filters: dict[int, smoothing.OneEuro] = {}

  def smooth(ids: Sequence[int], poses: np.ndarray) -> np.ndarray:
    begin, nobody = smoothing.one_euro_start(poses.shape[1:]), np.full(poses.shape[1:], np.nan, np.float32)
    given = dict(zip(ids, poses))
    smoothed = {}
    for person in {**filters, **given}:
      last = filters.get(person, begin)
      filters[person], smoothed[person] = smoothing.one_euro(last, given.get(person, nobody), fps)
    return np.stack([smoothed[person] for person in ids]) if ids else poses

  return smooth


def _step(trained: Trained, adapt: str, fps: float | int) -> tuple[Any, Step]:
  """What a person begins with, and how a frame of theirs is lifted."""
  if adapt not in ADAPT:
    raise ValueError(f"adapt={adapt!r}; a stream takes one of {', '.join(ADAPT)}: the others see all frames first")
  if trained.config.window > 1:
    window = trained.config.window
    raise ValueError(f"this run lifts clips of {window} frames; a stream needs one of single frames, as cmu_frame")
  if not 0 < fps < float("inf"):
    raise ValueError(f"fps={fps}; the frame rate is a positive number of frames a second")
  method, codec, variables = trained.method, trained.codec, jax.device_put(trained.variables)
  if adapt == "none":
    graph = flipped(method.graphs["lift"])

    def plain(state, batch):
      return state, np.asarray(graphs.call(graph, variables, **graphs.arrays_of(batch))["positions"])[0, 0]

    return (), plain
  from jaxpose import adaptation, runs  # here alone: what adapts takes a second to import

  setting = runs.RECOMMENDED[adapt]
  adapter, known = adaptation.build(trained, setting), adaptation.known(trained, setting, ["somebody"])
  start = adapter.init(variables, jax.tree.map(lambda x: x[0], known))
  fresh = jnp.float32(min(adaptation.PER_SECOND / fps, 1.0))
  return start, lambda state, batch: _adapted(variables, state, batch, fresh, adapter=adapter, codec=codec)


@functools.partial(jax.jit, static_argnames=("adapter", "codec"))
def _adapted(variables, state, batch, fresh, *, adapter: Adapter, codec: Codec):
  """The state after one more frame, and its pose [J, 3] by that state, as `adaptation.adapt_clips` has them."""
  seen = {**evaluate.encode_both(batch, codec=codec), **batch, "valid": jnp.ones((1, 1), bool), "fresh": fresh[None]}
  key = jax.random.key(0)
  state = adapter.adapt(variables, state, jax.tree.map(lambda x: x[0], seen), key)
  outputs = adapter.predict(variables, state, seen, key)
  return state, evaluate.decode_both(outputs, batch, codec=codec)[0, 0]


def _one_frame(
  points: np.ndarray, confidence: ArrayLike | None, ids: Sequence[int] | None, source: Skeleton, threshold: float | int
) -> Tracks:
  """A frame as tracks of its people, numbered where nothing says who they are. Raises ValueError for other shapes."""
  count = source.num_joints
  if points.ndim not in (2, 3) or points.shape[-2:] != (count, 2):
    raise ValueError(
      f"points have shape {points.shape}; {source.name} takes [{count}, 2] or [N, {count}, 2] a frame, joints= another"
    )
  points = points.reshape(-1, count, 2)
  people = tuple(range(1, len(points) + 1)) if ids is None else tuple(int(i) for i in ids)
  if len(people) != len(points):
    raise ValueError(f"{len(people)} ids for {len(points)} people")
  sure = np.ones(points.shape[:2], np.float32) if confidence is None else np.asarray(confidence, np.float32)
  if sure.size != points[..., 0].size:
    raise ValueError(f"confidence has shape {sure.shape}; expected {points.shape[:-1]}")
  sure = sure.reshape(points.shape[:2])
  if (np.abs(points) > LARGEST).any():
    raise ValueError(f"a coordinate of {np.nanmax(np.abs(points)):g} is no pixel; give NaN for a missing joint")
  there = np.isfinite(points).all(-1) & (sure >= threshold)
  status = np.where(there, Status.SEEN, Status.MISSING).astype(np.uint8)
  return Tracks(
    np.where(there[..., None], points, np.nan)[None], np.where(there, np.clip(sure, 0, 1), 0)[None], status[None],
    people, np.zeros(1, np.int64), source, source="stream",
  )  # fmt: skip
