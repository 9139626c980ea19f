"""Adapting a trained run to clips: objectives by name, gates, streams that go on; one call for all of it."""

import dataclasses
import functools
import time
import zlib
from collections.abc import Sequence
from typing import Any, cast

import jax
import numpy as np
import optax
from jax.sharding import NamedSharding

from jaxpose import distributed, experiment, progress
from jaxpose import evaluate as evaluation
from jaxpose.adapt import (
  adapt,
  gate,
  gauss_newton,
  masked,
  moments,
  objectives,
  online,
  residuals,
  saved,
  structure,
  teacher,
  weighted,
)
from jaxpose.adapt import chunk as chunks
from jaxpose.adapt.gauss_newton import Solver
from jaxpose.adapt.settings import AdaptConfig
from jaxpose.data.clip import Clip
from jaxpose.experiment import Trained

GATE_INSTANCES = 2048  # of the source, to measure a gate's threshold on
ITERATIONS = 30  # of conjugate gradients in a Gauss-Newton step, for lifters that are not solved exactly


def default_objective(trained: Trained) -> str:
  """ISO's own objective for a model with a self-supervised head; else what needs none."""
  if "cycle" in trained.method.objectives:
    return str(trained.config.method_options.get("objective", "cycle"))
  return "reprojection+bone_lengths"


def available_objectives(trained: Trained) -> dict[str, objectives.Objective]:
  """Every objective that this run's variables can be adapted by, by name, with its own weights."""
  lifter, codec = trained.method.lifter, trained.codec
  available = dict(trained.method.objectives)
  if "bone_lengths" in trained.statistics:  # not in a run that was converted: its training set is unknown
    lengths = np.asarray(trained.statistics["bone_lengths"], np.float32)
    available["bone_lengths"] = objectives.bone_lengths(lifter, codec, lengths)
  if structure.bone_pairs(codec.skeleton)[0]:
    available["symmetry"] = structure.symmetry(lifter, codec.skeleton)
  available["smoothness"] = structure.smoothness(lifter)
  available["masked_joints"] = masked.masked_joints(lifter, codec)
  available["teacher"] = teacher.consistency(lifter)
  return available


def objective_factors(trained: Trained, text: str) -> dict[str, float]:
  """The names and factors of an objective's text, the default one's when empty; a ValueError for an unknown name."""
  factors, available = weighted.parse(text or default_objective(trained)), available_objectives(trained)
  for name in factors:
    if name not in available:
      raise ValueError(
        f"no objective {name!r} for this model; available are {', '.join(available)}, joined by '+', each with a "
        "factor where wanted: NAME*0.5"
      )
  return factors


def build_objective(trained: Trained, text: str) -> objectives.Objective:
  """The objective that `objective_factors` reads."""
  return _weigh(available_objectives(trained), objective_factors(trained, text))


def _weigh(available: dict[str, objectives.Objective], factors: dict[str, float]) -> objectives.Objective:
  name, factor = next(iter(factors.items()))
  if len(factors) == 1 and factor == 1:
    return available[name]
  return objectives.combine({n: (f, available[n]) for n, f in factors.items()})


def fingerprint(trained: Trained, config: AdaptConfig | None) -> dict[str, Any]:
  """Every setting that moves a number; {"mode": "none"} where nothing is adapted."""
  if config is None or config.mode == "none":
    return {"mode": "none"}
  settings: dict[str, Any] = dataclasses.asdict(config.resolved())
  settings["objective"] = weighted.write(objective_factors(trained, config.objective))
  settings["groups"] = list(config.groups)
  settings.pop("chunk")  # moves no number
  return settings


def source_clips(trained: Trained, data_dir: str) -> list[Clip]:
  """The run's validation set: what a gate knows the source by."""
  return experiment.load_clips(trained.config.validation, data_dir)


