"""A tiny DSTformer, cut into trunk and head at any depth, and windows of three frames, for the tests of clips."""

import functools

import jax
import numpy as np

from jaxpose import codec as codecs
from jaxpose import experiment, models, skeleton
from jaxpose.methods import iso
from jaxpose.models import discriminator
from tests import helpers

SKELETON = skeleton.get("h36m_17")
CODEC = codecs.build("root_rms", SKELETON)
WINDOW = 3
DEPTH = 2
KEY = jax.random.key(3)
SIZES = dict(dim_feat=8, dim_rep=6, depth=DEPTH, num_heads=2, mlp_ratio=1, maxlen=4, remat="none")


@functools.cache
def method(head_depth: int = 1, objective: str = "cycle", rates: float = 0.0):
  """ISO on a DSTformer whose last `head_depth` layers belong to the heads; rates: of dropout and of drop path."""
  lifter = models.build("dstformer", **SIZES, head_depth=head_depth, dropout=rates, drop_path=rates)
  return iso.create(lifter, CODEC, discriminator.create(width=8, blocks=0), objective=objective)


@functools.cache
def variables(head_depth: int = 1):
  """Variables whose every leaf is random, and large enough to lift with: a fresh DSTformer's weights are near 0."""
  shapes = jax.eval_shape(method(head_depth).init, KEY, experiment.dummy_batch(17, WINDOW))
  rng = np.random.default_rng(1)
  return jax.tree.map(lambda x: rng.normal(0, 0.3, x.shape).astype(np.float32), shapes)


def instances(count: int = 4):
  """{"inputs", "flipped"}: [count, 3, 17, 2]."""
  clip = helpers.clip(count * WINDOW)
  inputs = np.asarray(CODEC.encode(clip.keypoints_2d, clip.camera)).reshape(count, WINDOW, 17, 2)
  return {"inputs": inputs, "flipped": (inputs * np.float32([-1, 1]))[:, :, list(SKELETON.flip)]}


def trained(head_depth: int = 1, method_name: str = "iso", **changes):
  """A run with these variables, as evaluation and adaptation take it."""
  own = dict(window=WINDOW, model="dstformer", model_options=dict(SIZES, head_depth=head_depth), method=method_name)
  if method_name == "iso":
    own["method_options"] = dict(discriminator_options=dict(width=8, blocks=0))
  config = helpers.config(**{**own, **changes})
  built = experiment.build_method(config, CODEC)
  kept = built.labels(jax.eval_shape(built.init, KEY, experiment.dummy_batch(17, WINDOW))["params"])
  params = {name: part for name, part in variables(head_depth)["params"].items() if name in kept}
  return experiment.Trained(config, CODEC, built, {"params": params}, 7, helpers.statistics())
