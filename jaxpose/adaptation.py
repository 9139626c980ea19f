"""Adapting a trained run to clips: a setting becomes an adapter, clips become instances and streams; one call."""

import dataclasses
import functools
import json
import zlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, cast

import jax
import numpy as np
import optax
from absl import logging
from jax.sharding import NamedSharding

from jaxpose import checkpoint, distributed, progress
from jaxpose import evaluate as evaluation
from jaxpose.adapt import adapter as adapters
from jaxpose.adapt import chunk as chunks
from jaxpose.adapt import first_order, moments, person, saved, second_order
from jaxpose.adapt.adapter import Adapter
from jaxpose.adapt.settings import MODES, AdaptConfig
from jaxpose.data import jitter
from jaxpose.data.clip import Clip
from jaxpose.experiment import Trained

ROUNDS = 3  # of mode video: two that learn the bones, one that predicts
LENGTH = 64  # groups of a stream between two looks of the host
TOGETHER = 4  # first-order instances at once on a CPU: faster than 1, and than 8, whose weights leave the caches
SOLVED = 64  # second-order instances at once, on a CPU: they share the weights
DOUBT = 2.0  # nats, from which on a stream's person is another
MISFIT, MANY = 2.0, 0.1  # frames that fit worse than this, in their noise, are not explained; a share to warn of
SAVED = 10_000  # instances of a stream between two saves of a call that is not over
PER_SECOND = 1.0  # independent looks at a person's bones; frames nearer in time see the same pose


class Part(NamedTuple):
  """Instances that are some of more: ids, their places among all of these, int [N]; count, how many all are."""

  ids: np.ndarray
  count: int


def objective_name(trained: Trained, asked: str) -> str:
  """What first-order steps descend on: the objective asked for, or ISO's own; a ValueError lists what there is."""
  available = trained.method.objectives
  name = asked or str(trained.config.method_options.get("objective", "cycle"))
  if name not in available:
    what = f"no objective {name!r} for this model; it can be adapted by {', '.join(available)}"
    raise ValueError(f"{what}, or by optimizer gauss_newton (--recommended), which needs no objective")
  return name


def build(trained: Trained, config: AdaptConfig) -> Adapter:
  """The adapter of a setting; the same object for the same run and setting, so that what was compiled serves again.

  For gauss_newton the numbers are data (`known`), and all runs of an architecture share one.
  """
  if config.optimizer == "gauss_newton":
    lifter: Any = trained.method.lifter  # a flax module: hashable, as its fields are
    return second_order.adapter(lifter, trained.codec, trained.config.window)
  key = dataclasses.replace(config.resolved(), chunk=None, seed=0).key()
  if key not in trained.adapters:
    trained.adapters[key] = _first_order(trained, config.resolved())
  return trained.adapters[key]


def _first_order(trained: Trained, config: AdaptConfig) -> Adapter:
  make = {"adam": moments.adam, "sgd": optax.sgd}[config.optimizer]
  return first_order.adapter(
    cast(first_order.Infer, trained.method.infer),
    trained.method.objectives[objective_name(trained, config.objective)],
    make(cast(float, config.learning_rate)),
    num_steps=cast(int, config.num_steps),
    copies=config.copies,
    groups=config.groups,
    keep_moments=config.carry_optimizer,
    carried=MODES[config.mode].streams,
  )


