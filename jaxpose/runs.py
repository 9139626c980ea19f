"""What can be done with a trained run: score it, or adapt it to unlabelled targets and score that."""

import dataclasses
import functools
import time
from collections.abc import Sequence
from typing import Any, cast

import jax
import numpy as np
import optax

from jaxpose import evaluate as evaluation
from jaxpose import experiment, progress, protocols
from jaxpose.adapt import adapt as adaptation
from jaxpose.adapt import objectives, online
from jaxpose.config import DataConfig
from jaxpose.data.clip import Clip
from jaxpose.experiment import Trained


@dataclasses.dataclass(frozen=True, kw_only=True)
class AdaptConfig:
  """How to adapt. None takes the mode's own (the paper's): see adapt.MODES. An empty objective takes the method's."""

  mode: str = "vanilla"
  objective: str = ""
  num_steps: int | None = None
  learning_rate: float | None = None
  every: int | None = None  # online modes adapt on every k-th instance
  copies: int = 16  # rows a step
  memory: int = 1  # online: rows are the last `memory` instances
  groups: tuple[str, ...] = adaptation.PAPER_GROUPS
  optimizer: str = "adam"  # adam | sgd
  chunk: int = 16  # instances adapted at once (vanilla); streams side by side (online)
  seed: int = 0

  def __post_init__(self):
    if self.mode not in adaptation.MODES:
      raise ValueError(f"unknown mode {self.mode!r}; known are {', '.join(adaptation.MODES)}")
    if self.optimizer not in ("adam", "sgd"):
      raise ValueError(f"optimizer={self.optimizer!r} must be adam or sgd")
    for name in ("num_steps", "learning_rate", "every", "copies", "memory", "chunk"):
      value = getattr(self, name)
      if value is not None and not value > 0:
        raise ValueError(f"{name}={value} must be positive")

  def resolved(self) -> "AdaptConfig":
    """With the mode's own numbers filled in."""
    mode = adaptation.MODES[self.mode]
    return dataclasses.replace(
      self,
      num_steps=mode.num_steps if self.num_steps is None else self.num_steps,
      learning_rate=mode.learning_rate if self.learning_rate is None else self.learning_rate,
      every=mode.every if self.every is None else self.every,
    )


def choose_target(trained: Trained, name: str) -> tuple[str, DataConfig]:
  """The target of that name, or the first that uses the data set of that name; the first target when empty."""
  targets = trained.config.targets
  if not name:
    return next(iter(targets.items()))
  found = [(k, v) for k, v in targets.items() if name in (k, v.dataset)]
  if not found:
    known = ", ".join(f"{k} ({v.dataset})" for k, v in targets.items())
    raise ValueError(f"unknown target {name!r}; the run's config has {known}")
  return found[0]


def load_target(trained: Trained, data_dir: str, name: str = "", stride: int = 1) -> tuple[str, DataConfig, list[Clip]]:
  """A target's name, config and clips, every `stride`-th frame of them."""
  name, data = choose_target(trained, name)
  clips = [c.subsample(stride) for c in experiment.load_clips(data, data_dir)]
  evaluation.check_skeletons(clips, trained.codec)
  return name, data, clips


def score(
  trained: Trained,
  target: str,
  data: DataConfig,
  clips: Sequence[Clip],
  predictions: Sequence[np.ndarray],
  *,
  protocol: str = "",
  flip: bool = True,
  adapt: AdaptConfig | None = None,
) -> dict[str, Any]:
  """The report of predictions, by a protocol (the config's own when empty), with all that its fingerprint must know."""
  settings = {"mode": "none"}
  if adapt is not None and adapt.mode != "none":
    settings = dataclasses.asdict(adapt.resolved())
    settings["objective"] = adapt.objective or default_objective(trained)
    settings.pop("chunk")  # moves no number
  facts = {
    "dataset": data.dataset,
    "split": "+".join(data.splits),
    "target": target,
    "rig": data.rig,
    "rig_options": data.rig_options,
    "rig_seed": data.seed,
    "fps": data.fps,
    "keypoints_source": "ground truth",
    "annotation": "metric",
    "flip_averaging": flip,
    "codec": trained.codec.name,
    "model": trained.config.model,
    "method": trained.config.method,
    "checkpoint_step": trained.step,
    "seed": trained.config.seed,
    "oracles": [],
    "adaptation": settings,
  }
  return protocols.evaluate(protocol or trained.config.protocol, list(clips), list(predictions), facts=facts)


def predict(
  trained: Trained,
  clips: Sequence[Clip],
  *,
  flip: bool = True,
  adapt: AdaptConfig | None = None,
  show_progress: bool = True,
) -> tuple[list[np.ndarray], dict[str, float]]:
  """Root-relative metres [T, J, 3] a clip, adapted to the clips where `adapt` says so; and the timing."""
  if adapt is not None and adapt.mode != "none":
    return adapt_clips(trained, clips, adapt, show_progress)
  once = functools.partial(
    evaluation.predict, trained.method, trained.codec, trained.variables, window=trained.config.window, flip=flip
  )
  once(clips[:1])
  began = time.perf_counter()
  predictions = once(clips)
  seconds = time.perf_counter() - began
  return predictions, {"seconds_per_instance": seconds / sum(map(len, clips)), "seconds": seconds}


