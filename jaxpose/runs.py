"""What can be done with a trained run: score it, or adapt it to unlabelled targets and score that."""

import dataclasses
import functools
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxpose import adaptation, experiment, protocols
from jaxpose import evaluate as evaluation
from jaxpose.adapt.settings import RECOMMENDED as RECOMMENDED
from jaxpose.adapt.settings import AdaptConfig as AdaptConfig
from jaxpose.config import DataConfig
from jaxpose.data import source
from jaxpose.data.clip import Clip, noisy
from jaxpose.experiment import Trained

_SOURCE = "ground truth"  # of keypoints, where the built data set does not say


_BATCH = 4096  # frames predicted at once


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
  facts = {
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
    **(built or {}),
  }
  name = protocol or data.protocol or trained.config.protocol
  return protocols.evaluate(name, list(clips), list(predictions), facts=facts)


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

  factors: as in `evaluate.cut`. options: source, state_dir and devices of `adaptation.adapt_clips`.
  """
  if adapt is not None and adapt.mode != "none":
    return adaptation.adapt_clips(trained, clips, adapt, show_progress, factors=factors, **options)
  once = functools.partial(
    evaluation.predict,
    trained.method,
    trained.codec,
    trained.variables,
    window=trained.config.window,
    overlap=trained.config.overlap,
    flip=flip,
    batch_size=_BATCH,
  )
  # Compiles outside the clock: a first slice of the same size, so as many clips as fill one, or all there are.
  enough = 1 + int(np.searchsorted(np.cumsum([len(c) for c in clips]), 2 * _BATCH))
  once(clips[:enough], factors=None if factors is None else factors[:enough])
  began = time.perf_counter()
  predictions = once(clips, factors=factors)
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
  state_dir: str = "",
  noise_px: float = 0.0,
) -> dict[str, Any]:
  """The report of a trained run on a target; adapted to it, instance by instance, where `adapt` says so.

  noise_px: standard deviation of normal noise on the target's keypoints; the fingerprint's `keypoints_source` names it.
  What a gate decided and what saved streams had seen stand in the fingerprint, beside the settings.
  """
  name, data, clips = load_target(trained, data_dir, target, stride)
  clips, built = [noisy(clip, noise_px) for clip in clips], source.facts(data.dataset, data_dir)
  if noise_px:
    built["keypoints_source"] = f"{built.get('keypoints_source', _SOURCE)} + normal noise of {noise_px:g} px, seed 0"
  protocol = protocol or data.protocol or trained.config.protocol
  options: dict[str, Any] = dict(flip=flip, adapt=adapt, show_progress=show_progress)
  if adapt is not None and adapt.mode != "none":
    options |= dict(state_dir=state_dir, source=adaptation.source_clips(trained, data_dir) if adapt.gate else None)
  predictions, timing = predict(trained, clips, factors=protocols.factors(protocol, clips), **options)
  told: dict[str, Any] = dict(protocol=protocol, flip=flip, adapt=adapt, built=built)
  report = score(trained, name, data, clips, predictions, **told)
  decided = {k: timing[k] for k in ("gate_threshold", "instances_before") if k in timing}
  report["fingerprint"]["adaptation"].update(decided)
  return {**report, "timing": timing}