def known(trained: Trained, config: AdaptConfig, subjects: Sequence[str]) -> second_order.Known | None:
  """What is known of these people before anything is seen, stacked, for gauss_newton; None where nothing is asked."""
  if config.optimizer != "gauss_newton":
    return None
  for name in ("bone_lengths_m", "sensitivity"):
    if name not in trained.statistics:
      raise ValueError(
        f"this run's checkpoint does not say {name!r}, which gauss_newton needs of the source: it was converted, or "
        "trained by an older version. Train or fine-tune with this one, or adapt with optimizer adam"
      )
  skeleton = trained.codec.skeleton
  source = person.prior(skeleton, np.asarray(trained.statistics["bone_lengths_m"], np.float64))
  stranger = person.know(source, skeleton, config.bones.get("", {}), config.height)
  people = [person.know(stranger, skeleton, config.bones[s]) if s in config.bones else stranger for s in subjects]
  numbers = dict(tau=config.prior_m / trained.statistics["sensitivity"], prior_m=config.prior_m)
  numbers["doubt"] = DOUBT if config.mode == "online" else np.inf
  scalars = {name: np.full(len(people), value, np.float32) for name, value in numbers.items()}
  beliefs = (jax.tree.map(lambda *x: np.stack(x), *b) for b in (people, [stranger] * len(people)))
  return second_order.Known(*beliefs, **scalars)


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
  unfinished: str = "",
  devices: Sequence[jax.Device] | None = None,
  factors: Sequence[np.ndarray] | None = None,
  part: Part | None = None,
) -> tuple[list[np.ndarray], dict[str, float]]:
  """Adapts the model to the clips, without their labels: root-relative metres [T, J, 3] a clip, and how it went.

  Every window with a valid frame is an instance, predicted with and without mirroring; other frames are NaN. Streams
  (`stream_of`) begin at the source. How it went: "instances"; with saved streams "instances_before", what these had
  seen; with gauss_newton "unexplained", a share of the frames.

  state_dir: where streams of the online modes, by their names, are saved at the end; those that are there already go
  on. unfinished: a folder in which they are saved every `SAVED` instances, with what was predicted: killed, the same
  call goes on from there. devices: of this process, all by default; they move a number only by rounding. factors: as in
  `evaluate.cut`. part: the instances' places where the clips are some of more; they are then adapted as among all of
  these, in mode vanilla to the bit.
  """
  if config.mode == "none":
    raise ValueError("mode 'none' adapts nothing; call evaluate")
  check_adaptable(trained, config)
  config = config.resolved()
  mode, overlap = MODES[config.mode], trained.config.overlap
  if state_dir and (not mode.streams or config.mode == "video"):
    raise ValueError(f"state_dir={state_dir!r} keeps streams; mode {config.mode!r} has none, use an online mode")
  rows = evaluation.cut(clips, trained.config.window, valid_only=True, factors=factors, overlap=overlap)
  part = part or Part(np.arange(len(rows.clip)), len(rows.clip))
  instances = _instances(trained, config, clips, rows, part.count)
  names, stream = stream_of(clips, rows.clip, config.stream)
  subjects = [clips[int(rows.clip[np.argmax(stream == s)])].subject for s in range(len(names))]  # of each stream
  devices = jax.local_devices() if devices is None else list(devices)
  mesh = distributed.make_mesh(devices) if len(devices) > 1 else None
  sharding = distributed.over_data(mesh) if mesh else None
  if mesh:  # a checkpoint's weights are on one device
    everywhere = jax.device_put(trained.variables, distributed.replicated(mesh))
    trained = dataclasses.replace(trained, variables=everywhere)
  facts = {"instances": float(len(rows.clip))}
  total = len(rows.clip) * (ROUNDS if config.mode == "video" else 1)
  with progress.bar(total, "instance", config.mode, enabled=show_progress) as bar:
    options = dict(sharding=sharding, progress=bar.update)
    if config.mode == "video":
      outputs = _video(trained, config, instances, stream, subjects, part, options)
    elif mode.streams:
      outputs, before = _online(trained, config, instances, names, stream, subjects, state_dir, unfinished, options)
      facts |= {"instances_before": float(before)} if state_dir else {}
    else:
      starts = known(trained, config, [clips[c].subject for c in rows.clip])
      outputs, _ = _alone(trained, config, instances, starts, part, options)
  decode = functools.partial(evaluation.decode_both, codec=trained.codec)
  poses = evaluation.in_batches(lambda t: decode(*t), (outputs, rows.batch), 4096, part.count)
  if config.optimizer == "gauss_newton":
    facts["unexplained"] = _unexplained(trained, config, poses, instances)
  return evaluation.scatter(clips, rows, poses, overlap), facts


