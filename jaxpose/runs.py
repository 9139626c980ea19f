"""What can be done with a trained run: score it, or adapt it to unlabelled targets and score that."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

import jaxpose
from jaxpose import adaptation, detections, experiment, protocols, stopwatch, targets
from jaxpose import evaluate as evaluation
from jaxpose.adapt.settings import RECOMMENDED as RECOMMENDED
from jaxpose.adapt.settings import AdaptConfig as AdaptConfig
from jaxpose.config import DataConfig
from jaxpose.data import source
from jaxpose.data.clip import Clip, noisy
from jaxpose.experiment import Trained
from jaxpose.geometry import camera as cameras
from jaxpose.graphs.graph import InferenceGraph
from jaxpose.protocols import keypoints_box, many

_SOURCE = "ground truth"  # of keypoints, where the built data set does not say


# Among the oracles of a number whose checkpoint was chosen by the labels that it is scored on.
SELECTED = "checkpoint selection"
_BATCH = 4096  # frames predicted at once


def load_target(
  trained: Trained, data_dir: str, target: str | tuple[str, DataConfig] = "", stride: int = 1
) -> tuple[str, DataConfig, list[Clip]]:
  """A target's name, config and clips, every `stride`-th frame of them.

  target: a name, or what `targets.choose` gave.
  """
  name, data = targets.choose(trained, target) if isinstance(target, str) else target
  clips = [c.subsample(stride) for c in experiment.load_clips(data, data_dir)]
  evaluation.check_skeletons(clips, trained.codec)
  return name, data, clips


def with_overlap(trained: Trained, overlap: int) -> Trained:
  """The run, to be evaluated and adapted in windows that share `overlap` frames and are blended.

  Raises ValueError unless 0 <= overlap < window.
  """
  return dataclasses.replace(trained, config=dataclasses.replace(trained.config, overlap=overlap))


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
  built: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
  """The report of predictions, by a protocol (the target's or the run's when empty), with its fingerprint.

  built: what the built data set says of itself (`data.source.facts`): made of fixture files, its 2D source, and so on.
  """
  name = protocol or data.protocol or trained.config.protocol
  task = Task(target, data, clips, dict(built or {}), name)
  scored = protocols.evaluate(name, list(clips), list(predictions), facts=facts(trained, task, flip=flip, adapt=adapt))
  return {**scored, "environment": environment()}


class Task(NamedTuple):
  """What a run is scored on: a target's name and data, its clips, and what the built data set says of itself.

  stride and noise_px have been applied to the clips.
  """

  name: str
  data: DataConfig
  clips: Sequence[Clip]
  built: dict[str, Any]
  protocol: str
  stride: int = 1
  noise_px: float = 0.0


def prepare(
  trained: Trained,
  data_dir: str,
  *,
  target: str | tuple[str, DataConfig] = "",
  protocol: str = "",
  stride: int = 1,
  noise_px: float = 0.0,
) -> Task:
  """What `evaluate` scores. noise_px: of normal noise on the keypoints; `keypoints_source` names it."""
  name, data, clips = load_target(trained, data_dir, target, stride)
  clips, built = [noisy(clip, noise_px) for clip in clips], source.facts(data.dataset, data_dir)
  if noise_px:
    built["keypoints_source"] = f"{built.get('keypoints_source', _SOURCE)} + normal noise of {noise_px:g} px, seed 0"
  if data.look:
    built["keypoints_source"] = _of_images(data)
  return Task(name, data, clips, built, protocol or data.protocol or trained.config.protocol, stride, noise_px)


def factors(task: Task) -> list[np.ndarray] | None:
  """The oracle that the task's protocol decodes with, one [T] a clip; None where it asks for none."""
  return protocols.factors(task.protocol, task.clips)


def environment() -> dict[str, Any]:
  """What a number was computed by: it should move none, and where one cannot be had again, here is where to look."""
  return {
    "device": jax.devices()[0].device_kind,
    "precision": str(jax.config.values["jax_default_matmul_precision"] or "default"),
    "jaxpose": jaxpose.__version__,
    "jax": jax.__version__,
  }


def facts(trained: Trained, task: Task, *, flip: bool = True, adapt: AdaptConfig | None = None) -> dict[str, Any]:
  """What a fingerprint says beyond what the protocol does."""
  data = task.data
  return {
    "dataset": data.dataset,
    "split": "+".join(data.splits),
    "target": task.name,
    "rig": data.rig,
    "rig_options": data.rig_options,
    "rig_seed": data.seed,
    "fps": data.fps,
    "keypoints_source": _SOURCE,
    "annotation": "metric",
    "flip_averaging": flip,
    "window": trained.config.window,
    "overlap": trained.config.overlap,
    "codec": trained.codec.name,
    "model": trained.config.model,
    "method": trained.config.method,
    "checkpoint_step": trained.step,
    "seed": trained.config.seed,
    "selection": _selection(trained),
    "intrinsics": _intrinsics(trained, adapt),
    "oracles": [SELECTED] if trained.selection == "best" and targets.overlap(trained.config.validation, data) else [],
    "adaptation": adaptation.fingerprint(trained, adapt),
    **({"look": data.look} if data.look else {}),
    **task.built,
  }


def _selection(trained: Trained) -> str:
  """How the checkpoint was chosen, and on what."""
  validation = trained.config.validation
  on = f" mpjpe_mm on {validation.dataset} {'+'.join(validation.splits)}" if trained.selection == "best" else ""
  return f"{trained.selection or 'not known'}{on}"


