"""What is measured of a run while it trains, on clips held out from training."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from jaxpose import detections, evaluate, metrics
from jaxpose.codec import Codec
from jaxpose.config import Config
from jaxpose.data.clip import Clip
from jaxpose.graphs.graph import InferenceGraph
from jaxpose.methods.method import Method, encode
from jaxpose.protocols import keypoints_box


def build(
  config: Config, method: Method, codec: Codec, clips: list[Clip], watched: Mapping[str, Sequence[Clip]]
) -> Callable[[Any], dict[str, float]]:
  """validate(variables): `score` of held-out clips, of a second head too, and shares judged real by a discriminator.

  The second head's metrics begin with "self_supervised_"; a share is "NAME_judged_real", of the validation's 2D poses
  ("source") and of those of each watched set. Keypoints that a method detects are scored by `keypoints_box`.
  """
  frames = {"source": clips, **watched} if method.judge else {}
  rows = {name: evaluate.cut(those, config.window, valid_only=True).batch for name, those in frames.items()}

  def validate(variables: Any) -> dict[str, float]:
    scores = score(config, method.graphs["lift"], variables, clips) if "lift" in method.graphs else {}
    if "detect" in method.graphs:
      detected = detections.detect(method.graphs["detect"], variables, clips)
      scores |= keypoints_box.score(clips, detected)
    if "self_supervised" in method.graphs:
      second = score(config, method.graphs["self_supervised"], variables, clips)
      scores |= {f"self_supervised_{name}": value for name, value in second.items()}
    for name, batch in rows.items():
      real = functools.partial(_judged_real, variables, judge=method.judge, codec=codec)
      shares = evaluate.in_batches(real, batch, max(1, 4096 // config.window))
      scores[f"{name}_judged_real"] = float(np.mean(shares))
    return scores

  return validate


@functools.partial(jax.jit, static_argnames=("judge", "codec"))
def _judged_real(variables, batch, *, judge: Callable[..., jax.Array], codec: Codec) -> jax.Array:
  return (judge(variables, encode(codec, batch)) > 0).mean(-1)


def score(config: Config, graph: InferenceGraph, variables: Any, clips: list[Clip]) -> dict[str, float]:
  """Root-relative MPJPE and PA-MPJPE in mm, PCK at 150 mm in per cent, over the valid frames of held-out clips."""
  predicted = np.concatenate(evaluate.predict(graph, variables, clips, window=config.window))
  target = np.concatenate([c.joints_3d for c in clips if c.joints_3d is not None])
  root, valid = graph.codec.skeleton.root, np.concatenate([c.valid for c in clips])
  if not valid.any():
    raise ValueError("no valid frame in the validation clips; check their camera rig")
  predicted, target = predicted[valid], target[valid]
  target, predicted = target - target[:, root : root + 1], predicted - predicted[:, root : root + 1]
  return {
    "mpjpe_mm": float(np.mean(metrics.mpjpe(predicted, target)) * 1000),
    "pa_mpjpe_mm": float(np.mean(metrics.pa_mpjpe(predicted, target)) * 1000),
    "pck_150": float(np.mean(metrics.pck(predicted, target)) * 100),
  }