def check_adaptable(trained: Trained, config: AdaptConfig) -> None:
  """Raises a ValueError for a method whose inference no adapter of this setting knows."""
  method = trained.method
  if (method.lifter if config.optimizer == "gauss_newton" else method.infer) is None:
    raise ValueError(
      f"method {method.name!r} is more than one pass of a network at inference, which no adapter changes; it offers "
      f"the graphs {', '.join(method.graphs)} as they are"
    )


def _unexplained(trained: Trained, config: AdaptConfig, poses: np.ndarray, instances: dict[str, Any]) -> float:
  """The share of frames that no pose near the lifter's explains, with a warning where they are many."""
  seen = {
    name: x for name, x in instances.items() if name in ("keypoints_2d", "confidence", "camera", "present", "noise")
  }
  rate = functools.partial(second_order.misfit, codec=trained.codec)
  errors = evaluation.in_batches(lambda t: rate(*t), (poses, seen), 4096)
  share = float(np.mean(errors > MISFIT))
  if share > MANY:
    logging.warning(
      f"in {100 * share:.0f} % of the frames no pose near the model's own explains the keypoints: that adaptation "
      "helps cannot be promised. Look at the joints' order, left and right, the camera's focal length and distortion, "
      f"or give a larger noise (typically {np.median(instances['noise']):.2g} here)"
    )
  return share


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


def _instances(trained: Trained, config: AdaptConfig, clips, rows: evaluation.Rows, whole: int) -> dict[str, Any]:
  """What adapters take of each window: network inputs, and what was seen and by which camera (`second_order`)."""
  codec, batch = trained.codec, rows.batch
  encoded = evaluation.in_batches(lambda b: evaluation.encode_both(b, codec=codec), batch, 4096, whole)
  seen = {name: batch[name] for name in ("keypoints_2d", "confidence", "camera", "present") if name in batch}
  fresh = np.array([min(PER_SECOND / clip.fps, 1.0) for clip in clips], np.float32)
  valid = np.concatenate([clip.valid for clip in clips])[rows.frame]
  if config.optimizer != "gauss_newton":
    return {**encoded, **seen}
  noise = np.concatenate([jitter.noise(c) if config.noise is None else np.full(len(c), config.noise) for c in clips])
  return {**encoded, **seen, "valid": valid, "noise": np.float32(noise[rows.frame]), "fresh": fresh[rows.clip]}


def _pick(tree: Any, rows: Any) -> Any:
  return jax.tree.map(lambda x: x[rows], tree)


def _alone(trained: Trained, config: AdaptConfig, instances, starts, part: Part, options):
  """Every instance by itself, from what is known of each: outputs by row, and what is believed afterwards."""
  chunk, together = _sizes(trained, config, instances, starts, part.count, options["sharding"])
  keep = adapters.nothing if starts is None else second_order.belief
  sizes = dict(chunk=chunk, together=together, starts=starts, keep=keep, whole=part.count)
  made, key = build(trained, config), jax.random.key(config.seed)
  return adapters.alone(made, trained.variables, instances, part.ids, key, **sizes, **options)


def _video(trained: Trained, config: AdaptConfig, instances, stream, subjects: Sequence[str], part: Part, options):
  """Rounds over all instances: what every frame says of its person's bones is added up, and known in the next round."""
  begin = cast(second_order.Known, known(trained, config, subjects))
  first = believed = begin.belief
  for _ in range(ROUNDS - 1):
    starts = _pick(begin._replace(belief=believed), stream)
    _, after = _alone(trained, config, instances, starts, part, options)
    learnt = jax.tree.map(lambda a, b: _sums(a - b, stream, len(subjects)), after, starts.belief)
    believed = jax.tree.map(lambda a, b: a + b, first, learnt)
  return _alone(trained, config, instances, _pick(begin._replace(belief=believed), stream), part, options)[0]


def _sums(values: np.ndarray, stream: np.ndarray, count: int) -> np.ndarray:
  total = np.zeros((count, *values.shape[1:]), values.dtype)
  np.add.at(total, stream, values)
  return total