def adapt_clips(
  trained: Trained,
  clips: Sequence[Clip],
  config: AdaptConfig,
  show_progress: bool = True,
  *,
  source: Sequence[Clip] | None = None,
  state_dir: str = "",
  devices: Sequence[jax.Device] | None = None,
  factors: Sequence[np.ndarray] | None = None,
) -> tuple[list[np.ndarray], dict[str, float]]:
  """Adapts the model to the clips, without their labels: root-relative metres [T, J, 3] a clip, and how it went.

  Every window with a valid frame is an instance, predicted with and without mirroring; other frames are NaN. In online
  modes each stream (`stream_of`) begins at the source weights. How it went: "seconds" and
  "seconds_per_instance" without compilation, "instances"; with a gate "adapted_instances" and "gate_threshold"; with
  saved streams "instances_before", what these streams had seen.

  source: clips like those of training, for a gate's threshold. state_dir: where streams, by their names, are
  saved at the end; those that are there already go on. devices: of this process, all by default; they move a number
  only by rounding. factors: as in `evaluate.cut`.
  """
  settings = config.resolved()
  if settings.mode == "none":
    raise ValueError("mode 'none' adapts nothing; call evaluate")
  is_online = adapt.MODES[settings.mode].online
  if state_dir and not is_online:
    raise ValueError(f"state_dir={state_dir!r} keeps streams; mode {settings.mode!r} has none, use an online mode")
  overlap = trained.config.overlap
  rows = evaluation.cut(clips, trained.config.window, valid_only=True, factors=factors, overlap=overlap)
  encoded = _encode(trained, rows.batch)
  facts: dict[str, float] = {"instances": len(rows.clip)}
  spent, chosen = 0.0, None
  if settings.gate:
    limit, own, spent = _gate(trained, encoded["inputs"], settings, source)
    chosen = own > limit
    facts |= {"adapted_instances": int(chosen.sum()), "gate_threshold": limit}
  sharding = _sharding(devices)
  with progress.bar(len(rows.clip), "instance", settings.mode, enabled=show_progress) as bar:
    if is_online:
      names, stream = stream_of(clips, rows.clip, settings.stream)
      outputs, seconds, before = _online(trained, names, stream, encoded, settings, chosen, state_dir, sharding, bar)
      poses = _decode(trained, outputs, rows.batch)
      if state_dir:
        facts["instances_before"] = before
    else:
      poses, seconds = _vanilla(trained, rows.batch, encoded, settings, chosen, sharding, bar)
  seconds += spent
  return evaluation.scatter(clips, rows, poses, overlap), {
    "seconds_per_instance": seconds / len(rows.clip),
    "seconds": seconds,
    **facts,
  }


def stream_of(clips: Sequence[Clip], clip: np.ndarray, kind: str) -> tuple[list[str], np.ndarray]:
  """(names, stream): the streams' names, and which one each row belongs to, from the clip it is of, int [N].

  kind "clip": every clip is a stream, named subject/sequence/camera_id. "camera": the clips of a subject seen by one
  camera follow one another in a stream, subject/camera_id.
  """
  if kind == "clip":
    return [c.name for c in clips], clip
  cameras = [f"{c.subject}/{c.camera_id}" for c in clips]
  names = list(dict.fromkeys(cameras))
  place = {name: i for i, name in enumerate(names)}
  return names, np.array([place[name] for name in cameras])[clip]


def _encode(trained: Trained, batch) -> dict[str, np.ndarray]:
  return evaluation.in_batches(lambda b: evaluation.encode_both(b, codec=trained.codec), batch, 4096)


def _decode(trained: Trained, outputs, batch) -> np.ndarray:
  return evaluation.in_batches(lambda t: evaluation.decode_both(*t, codec=trained.codec), (outputs, batch), 4096)


def _options(trained: Trained, settings: AdaptConfig) -> dict[str, Any]:
  if settings.optimizer == "gauss_newton":
    solver = build_solver(trained, settings)
    return dict(
      infer=trained.method.infer, objective=None, tx=optax.identity(), num_steps=solver.num_steps, solver=solver
    )
  make = {"adam": moments.adam, "sgd": optax.sgd}[settings.optimizer]
  return dict(
    infer=trained.method.infer,
    objective=build_objective(trained, settings.objective),
    tx=make(cast(float, settings.learning_rate)),
    num_steps=settings.num_steps,
    copies=settings.copies,
  )


def build_solver(trained: Trained, settings: AdaptConfig) -> Solver:
  """The Gauss-Newton solver of an AdaptConfig; a ValueError for objectives that are no sums of squares."""
  lengths = trained.statistics.get("bone_lengths")  # a list, as JSON has it
  known = residuals.available(trained.codec, None if lengths is None else np.asarray(lengths, np.float32))
  asked = objective_factors(trained, settings.objective)
  parts = tuple(g for g in settings.groups if g in ("trunk", "head"))
  return Solver(
    lifter=trained.method.lifter,
    residuals=residuals.weigh(asked, known),
    num_steps=cast(int, settings.num_steps),
    damping=settings.damping,
    parts=parts,
    carry=settings.carry,
    iterations=ITERATIONS if gauss_newton.loops(trained.variables["params"]) else 0,
  )


