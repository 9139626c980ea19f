"""Adapting a trained run to clips: a setting becomes an adapter, clips become instances and streams; one call."""

import dataclasses
import json
import zlib
from collections.abc import Sequence
from typing import Any, cast

import jax
import numpy as np
import optax
from jax.sharding import NamedSharding

from jaxpose import distributed, progress
from jaxpose import evaluate as evaluation
from jaxpose.adapt import adapter as adapters
from jaxpose.adapt import chunk as chunks
from jaxpose.adapt import first_order, moments, person, saved, second_order
from jaxpose.adapt.adapter import Adapter
from jaxpose.adapt.settings import MODES, AdaptConfig
from jaxpose.data.clip import Clip
from jaxpose.experiment import Trained

ROUNDS = 3  # of mode video: two that learn the bones, one that predicts
LENGTH = 64  # groups of a stream between two looks of the host
TOGETHER = (
  4  # first-order instances at once on a CPU: a quarter faster than 1, and than 8, whose weights leave the caches
)
SOLVED = 64  # second-order instances at once, on a CPU: they share the weights
PER_SECOND = 1.0  # independent looks at a person's bones; frames nearer in time see the same pose


def objective_name(trained: Trained, asked: str) -> str:
  """What first-order steps descend on: the objective asked for, or ISO's own; a ValueError lists what there is."""
  available = trained.method.objectives
  name = asked or str(trained.config.method_options.get("objective", "cycle"))
  if name not in available:
    what = f"no objective {name!r} for this model; it can be adapted by {', '.join(available)}"
    raise ValueError(f"{what}, or by optimizer gauss_newton (--recommended), which needs no objective")
  return name


def build(trained: Trained, config: AdaptConfig) -> Adapter:
  """The adapter of a setting: all of the setting that moves a number, but for who is known and the seed.

  The same object for the same run and setting, so that what was compiled for it serves again.
  """
  key = dataclasses.replace(config.resolved(), bones={}, chunk=None, seed=0).key()
  if key not in trained.adapters:
    trained.adapters[key] = _build(trained, config.resolved())
  return trained.adapters[key]


def _build(trained: Trained, config: AdaptConfig) -> Adapter:
  if config.optimizer != "gauss_newton":
    make = {"adam": moments.adam, "sgd": optax.sgd}[config.optimizer]
    return first_order.adapter(
      trained.method.infer,
      trained.method.objectives[objective_name(trained, config.objective)],
      make(cast(float, config.learning_rate)),
      num_steps=cast(int, config.num_steps),
      copies=config.copies,
      groups=config.groups,
      keep_moments=config.carry_optimizer,
      carried=MODES[config.mode].streams,
    )
  for name in ("bone_lengths_m", "sensitivity"):
    if name not in trained.statistics:
      raise ValueError(
        f"this run's checkpoint does not say {name!r}, which gauss_newton needs of the source: it was converted, or "
        "trained by an older version. Train or fine-tune with this one, or adapt with optimizer adam"
      )
  return second_order.adapter(
    trained.method.lifter,
    trained.codec,
    _stranger(trained, config.height),
    tau=config.prior_m / trained.statistics["sensitivity"],
    prior_m=config.prior_m,
    noise=config.noise,
    window=trained.config.window,
  )


def _stranger(trained: Trained, height: float | None = None) -> person.Belief:
  lengths = np.asarray(trained.statistics["bone_lengths_m"], np.float64)
  belief = person.prior(trained.codec.skeleton, lengths)
  return person.know(belief, trained.codec.skeleton, {}, height)


def fingerprint(trained: Trained, config: AdaptConfig | None) -> dict[str, Any]:
  """Every setting that moves a number; {"mode": "none"} where nothing is adapted."""
  if config is None or config.mode == "none":
    return {"mode": "none"}
  settings: dict[str, Any] = json.loads(config.resolved().key())
  if config.optimizer != "gauss_newton":
    settings["objective"] = objective_name(trained, config.objective)
  settings.pop("chunk")  # moves no number
  return settings