def _online(trained: Trained, config: AdaptConfig, instances, names, stream, subjects, state_dir, unfinished, options):
  """Streams of similar length side by side: outputs by row, and how many instances they had seen before."""
  made, variables, key = build(trained, config), trained.variables, jax.random.key(config.seed)
  start, states, outputs = known(trained, config, subjects), {}, {}
  like = made.init(variables, _pick(start, 0)), 0
  described, call = {}, {}
  if state_dir or unfinished:
    described = {**fingerprint(trained, config), "model": checkpoint.digest(variables)}
    saved.names([names[s] for s in np.unique(stream)])
  if state_dir:
    states, _ = saved.load(state_dir, like, described)
  before = {name: int(seen) for name, (_, seen) in states.items()}
  members = sorted((np.flatnonzero(stream == s) for s in np.unique(stream)), key=len, reverse=True)
  at_once, together = _sizes(trained, config, instances, start, len(members), options["sharding"])
  if unfinished:
    call = described | {"instances": checkpoint.digest((instances, stream, before))}
    done, outputs = saved.load(unfinished, like, call)
    states |= done
  finished = outputs.setdefault("", np.zeros(len(stream), bool))
  options["progress"](int(finished.sum()))
  for rows in _pieces(members, at_once, SAVED if unfinished else len(stream)):
    if finished[rows[0][0]]:
      continue
    called = [names[stream[r[0]]] for r in rows]
    begins = [states.get(n) or (made.init(variables, _pick(start, stream[r[0]])), 0) for n, r in zip(called, rows)]
    results, ends = adapters.online(
      made,
      variables,
      [_pick(instances, r) for r in rows],
      # A stream's keys depend on its name and the place in it, and not on what else is adapted or when it was cut.
      [_first_id(n) + seen + np.arange(len(r)) for n, r, (_, seen) in zip(called, rows, begins)],
      key,
      every=config.every or 1,
      starts=begins,
      side_by_side=together > 1,
      length=LENGTH,
      **options,
    )
    for r, result in zip(rows, results):
      finished[r] = True
      for name, values in result.items():
        outputs.setdefault(name, np.zeros((len(stream), *values.shape[1:]), values.dtype))[r] = values
    states |= {n: (end, seen + len(r)) for n, end, r, (_, seen) in zip(called, ends, rows, begins)}
    over = {names[s] for s in np.unique(stream)} - {names[s] for s in np.unique(stream[~finished])}
    states = {n: state for n, state in states.items() if state_dir or n not in over}
    if unfinished:
      saved.save(unfinished, states, call, outputs)
  if state_dir:
    saved.save(state_dir, states, described)
  return {n: x for n, x in outputs.items() if n}, sum(before.get(names[s], 0) for s in np.unique(stream))


def _pieces(members: Sequence[np.ndarray], at_once: int, every: int) -> Iterator[list[np.ndarray]]:
  """The rows of streams that go side by side, `every` of each at a time."""
  for first in range(0, len(members), at_once):
    together = members[first : first + at_once]
    for start in range(0, len(together[0]), every):
      yield [r[start : start + every] for r in together if len(r) > start]


def _sizes(trained: Trained, config: AdaptConfig, instances, starts, count: int, sharding: NamedSharding | None):
  """(chunk, together): how many instances or streams a dispatch holds, and how many of them one program batches."""
  devices, second = 1 if sharding is None else sharding.num_devices, config.optimizer == "gauss_newton"
  streams, cpu = MODES[config.mode].streams and config.mode != "video", jax.default_backend() == "cpu"
  if cpu:
    chunk = 16 if streams else SOLVED
    together = chunk if second else TOGETHER if config.num_steps == 1 and not streams else 1
  else:
    chunk = chunks.automatic(build(trained, config), trained.variables, _pick(instances, 0), _pick(starts, 0))
    together = chunk
  chunk = chunk if config.chunk is None else -(-config.chunk // devices)
  while chunk > 1 and chunk // 2 * devices >= count:
    chunk //= 2
  return chunk * devices, min(together, chunk)


def _first_id(name: str) -> int:
  """Where a stream's instance ids begin: far apart for different names, and room for a billion instances."""
  return zlib.crc32(name.encode()) % 2**30