def _sharding(devices: Sequence[jax.Device] | None) -> NamedSharding | None:
  devices = jax.local_devices() if devices is None else list(devices)
  return distributed.over_data(distributed.make_mesh(devices)) if len(devices) > 1 else None


def _gate(trained: Trained, inputs: np.ndarray, settings: AdaptConfig, source: Sequence[Clip] | None):
  """(threshold, the instances' scores, seconds): the objective at the source's weights, on the source and here."""
  if source is None:
    raise ValueError(
      f"gate={settings.gate} is a quantile of the source's scores: give source clips, adaptation.source_clips(...)"
    )
  kept = gate.judging(objective_factors(trained, settings.objective), trained.config.window)
  objective, key = _weigh(available_objectives(trained), kept), jax.random.key(settings.seed)
  judge = functools.partial(gate.scores, trained.variables, base_key=key, objective=objective, copies=settings.copies)

  size = max(1, 1024 // trained.config.window)

  def score(inputs) -> np.ndarray:
    return evaluation.in_batches(lambda x: judge(*x), (inputs, np.arange(len(inputs))), size)

  rows = evaluation.cut(source, trained.config.window, valid_only=True)
  spread = np.unique(np.linspace(0, len(rows.clip) - 1, min(len(rows.clip), GATE_INSTANCES)).astype(int))
  known = _encode(trained, jax.tree.map(lambda x: x[spread], rows.batch))["inputs"]
  limit = gate.threshold(score(known), settings.gate)
  score(inputs[:size])  # compiles, outside the clock
  began = time.perf_counter()
  own = score(inputs)
  return limit, own, time.perf_counter() - began


def _vanilla(trained: Trained, batch, encoded, settings: AdaptConfig, chosen, sharding, bar):
  """Poses [N, T, J, 3] of all instances, and seconds: adapted ones, or the source's where the gate says so."""
  options = _options(trained, settings)
  split = adapt.split_variables(trained.variables, settings.groups)
  if "teacher" in objective_factors(trained, settings.objective):
    split = adapt.Split(split.adapted, teacher.attach(split.frozen, split.adapted))  # the source teaches
  count = len(encoded["inputs"])
  picked = np.arange(count) if chosen is None else np.flatnonzero(chosen)
  seconds, poses = 0.0, None
  if chosen is not None:
    predict = functools.partial(
      evaluation.predict_batch, trained.variables, method=trained.method, codec=trained.codec, flip=True
    )
    window = trained.config.window
    run = functools.partial(
      evaluation.in_batches, lambda b: predict(b, jax.random.key(0)), batch, max(1, 4096 // window)
    )
    run()  # compiles, outside the clock
    began = time.perf_counter()
    poses = run()
    seconds = time.perf_counter() - began
    bar.update(count - len(picked))
    if not len(picked):
      return poses, seconds
  own, ids = {k: v[picked] for k, v in encoded.items()}, picked
  options["chunk"] = _chunk(settings, sharding, split, options, {k: v[:1] for k, v in own.items()}, len(ids))
  run = functools.partial(adapt.vanilla, split, base_key=jax.random.key(settings.seed), sharding=sharding, **options)
  head = slice(0, options["chunk"])
  run({k: v[head] for k, v in own.items()}, ids[head])  # compiles, outside the clock
  began = time.perf_counter()
  outputs, _ = run(own, ids, progress=bar.update)
  seconds += time.perf_counter() - began
  adapted = _decode(trained, outputs, jax.tree.map(lambda x: x[picked], batch))
  if poses is None:
    return adapted, seconds
  poses[picked] = adapted
  return poses, seconds


def _chunk(settings: AdaptConfig, sharding: NamedSharding | None, split: adapt.Split, options, recent, count: int):
  """How many of `count` at once: as set, or as many as memory holds; a multiple of the devices.

  recent: the instances [memory, T, J, C] that a step sees, by name.
  """
  devices, solver = 1 if sharding is None else sharding.num_devices, options.get("solver")
  is_online = adapt.MODES[settings.mode].online
  if settings.chunk is not None:
    return -(-settings.chunk // devices) * devices
  batched = jax.default_backend() != "cpu"
  if solver is not None and not solver.iterations and not is_online:
    return (_EXPLAINED if batched else _STREAMS) * devices
  told = dict(objective=options["objective"], copies=settings.copies, solver=solver)
  stored = adapt.stored_bytes(split, recent, **told) if batched else 0
  chosen = chunks.automatic(split.adapted, options["tx"], batched, devices, stored)
  if is_online:
    # A stream keeps its weights, and perhaps a teacher's, also where streams run one after another.
    chosen = max(chosen // 2, devices) if batched else _STREAMS * devices
  while chosen > devices and chosen // 2 >= count:
    chosen //= 2
  return chosen


_STREAMS = 16  # at once on a CPU
_EXPLAINED = 256  # instances at once that Gauss-Newton solves for on an accelerator: some MB each, kept as factors
_STEPS = 64  # steps of a stream between two looks of the host


def _online(trained: Trained, names, stream, encoded, settings: AdaptConfig, chosen, state_dir: str, sharding, bar):
  """Streams of similar length side by side: outputs by row, seconds, and how many instances they had seen before.

  names: of the streams; stream: which one each row belongs to, in order.
  """
  options = _options(trained, settings)
  options.update(every=settings.every, memory=settings.memory, sharding=sharding)
  options["carry_optimizer"] = settings.carry_optimizer
  if settings.soft_reset or "teacher" in objective_factors(trained, settings.objective):
    options["teacher"] = teacher.Teacher(settings.teacher_decay, settings.soft_reset, settings.reset_to)
  split, key = adapt.split_variables(trained.variables, settings.groups), jax.random.key(settings.seed)
  blank = online.fresh_state(
    split, options["tx"], carry_optimizer=settings.carry_optimizer, teacher=options.get("teacher")
  )
  recent = {n: np.repeat(v[:1], settings.memory, 0) for n, v in encoded.items()}
  settings_of = {**fingerprint(trained, settings), "model": saved.weights_digest(trained.variables)}
  states: dict[str, online.OnlineState] = {}
  if state_dir:
    saved.names([names[s] for s in np.unique(stream)])
    states = saved.load(state_dir, blank._replace(recent=recent), settings_of)
  started = {n: int(s.seen) for n, s in states.items()}
  members = sorted((np.flatnonzero(stream == s) for s in np.unique(stream)), key=len, reverse=True)
  at_once = _chunk(settings, sharding, split, options, recent, len(members))
  outputs, seconds, compiled = {}, 0.0, set()

  def run(own, steps, **more):
    called = [names[stream[m[0]]] for m in own]
    before = [states.get(n) if state_dir else None for n in called]
    results = online.streams(
      split,
      [{n: v[m] for n, v in encoded.items()} for m in own],
      # A stream's keys depend on its name and the place in it, and not on what else is adapted or when it was cut.
      [_first_id(n) + (0 if s is None else int(s.seen)) + np.arange(len(m)) for n, s, m in zip(called, before, own)],
      key,
      chunk=steps,
      states=before,
      adapt_to=None if chosen is None else [chosen[m] for m in own],
      **options,
      **more,
    )
    return called, results

  for start in range(0, len(members), at_once):
    own = members[start : start + at_once]
    steps = online.stretch(-(-len(own[0]) // options["every"]) + bool(state_dir), _STEPS)
    if (len(own), steps) not in compiled:
      run([m[: steps * options["every"]] for m in own], steps)
      compiled.add((len(own), steps))
    began = time.perf_counter()
    called, (results, _, ends) = run(own, steps, progress=bar.update)
    seconds += time.perf_counter() - began
    if state_dir:
      states |= dict(zip(called, ends))
    for rows, result in zip(own, results):
      for name, values in result.items():
        outputs.setdefault(name, np.zeros((len(stream), *values.shape[1:]), values.dtype))[rows] = values
  if state_dir:
    saved.save(state_dir, states, settings_of)
  return outputs, seconds, sum(started.get(names[s], 0) for s in np.unique(stream))


def _first_id(name: str) -> int:
  """Where a stream's instance ids begin: far apart for different names, and room for a billion instances."""
  return zlib.crc32(name.encode()) % 2**30