def evaluate(
  trained: Trained,
  data_dir: str,
  *,
  target: str = "",
  protocol: str = "",
  stride: int = 1,
  flip: bool = True,
  adapt: AdaptConfig | None = None,
  show_progress: bool = True,
) -> dict[str, Any]:
  """The report of a trained run on a target; adapted to it, instance by instance, where `adapt` says so."""
  name, data, clips = load_target(trained, data_dir, target, stride)
  predictions, timing = predict(trained, clips, flip=flip, adapt=adapt, show_progress=show_progress)
  report = score(trained, name, data, clips, predictions, protocol=protocol, flip=flip, adapt=adapt)
  return {**report, "timing": timing}


def default_objective(trained: Trained) -> str:
  """ISO's own objective for a model with a self-supervised head; else what needs none."""
  if "cycle" in trained.method.objectives:
    return str(trained.config.method_options.get("objective", "cycle"))
  return "reprojection+bone_lengths"


def build_objective(trained: Trained, name: str) -> objectives.Objective:
  """An objective by name, or several joined by "+"; the default one when empty."""
  method = trained.method
  available = dict(method.objectives)
  if "bone_lengths" in trained.statistics:  # not in a run that was converted: its training set is unknown
    available["bone_lengths"] = objectives.bone_lengths(
      method.lifter, trained.codec, trained.statistics["bone_lengths"]
    )
  return objectives.build(name or default_objective(trained), available)


def adapt_clips(
  trained: Trained, clips: Sequence[Clip], config: AdaptConfig, show_progress: bool = True
) -> tuple[list[np.ndarray], dict[str, float]]:
  """Adapts the model to the clips, without their labels: root-relative metres [T, J, 3] a clip, and the timing.

  Every window with a valid frame is an instance, predicted with and without mirroring; other frames are NaN. In online
  modes each clip is a stream of its own, which begins at the source weights. The timing leaves compilation out.
  """
  settings = config.resolved()
  if settings.mode == "none":
    raise ValueError("mode 'none' adapts nothing; call evaluate")
  rows = evaluation.cut(clips, trained.config.window, valid_only=True)
  codec = trained.codec
  encoded = evaluation.in_batches(lambda batch: evaluation.encode_both(batch, codec=codec), rows.batch, 4096)
  make = {"adam": optax.adam, "sgd": optax.sgd}[settings.optimizer]
  options: dict[str, Any] = dict(
    infer=trained.method.infer,
    objective=build_objective(trained, settings.objective),
    tx=make(cast(float, settings.learning_rate)),
    num_steps=settings.num_steps,
    copies=settings.copies,
  )
  split = adaptation.split_variables(trained.variables, settings.groups)
  key, ids = jax.random.key(settings.seed), np.arange(len(rows.clip))
  with progress.bar(len(ids), "instance", settings.mode, enabled=show_progress) as bar:
    if adaptation.MODES[settings.mode].online:
      online_options: dict[str, Any] = dict(options, every=settings.every, memory=settings.memory)
      outputs, seconds = _online(split, encoded, rows.clip, ids, key, settings.chunk, online_options, bar.update)
    else:
      vanilla_options: dict[str, Any] = dict(options, chunk=settings.chunk)
      first = jax.tree.map(lambda x: x[: settings.chunk], encoded)
      adaptation.vanilla(split, first, ids[: settings.chunk], key, **vanilla_options)  # compiles, outside the clock
      began = time.perf_counter()
      outputs, _ = adaptation.vanilla(split, encoded, ids, key, **vanilla_options, progress=bar.update)
      seconds = time.perf_counter() - began
  poses = evaluation.in_batches(lambda tree: evaluation.decode_both(*tree, codec=codec), (outputs, rows.batch), 4096)
  timing = {"seconds_per_instance": seconds / len(ids), "seconds": seconds}
  return evaluation.scatter(clips, rows, poses), timing


def _online(split, encoded, clip, ids, key, side_by_side: int, options, advance):
  """Every clip as a stream, `side_by_side` of similar length at once; outputs in the order of the rows, and seconds."""
  members = sorted((np.flatnonzero(clip == c) for c in np.unique(clip)), key=len, reverse=True)
  outputs, seconds, compiled = {}, 0.0, set()
  for start in range(0, len(members), side_by_side):
    own = members[start : start + side_by_side]
    steps = min(-(-len(own[0]) // options["every"]), _STEPS)
    if (len(own), steps) not in compiled:
      _streams(split, encoded, [m[: steps * options["every"]] for m in own], ids, key, steps, options)
      compiled.add((len(own), steps))
    began = time.perf_counter()
    results = _streams(split, encoded, own, ids, key, steps, {**options, "progress": advance})
    seconds += time.perf_counter() - began
    for rows, result in zip(own, results):
      for name, values in result.items():
        outputs.setdefault(name, np.zeros((len(ids), *values.shape[1:]), values.dtype))[rows] = values
  return outputs, seconds


_STEPS = 64  # steps of a stream between two looks of the host


def _streams(split, encoded, members, ids, key, steps: int, options):
  streams = [{name: values[rows] for name, values in encoded.items()} for rows in members]
  return online.streams(split, streams, [ids[rows] for rows in members], key, chunk=steps, **options)[0]
