"""The training loop: the only part of training that does I/O. Data in, checkpoints, logs and a progress bar out."""

import contextlib
import dataclasses
import functools
import json
import math
import pathlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from absl import logging

from jaxpose import checkpoint, distributed, evaluate, experiment, metric_writer, progress
from jaxpose.codec import Codec
from jaxpose.config import Config
from jaxpose.data import pipeline
from jaxpose.data.clip import Clip
from jaxpose.methods.method import Method
from jaxpose.train import initial, optim, rates, resume, statistics, training_set, validation
from jaxpose.train import state as states
from jaxpose.train import step as steps
from jaxpose.train.state import TrainState
from jaxpose.train.training_set import TrainingSet

PREEMPTED = 143  # exit code of a process that SIGTERM ended: schedulers start it again, where 0 would be finished


def train(
  config: Config,
  workdir: str,
  train_clips: Sequence[Clip] | Mapping[str, Sequence[Clip]],
  validation_clips: Sequence[Clip],
  devices: Sequence[jax.Device] | None = None,
  *,
  watched: Mapping[str, Sequence[Clip]] | None = None,
  allow_changed: Sequence[str] = (),
) -> TrainState:
  """Trains to config.num_steps on `devices` (all, by default) and returns the final state.

  train_clips: those of each data set of config.parts by name, or a list where config.train is a single one; they are
  mapped to the validation clips' joints by name.
  watched: further clips by name, of which the share that a discriminator judges real is logged at validation; their 3D
  is not looked at.
  allow_changed: fields in which a resumed run may differ from what it was (`resume.check`).

  Resumes when `workdir` holds a checkpoint; else it begins with the weights of config.init_from, if that names a run.
  Ends early after config.patience evaluations without a better validation MPJPE.

  Interrupted at any moment and started again, it ends on the same parameters: order, keys and augmentation are
  functions of the step. Raises ValueError if clips do not fit config.parts or the workdir's checkpoint is of another
  model or was trained in another way, FloatingPointError when the loss or a gradient stops being finite, OSError when a
  checkpoint cannot be written.
  """
  if not validation_clips:
    raise ValueError("no clips to validate on; check the data set's name and splits in config.validation")
  mesh = distributed.make_mesh(devices)
  if config.batch_per_device:
    config = dataclasses.replace(config, batch_size=config.batch_per_device * mesh.size)
  _check_divisible(config, mesh)
  clips = training_set.joined(config, train_clips, validation_clips[0].skeleton)
  codec = experiment.build_codec(
    config, validation_clips[0].skeleton, [c for part in clips.values() for c in part if c.joints_3d is not None]
  )
  evaluate.check_skeletons(validation_clips, codec)
  data = training_set.build(config, clips)
  method = rates.freeze(experiment.build_method(config, codec), config.optim)
  state, tx, start, writer, log = _start(config, workdir, codec, method, data, mesh, allow_changed)
  known = statistics.inputs(codec, data.windows, data.labelled, config.window)
  every = -(-sum(len(c) for c in validation_clips) // config.eval_max_frames)
  held_out = [c.subsample(every) for c in validation_clips]
  validate = validation.build(config, method, codec, held_out, watched or {})
  advance = _advance(config, method, tx, data, mesh)
  bar = progress.bar(config.num_steps, "step", "train", initial=start, enabled=distributed.is_main())
  pending, began = None, (start, time.perf_counter())
  with contextlib.ExitStack() as stack:
    preempted = stack.enter_context(distributed.preemption())
    stack.callback(bar.close)
    stack.callback(log.close)
    stack.callback(writer.close)  # also when interrupted: a save that has begun is finished
    stack.push(lambda _, error, __: distributed.end_if_alone(error))  # before the writer, which would wait for it
    while (at := int(start)) < config.num_steps and not distributed.decided(_is_over(config, writer.best(), at, bar)):
      stop = min(at - at % config.log_every + config.log_every, config.num_steps)
      state, scalars = advance(state, at, stop)
      if pending:  # the device is busy with the next stretch while the host looks at the last one
        _report(*pending, state, config, log, bar, began)
      pending, start = (at, stop, scalars), stop
      ends = bool(preempted())
      if stop % config.eval_every == 0 or stop == config.num_steps or ends:
        _report(*pending, state, config, log, bar, began)
        pending = None
        variables = jax.tree.map(jax.numpy.asarray, distributed.fetch(state.variables))
        scores = None
        if stop % config.eval_every == 0 or stop == config.num_steps:
          scores = validate(variables)
          log.write(stop, {f"validation/{k}": v for k, v in scores.items()})
          shown = next(name for name in checkpoint.SCORES if name in scores)
          bar.set_postfix_str(f"validation {shown} {scores[shown]:.1f}")
        writer.save(stop, state, scores, statistics.of_weights(method, codec, variables, known))
        if stop < config.num_steps and (ends or preempted()):
          writer.wait()
          logging.warning("ended by SIGTERM: saved at step %d, started again it goes on from there", stop)
          raise SystemExit(PREEMPTED)
  return state


def _is_over(config: Config, best: int | None, at: int, bar) -> bool:
  """Whether patience has run out at step `at`. Told from the checkpoints: a resumed run stops where it would have."""
  waited = 0 if best is None else at // config.eval_every - best // config.eval_every
  if not config.patience or waited < config.patience:
    return False
  bar.set_postfix_str(f"stopped early, best at step {best}")
  logging.warning("stopped early at step %d: %d evaluations no better than that at step %d", at, waited, best)
  return True


def _check_divisible(config: Config, mesh) -> None:
  count = mesh.shape["data"]
  if config.batch_size % count:
    raise ValueError(
      f"batch_size={config.batch_size} is not divisible by the {count} devices; choose a multiple of {count}"
    )


def _start(config: Config, workdir: str, codec: Codec, method: Method, data: TrainingSet, mesh, allow_changed):
  """The state to begin with (fresh or restored), the optimizer, the step, and where checkpoints and logs go."""
  tx = optim.build(config.optim, config.num_steps, method.labels)
  batch = jax.tree.map(np.asarray, pipeline.gather(data.windows, np.arange(1), config.window))
  create = functools.partial(states.create, method=method, tx=tx)
  state = jax.jit(create, out_shardings=distributed.replicated(mesh))(jax.random.key(config.seed), batch)
  distributed.check_shared(workdir)
  saved = checkpoint.steps(workdir)
  start = distributed.decided(saved[-1] if saved else -1)
  saved, start = start >= 0, max(start, 0)
  if saved:
    state = checkpoint.restore(workdir, start, state)
  elif config.init_from:
    state = initial.take(config.init_from, config.init_parts, state, codec)
  description = resume.describe(config, codec, data.windows)
  if start:  # at step 0 are weights from elsewhere, and nothing was trained yet
    resume.check(workdir, checkpoint.describe(workdir, start), description, allow_changed)
  description["statistics"] = statistics.of_poses(codec, data.windows, data.labelled)
  writer = checkpoint.Writer(workdir, description=description, keep_best=config.keep_best)
  if distributed.is_main():
    pathlib.Path(workdir).mkdir(parents=True, exist_ok=True)
    (pathlib.Path(workdir) / "config.json").write_text(json.dumps(description["config"], indent=1))
  log = metric_writer.MetricWriter(
    workdir if distributed.is_main() else f"{workdir}/process_{jax.process_index()}", start
  )
  return state, tx, start, writer, log


def _advance(config: Config, method: Method, tx, data: TrainingSet, mesh) -> Callable[..., Any]:
  """advance(state, start, stop) -> (state, scalars): steps start to stop, on resident data or streamed by Grain."""
  static = dict(method=method, tx=tx, base_key=jax.random.fold_in(jax.random.key(config.seed), 1))
  one = distributed.replicated(mesh)
  if config.resident and distributed.everywhere(distributed.fits_on_device(data.windows.nbytes)):
    resident = distributed.put_same(data.windows, one)
    many = jax.jit(
      functools.partial(steps.resident_steps, length=config.window, **static), donate_argnums=0, out_shardings=one
    )

    def advance(state: TrainState, start: int, stop: int):
      rows = data.rows(start * config.batch_size, stop * config.batch_size)
      index = distributed.put_same(
        rows.reshape(stop - start, config.batch_size), distributed.over_data(mesh, leading=1)
      )
      return many(state, resident, index)

    return advance

  single = jax.jit(functools.partial(steps.train_step, **static), donate_argnums=0, out_shardings=one)
  stream: Iterator | None = None

  def advance_streaming(state: TrainState, start: int, stop: int):
    nonlocal stream
    if stream is None:
      stream = pipeline.batches(
        data.windows,
        length=config.window,
        batch_size=config.batch_size,
        seed=config.seed,
        num_steps=config.num_steps,
        start_step=start,
        process=distributed.process(),
        workers=config.workers,
        rows=data.rows,
      )
    history = []
    for _ in range(start, stop):
      batch = distributed.put_local(next(stream), distributed.over_data(mesh))
      state, scalars = single(state, batch)
      history.append(scalars)
    fetched = jax.device_get([distributed.fetch(h) for h in history])
    mean = {k: np.mean([h[k] for h in fetched]) for k in fetched[0]}
    good = [math.isfinite(h["loss"]) and math.isfinite(h["grad_norm"]) for h in fetched]
    return state, {**mean, "first_bad": len(good) if all(good) else good.index(False)}

  return advance_streaming


def _report(
  start: int, stop: int, scalars, state: TrainState, config: Config, log, bar, began: tuple[int, float]
) -> None:
  """Logs one stretch of steps, and stops the run if something in it was not finite."""
  values = {k: float(v) for k, v in distributed.fetch(scalars).items()}
  bad = start + int(values.pop("first_bad"))
  if bad < stop:
    leaves = [n for n, x in _named(state.params) if not np.isfinite(x).all()]
    rows = f"rows {bad * config.batch_size} to {(bad + 1) * config.batch_size} of the shuffled order"
    raise FloatingPointError(
      f"loss or gradient is NaN or infinite at step {bad} ({rows}, seed {config.seed}); parameters no longer finite: "
      f"{', '.join(leaves[:4]) or 'none'}. The last checkpoint is intact. Lower optim.learning_rate (now "
      f"{config.optim.learning_rate}), set optim.clip_norm=1, or look at those samples"
    )
  rate = (stop - began[0]) / (time.perf_counter() - began[1])
  updates = stop // config.optim.accumulate_steps
  schedule = optim.schedule(config.optim, config.num_steps // config.optim.accumulate_steps)
  learning_rate = float(np.asarray(schedule(updates)))
  log.write(
    stop, {**{f"train/{k}": v for k, v in values.items()}, "learning_rate": learning_rate, "steps_per_second": rate}
  )
  bar.update(stop - start)


def _named(params) -> list[tuple[str, np.ndarray]]:
  fetched = distributed.fetch(params)
  return [(jax.tree_util.keystr(path), leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(fetched)]