def adapt_clips(
  trained: Trained,
  clips: Sequence[Clip],
  config: AdaptConfig,
  show_progress: bool = True,
  *,
  state_dir: str = "",
  devices: Sequence[jax.Device] | None = None,
  factors: Sequence[np.ndarray] | None = None,
) -> tuple[list[np.ndarray], dict[str, float]]:
  """Adapts the model to the clips, without their labels: root-relative metres [T, J, 3] a clip, and how it went.

  Every window with a valid frame is an instance, predicted with and without mirroring; other frames are NaN. Streams
  (`stream_of`) begin at the source. How it went: "instances"; with saved streams "instances_before", what these had
  seen.

  state_dir: where streams of the online modes, by their names, are saved at the end; those that are there already go
  on. devices: of this process, all by default; they move a number only by rounding. factors: as in `evaluate.cut`.
  """
  if config.mode == "none":
    raise ValueError("mode 'none' adapts nothing; call evaluate")
  config = config.resolved()
  mode, overlap = MODES[config.mode], trained.config.overlap
  if state_dir and (not mode.streams or config.mode == "video"):
    raise ValueError(f"state_dir={state_dir!r} keeps streams; mode {config.mode!r} has none, use an online mode")
  rows = evaluation.cut(clips, trained.config.window, valid_only=True, factors=factors, overlap=overlap)
  instances = _instances(trained, clips, rows)
  names, stream = stream_of(clips, rows.clip, config.stream)
  subjects = [clips[int(rows.clip[np.argmax(stream == s)])].subject for s in range(len(names))]  # of each stream
  devices = jax.local_devices() if devices is None else list(devices)
  sharding = distributed.over_data(distributed.make_mesh(devices)) if len(devices) > 1 else None
  facts = {"instances": float(len(rows.clip))}
  total = len(rows.clip) * (ROUNDS if config.mode == "video" else 1)
  with progress.bar(total, "instance", config.mode, enabled=show_progress) as bar:
    options = dict(sharding=sharding, progress=bar.update)
    if config.mode == "video":
      outputs = _video(trained, config, instances, stream, subjects, options)
    elif mode.streams:
      outputs, before = _online(trained, config, instances, names, stream, subjects, state_dir, options)
      facts |= {"instances_before": float(before)} if state_dir else {}
    else:
      outputs = _vanilla(trained, config, instances, [clips[c].subject for c in rows.clip], options)
  decode = evaluation.decode_both
  poses = evaluation.in_batches(lambda t: decode(*t, codec=trained.codec), (outputs, rows.batch), 4096)
  return evaluation.scatter(clips, rows, poses, overlap), facts


def stream_of(clips: Sequence[Clip], clip: np.ndarray, kind: str) -> tuple[list[str], np.ndarray]:
  """(names, stream): the streams' names, and which one each row belongs to, from the clip it is of, int [N].

  kind "clip": every clip is a stream, named subject/sequence/camera_id. "camera": the clips of a subject seen by one
  camera follow one another in a stream, subject/camera_id. "subject": all clips of a subject do; where the data does
  not say who it is, every clip is a stream.
  """
  if kind == "clip":
    return [c.name for c in clips], clip
  of = [f"{c.subject}/{c.camera_id}" if kind == "camera" else c.subject or c.name for c in clips]
  names = list(dict.fromkeys(of))
  return names, np.array([names.index(name) for name in of])[clip]


def _instances(trained: Trained, clips: Sequence[Clip], rows: evaluation.Rows) -> dict[str, Any]:
  """What adapters take of each window: network inputs, and what was seen and by which camera (`second_order`)."""
  codec, batch = trained.codec, rows.batch
  encoded = evaluation.in_batches(lambda b: evaluation.encode_both(b, codec=codec), batch, 4096)
  seen = {name: batch[name] for name in ("keypoints_2d", "confidence", "camera", "present") if name in batch}
  fresh = np.array([min(PER_SECOND / clip.fps, 1.0) for clip in clips], np.float32)
  return {**encoded, **seen, "fresh": fresh[rows.clip]}


def _pick(tree: Any, rows: np.ndarray) -> Any:
  return jax.tree.map(lambda x: x[rows], tree)


def _known(trained: Trained, config: AdaptConfig, subjects: Sequence[str]) -> list[person.Belief] | None:
  """What is known of these people beforehand; None where no bones are given."""
  if not config.bones:
    return None
  stranger, skeleton = _stranger(trained, config.height), trained.codec.skeleton
  told = {name: person.know(stranger, skeleton, lengths) for name, lengths in config.bones.items()}
  return [told.get(s, told.get("", stranger)) for s in subjects]


def _alone(trained: Trained, config: AdaptConfig, instances, options, starts=None, keep=adapters.nothing):
  count = len(instances["inputs"])
  chunk, together = _sizes(trained, config, instances, count, options["sharding"])
  key, ids = jax.random.key(config.seed), np.arange(count)
  sizes = dict(chunk=chunk, together=together)
  made = build(trained, config)
  return adapters.alone(made, trained.variables, instances, ids, key, starts=starts, keep=keep, **sizes, **options)


