"""Clips with the keypoints that an image run detects in their pictures: what a lifter is trained on and scored with."""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from jaxpose import evaluate, experiment
from jaxpose.config import DataConfig
from jaxpose.data.clip import Clip
from jaxpose.experiment import Trained
from jaxpose.graphs import graph as graphs
from jaxpose.graphs import lift
from jaxpose.graphs.graph import InferenceGraph

_BATCH = 512  # pictures at once


def detect(graph: InferenceGraph, variables: Any, clips: Sequence[Clip], *, flip: bool = False) -> list[Clip]:
  """The clips with keypoints_2d and confidence of the graph "detect" of an image run; all else stays.

  flip: averaged with what is seen in the mirrored picture. Raises ValueError for clips without a look.
  """
  for clip in clips:
    if "body" not in clip.extra:
      raise ValueError(f"clip {clip.name} has no pictures to detect in; give its data set a look")
  evaluate.check_skeletons(clips, graph.codec)
  rows = evaluate.cut(clips)
  run = functools.partial(_run, variables, graph=graph, flip=flip)
  detected = evaluate.in_batches(run, graphs.check(graph, evaluate.inputs_of(graph, rows)), _BATCH)
  points, certain = (evaluate.scatter(clips, rows, detected[name]) for name in ("keypoints_2d", "confidence"))
  return [c.replace(keypoints_2d=p, confidence=s) for c, p, s in zip(clips, points, certain)]


@functools.partial(jax.jit, static_argnames=("graph", "flip"))
def _run(variables, arrays, *, graph: InferenceGraph, flip: bool):
  outputs = (lift.flipped(graph) if flip else graph).run(variables, arrays)
  return {name: outputs[name] for name in ("keypoints_2d", "confidence")}


def by_runs(clips: Sequence[Clip], data: DataConfig) -> list[Clip]:
  """The clips as detected by `data.detectors`, each by the first run that has not trained on it.

  On what it was trained on, a detector is better than it will ever be again. So a training set is split into folds: for
  each a run that leaves it out (`config.train.exclude`), and all of them as detectors. Raises ValueError for a clip
  that every run has trained on, and for a run that detects nothing.
  """
  trained = [experiment.load(workdir) for workdir in data.detectors]
  for workdir, run in zip(data.detectors, trained):
    if "detect" not in run.method.graphs:
      raise ValueError(f"detectors: the run in {workdir!r} has method {run.config.method!r}, which sees no images")
  owner = [next((i for i, run in enumerate(trained) if not _has_seen(run, data, clip)), -1) for clip in clips]
  if -1 in owner:
    raise ValueError(
      f"each of the detectors {', '.join(data.detectors)} was trained on {clips[owner.index(-1)].sequence!r} itself; "
      "train one for each fold, without it: config.train.exclude"
    )
  detected: list[Clip] = list(clips)
  for number, run in enumerate(trained):
    mine = [i for i, o in enumerate(owner) if o == number]
    if not mine:
      continue
    for i, clip in zip(mine, detect(run.method.graphs["detect"], run.variables, [clips[i] for i in mine], flip=True)):
      detected[i] = clip.replace(confidence=np.clip(clip.confidence, 0, 1))
  return detected


def _has_seen(run: Trained, data: DataConfig, clip: Clip) -> bool:
  from jaxpose.data import source  # here alone: it imports what builds data sets

  for part in run.config.parts.values():
    if part.dataset.split("/")[0] != data.dataset.split("/")[0] or not set(part.splits) & set(data.splits):
      continue
    kept = not part.include or source.matches(clip.sequence, part.include)
    if kept and not source.matches(clip.sequence, part.exclude):
      return True
  return False