def _intrinsics(trained: Trained, adapt: AdaptConfig | None) -> str:
  """Whether a prediction depends on the camera's calibration: by its codec, or by rays that adaptation fits to."""
  codec, shape = trained.codec, (1, trained.codec.skeleton.num_joints, 2)
  seen = np.random.default_rng(0).uniform(300, 700, shape).astype(np.float32)
  lenses = ((900, 900), (0.0, 0.0, 0.0)), ((1400, 1300), (-0.2, 0.1, 0.0))
  views = (cameras.create(focal, (500, 500), (1000, 1000), radial) for focal, radial in lenses)
  inputs = [np.asarray(codec.encode(seen, view)) for view in views]
  fitted = adapt is not None and adapt.mode != "none" and adapt.optimizer == "gauss_newton"
  return "calibrated" if fitted or not np.allclose(*inputs, atol=1e-5) else "not used"


def predict(
  trained: Trained,
  clips: Sequence[Clip],
  *,
  flip: bool = True,
  adapt: AdaptConfig | None = None,
  show_progress: bool = True,
  factors: Sequence[np.ndarray] | None = None,
  **options: Any,
) -> tuple[list[np.ndarray], dict[str, float]]:
  """Root-relative metres [T, J, 3] a clip, adapted to the clips where `adapt` says so; and the timing.

  The timing is wall-clock without compilation (`stopwatch.measure`). factors: as in `evaluate.cut`. options: state_dir,
  unfinished, part and devices of `adaptation.adapt_clips`.
  """
  if adapt is not None and adapt.mode != "none":
    with stopwatch.measure() as timing:
      poses, facts = adaptation.adapt_clips(trained, clips, adapt, show_progress, factors=factors, **options)
    return poses, {**_per_instance(timing, facts["instances"]), **facts}
  once = functools.partial(
    evaluation.predict,
    trained.method.graphs["lift"],
    trained.variables,
    window=trained.config.window,
    overlap=trained.config.overlap,
    flip=flip,
    batch_size=_BATCH,
  )
  with stopwatch.measure() as timing:
    predictions = once(clips, factors=factors)
  count = float(sum(map(len, clips)))
  return predictions, {"instances": count, **_per_instance(timing, count)}


def _per_instance(timing: dict[str, float], count: float) -> dict[str, float]:
  return {"seconds_per_instance": timing["seconds"] / count, **timing}


def evaluate(
  trained: Trained,
  data_dir: str,
  *,
  flip: bool = True,
  adapt: AdaptConfig | None = None,
  show_progress: bool = True,
  state_dir: str = "",
  **target: Any,
) -> dict[str, Any]:
  """The report of a trained run on a target; adapted to it, instance by instance, where `adapt` says so.

  target: what `prepare` takes. What saved streams had seen stands in the fingerprint, beside the settings.
  """
  task = prepare(trained, data_dir, **target)
  detected = _detected(trained, task, flip) if "detect" in trained.method.graphs else {}
  if detected and "lift" not in trained.method.graphs:
    return detected
  if task.protocol == many.MANY.name:
    _hypotheses(trained, adapt)
  options: dict[str, Any] = dict(flip=flip, adapt=adapt, show_progress=show_progress)
  if adapt is not None and adapt.mode != "none":
    options["state_dir"] = state_dir
  predictions, timing = predict(trained, task.clips, factors=factors(task), **options)
  scored = report(trained, task, predictions, timing, flip=flip, adapt=adapt)
  return {**scored, **({"detected": detected} if detected else {})}


def _of_images(data: DataConfig) -> str:
  how = f"detected by {', '.join(data.detectors)}" if data.detectors else "images"
  return f"{how}, rendered to look {data.look}, in boxes of the ground truth"


def _detected(trained: Trained, task: Task, flip: bool) -> dict[str, Any]:
  """The report of the keypoints that a run detects."""
  with stopwatch.measure() as timing:
    seen = detections.detect(trained.method.graphs["detect"], trained.variables, task.clips, flip=flip)
  scored = keypoints_box.evaluate(task.clips, seen, facts=facts(trained, task, flip=flip))
  timing = _per_instance(timing, sum(map(len, task.clips)))
  return {**scored, "environment": environment(), "timing": timing}


def report(
  trained: Trained,
  task: Task,
  predictions: Sequence[np.ndarray],
  timing: dict[str, float],
  *,
  flip: bool = True,
  adapt: AdaptConfig | None = None,
) -> dict[str, Any]:
  """The report of a task's predictions, and of how long they took."""
  spread = _spread(trained, task.clips, adapt) if task.protocol == many.MANY.name else {}
  options: dict[str, Any] = dict(protocol=task.protocol, flip=flip, adapt=adapt, built=task.built)
  scored = score(trained, task.name, task.data, task.clips, predictions, **options)
  if spread:
    scored["fingerprint"]["oracles"] = sorted({*scored["fingerprint"]["oracles"], many.ORACLE})
  if "instances_before" in timing:
    scored["fingerprint"]["adaptation"]["instances_before"] = timing["instances_before"]
  return {**scored, **spread, "timing": timing}


def _hypotheses(trained: Trained, adapt: AdaptConfig | None) -> InferenceGraph:
  """The graph whose hypotheses protocol `many` scores; a ValueError where there is none."""
  graph = trained.method.graphs.get("hypotheses")
  if graph is None or (adapt is not None and adapt.mode != "none"):
    raise ValueError(
      f"protocol {many.MANY.name!r} scores hypotheses, of which method {trained.method.name!r} gives none, or adapted "
      "none; methods with a graph 'hypotheses' do, as 'flow', with mode none"
    )
  return graph


def _spread(trained: Trained, clips: Sequence[Clip], adapt: AdaptConfig | None) -> dict[str, Any]:
  """{"many"}: what protocol `many` says of the run's hypotheses; the report's other numbers are of one pose of them."""
  graph, window = _hypotheses(trained, adapt), trained.config.window
  return {"many": many.measures(clips, evaluation.sample(graph, trained.variables, clips, window=window))}