def _vanilla(trained: Trained, config: AdaptConfig, instances, subjects: Sequence[str], options):
  known = _known(trained, config, subjects)
  starts = None if known is None else jax.tree.map(lambda *x: np.stack(x), *known)
  return _alone(trained, config, instances, options, starts)[0]


def _video(trained: Trained, config: AdaptConfig, instances, stream: np.ndarray, subjects: Sequence[str], options):
  """Rounds over all instances: what every frame says of its person's bones is added up, and known in the next round."""
  count = int(stream.max()) + 1
  first = _known(trained, config, subjects) or [_stranger(trained, config.height)] * count
  known = first = jax.tree.map(lambda *x: np.stack(x), *first)
  for _ in range(ROUNDS - 1):
    starts = _pick(known, stream)
    _, after = _alone(trained, config, instances, options, starts, keep=second_order.belief)
    learnt = jax.tree.map(lambda a, b: a - b, after, starts)
    known = jax.tree.map(lambda k, x: k + _sums(x, stream, count), first, learnt)
  return _alone(trained, config, instances, options, _pick(known, stream), keep=second_order.belief)[0]


def _sums(values: np.ndarray, stream: np.ndarray, count: int) -> np.ndarray:
  total = np.zeros((count, *values.shape[1:]), values.dtype)
  np.add.at(total, stream, values)
  return total


def _online(trained: Trained, config: AdaptConfig, instances, names, stream, subjects, state_dir: str, options):
  """Streams of similar length side by side: outputs by row, and how many instances they had seen before."""
  made, variables, key = build(trained, config), trained.variables, jax.random.key(config.seed)
  known, states = _known(trained, config, subjects), {}
  described = {**fingerprint(trained, config), "model": saved.weights_digest(variables)} if state_dir else {}
  if state_dir:
    saved.names([names[s] for s in np.unique(stream)])
    states = saved.load(state_dir, (made.init(variables), 0), described)
  before = {name: int(seen) for name, (_, seen) in states.items()}
  members = sorted((np.flatnonzero(stream == s) for s in np.unique(stream)), key=len, reverse=True)
  at_once, together = _sizes(trained, config, instances, len(members), options["sharding"])
  every, outputs = config.every or 1, {}
  for first in range(0, len(members), at_once):
    rows = members[first : first + at_once]
    called = [names[stream[r[0]]] for r in rows]
    starts = [states.get(n) for n in called]
    if known is not None:
      begins = [made.init(variables, known[stream[r[0]]]) for r in rows]
      starts = [(begin, 0) if s is None else s for s, begin in zip(starts, begins)]
    results, ends = adapters.online(
      made,
      variables,
      [_pick(instances, r) for r in rows],
      # A stream's keys depend on its name and the place in it, and not on what else is adapted or when it was cut.
      [_first_id(n) + before.get(n, 0) + np.arange(len(r)) for n, r in zip(called, rows)],
      key,
      every=every,
      starts=starts,
      side_by_side=together > 1,
      length=LENGTH,
      **options,
    )
    states |= {n: (end, before.get(n, 0) + len(r)) for n, end, r in zip(called, ends, rows)} if state_dir else {}
    for r, result in zip(rows, results):
      for name, values in result.items():
        outputs.setdefault(name, np.zeros((len(stream), *values.shape[1:]), values.dtype))[r] = values
  if state_dir:
    saved.save(state_dir, states, described)
  return outputs, sum(before.get(names[s], 0) for s in np.unique(stream))


def _sizes(trained: Trained, config: AdaptConfig, instances, count: int, sharding: NamedSharding | None):
  """(chunk, together): how many instances or streams a dispatch holds, and how many of them one program batches."""
  devices, second = 1 if sharding is None else sharding.num_devices, config.optimizer == "gauss_newton"
  streams, cpu = MODES[config.mode].streams and config.mode != "video", jax.default_backend() == "cpu"
  if cpu:
    chunk = 16 if streams else SOLVED
    together = chunk if second else TOGETHER if config.num_steps == 1 and not streams else 1
  else:
    made = build(trained, config)
    one = jax.tree.map(lambda x: x[0], instances)
    chunk = chunks.automatic(made, trained.variables, one)
    together = chunk
  chunk = chunk if config.chunk is None else -(-config.chunk // devices)
  while chunk > 1 and chunk // 2 * devices >= count:
    chunk //= 2
  return chunk * devices, min(together, chunk)


def _first_id(name: str) -> int:
  """Where a stream's instance ids begin: far apart for different names, and room for a billion instances."""
  return zlib.crc32(name.encode()) % 2**30
