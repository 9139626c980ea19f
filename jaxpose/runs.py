"""What can be done with a trained run: score it, or adapt it to unlabelled targets and score that."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxpose import adaptation, detections, experiment, protocols, stopwatch, targets
from jaxpose import evaluate as evaluation
from jaxpose.adapt.settings import RECOMMENDED as RECOMMENDED
from jaxpose.adapt.settings import AdaptConfig as AdaptConfig
from jaxpose.config import DataConfig
from jaxpose.data import source
from jaxpose.data.clip import Clip, noisy
from jaxpose.experiment import Trained
from jaxpose.protocols import keypoints_box, many

_SOURCE = "ground truth"  # of keypoints, where the built data set does not say


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
  facts = _facts(trained, target, data, flip=flip, adapt=adapt, built=built)
  name = protocol or data.protocol or trained.config.protocol
  return protocols.evaluate(name, list(clips), list(predictions), facts=facts)


def _facts(
  trained: Trained,
  target: str,
  data: DataConfig,
  *,
  flip: bool,
  adapt: AdaptConfig | None = None,
  built: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
  return {
    "dataset": data.dataset,
    "split": "+".join(data.splits),
    "target": target,
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
    "oracles": [],
    "adaptation": adaptation.fingerprint(trained, adapt),
    **({"look": data.look} if data.look else {}),
    **(built or {}),
  }


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

  The timing is wall-clock without compilation (`stopwatch.measure`). factors: as in `evaluate.cut`. options: state_dir
  and devices of `adaptation.adapt_clips`.
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
  target: str | tuple[str, DataConfig] = "",
  protocol: str = "",
  stride: int = 1,
  flip: bool = True,
  adapt: AdaptConfig | None = None,
  show_progress: bool = True,
  state_dir: str = "",
  noise_px: float = 0.0,
) -> dict[str, Any]:
  """The report of a trained run on a target; adapted to it, instance by instance, where `adapt` says so.

  noise_px: standard deviation of normal noise on the target's keypoints; the fingerprint's `keypoints_source` names it.
  What saved streams had seen stands in the fingerprint, beside the settings.
  """
  name, data, clips = load_target(trained, data_dir, target, stride)
  clips, built = [noisy(clip, noise_px) for clip in clips], source.facts(data.dataset, data_dir)
  if noise_px:
    built["keypoints_source"] = f"{built.get('keypoints_source', _SOURCE)} + normal noise of {noise_px:g} px, seed 0"
  if data.look:
    built["keypoints_source"] = _of_images(data)
  protocol = protocol or data.protocol or trained.config.protocol
  detected = _detected(trained, name, data, clips, flip, built) if "detect" in trained.method.graphs else {}
  if detected and "lift" not in trained.method.graphs:
    return detected
  options: dict[str, Any] = dict(flip=flip, adapt=adapt, show_progress=show_progress)
  if adapt is not None and adapt.mode != "none":
    options["state_dir"] = state_dir
  spread = _spread(trained, clips, adapt) if protocol == many.MANY.name else {}
  built |= {"oracles": [many.ORACLE]} if spread else {}
  predictions, timing = predict(trained, clips, factors=protocols.factors(protocol, clips), **options)
  told: dict[str, Any] = dict(protocol=protocol, flip=flip, adapt=adapt, built=built)
  report = score(trained, name, data, clips, predictions, **told)
  if "instances_before" in timing:
    report["fingerprint"]["adaptation"]["instances_before"] = timing["instances_before"]
  return {**report, **spread, **({"detected": detected} if detected else {}), "timing": timing}


def _of_images(data: DataConfig) -> str:
  how = f"detected by {', '.join(data.detectors)}" if data.detectors else "images"
  return f"{how}, rendered to look {data.look}, in boxes of the ground truth"


def _detected(
  trained: Trained, target: str, data: DataConfig, clips: Sequence[Clip], flip: bool, built: Mapping[str, Any]
) -> dict[str, Any]:
  """The report of the keypoints that a run detects."""
  with stopwatch.measure() as timing:
    found = detections.detect(trained.method.graphs["detect"], trained.variables, clips, flip=flip)
  facts = _facts(trained, target, data, flip=flip, built=built)
  return {**keypoints_box.evaluate(clips, found, facts=facts), "timing": _per_instance(timing, sum(map(len, clips)))}


def _spread(trained: Trained, clips: Sequence[Clip], adapt: AdaptConfig | None) -> dict[str, Any]:
  """{"many"}: what protocol `many` says of the run's hypotheses; the report's other numbers are of one pose of them."""
  graph = trained.method.graphs.get("hypotheses")
  if graph is None or (adapt is not None and adapt.mode != "none"):
    raise ValueError(
      f"protocol {many.MANY.name!r} scores hypotheses, of which method {trained.method.name!r} gives none, or adapted "
      "none; methods with a graph 'hypotheses' do, as 'flow', with mode none"
    )
  poses = evaluation.sample(graph, trained.variables, clips, window=trained.config.window)
  return {"many": many.measures(clips, poses)}
