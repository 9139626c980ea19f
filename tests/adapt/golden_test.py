"""First-order adaptation against numbers of an earlier implementation.

tests/golden/adaptation_modes.npz: the poses [16, 17, 3] of CLIPS that the library of commit 6cbff71, before adapters,
gave for the runs and settings below, without any rounding. That library kept what a model says of the root itself,
which is overwritten by 0 now (docs/protocols.md); the other joints are compared.
"""

import functools
import pathlib

import jax
import numpy as np
import pytest

from jaxpose import adaptation, experiment
from jaxpose import codec as codecs
from jaxpose import evaluate as evaluation
from jaxpose.adapt.settings import AdaptConfig
from tests import helpers
from tests.adapt import clip_models

GOLDEN = np.load(pathlib.Path(__file__).parents[1] / "golden" / "adaptation_modes.npz")
CYCLE = dict(objective="cycle", learning_rate=1e-3, copies=4)
CASES = {
  "vanilla_adversary": dict(CYCLE, mode="vanilla", objective="adversary", num_steps=3),
  "vanilla_cycle": dict(CYCLE, mode="vanilla", num_steps=4),
  "vanilla_lr_cycle": dict(CYCLE, mode="vanilla_lr", learning_rate=1e-2),
  "online_cycle": dict(CYCLE, mode="online"),
  "online_adversary_moments": dict(CYCLE, mode="online", objective="adversary", carry_optimizer=True),
  "online_camera": dict(CYCLE, mode="online", stream="camera"),
  "online_skip": dict(CYCLE, mode="online_skip", every=3),
  "trunk_alone": dict(CYCLE, mode="vanilla", num_steps=2, groups=("trunk",)),
  "seed": dict(CYCLE, mode="vanilla", num_steps=2, seed=3),
}
CLIPS = [
  helpers.clip(7, seed=0, sequence="a"),
  helpers.clip(5, seed=1, sequence="b"),
  helpers.clip(4, seed=2, sequence="c", camera_id="1"),
]


@functools.cache
def trained():
  """An MLP trained by ISO, whose every weight and running statistic is random."""
  options = dict(width=16, trunk_blocks=1, head_blocks=0, dropout=0.1)
  config = helpers.config(
    method="iso", model_options=options, method_options=dict(discriminator_options=dict(width=8, blocks=1))
  )
  codec = codecs.build("root_rms", helpers.clip().skeleton)
  method = experiment.build_method(config, codec)
  shapes, rng = jax.eval_shape(method.init, jax.random.key(0), experiment.dummy_batch(17, 1)), np.random.default_rng(5)

  def draw(path, leaf):
    name, values = str(path[-1]), rng.normal(0, 0.3, leaf.shape)
    values = (values + 1.5 * ("var" in name or "scale" in name)).astype(np.float32)
    return values**2 if "var" in name else values

  return experiment.Trained(config, codec, method, jax.tree_util.tree_map_with_path(draw, shapes), 7, {})


def adapted(run, **settings):
  return np.concatenate(
    adaptation.adapt_clips(run, CLIPS, AdaptConfig(**settings), False, devices=jax.devices()[:1])[0]
  )


def same(poses, golden):
  assert not poses[:, 0].any()
  np.testing.assert_allclose(poses[:, 1:], golden[:, 1:], atol=1e-5)


def test_the_source_is_the_same():
  run = trained()
  plain = np.concatenate(evaluation.predict(run.method.graphs["lift"], run.variables, CLIPS))
  same(plain, GOLDEN["plain"])
  assert set(GOLDEN.files) == {*CASES, "plain", "clips_online"}


@pytest.mark.parametrize("name", list(CASES))
def test_frames(name):
  poses = adapted(trained(), **CASES[name])
  assert np.abs(GOLDEN[name] - GOLDEN["plain"]).max() > 1e-3
  same(poses, GOLDEN[name])


def test_windows():
  poses = adapted(clip_models.trained(), mode="online", objective="adversary", learning_rate=1e-3, copies=2)
  same(poses, GOLDEN["clips_online"])
