"""A run that is resumed in another way is refused, by the field that differs."""

import copy
import json

import jax
import numpy as np
import pytest

from jaxpose import codec as codecs
from jaxpose.data import pipeline
from jaxpose.train import loop, resume
from tests import helpers

CLIPS = [helpers.clip(20), helpers.clip(15, seed=1, sequence="run")]
OTHER = [helpers.clip(20), helpers.clip(15, seed=5, sequence="run")]


def described(clips=CLIPS, codec="zscore", **changes):
  config = helpers.config(codec=codec, **changes)
  made = codecs.build(codec, clips[0].skeleton, clips=clips)
  return json.loads(json.dumps(resume.describe(config, made, pipeline.windows(clips))))


@pytest.mark.parametrize(
  ("changes", "field"),
  [
    (dict(seed=1), "config.seed: 0 there, 1 here"),
    (dict(batch_size=4), "config.batch_size: 8 there, 4 here"),
    (dict(num_steps=24), "config.num_steps: 12 there, 24 here"),
    (dict(optim=dict(learning_rate=2e-3)), "config.optim.learning_rate: 0.001 there, 0.002 here"),
    (dict(method_options=dict(bone_weight=0.5)), "config.method_options.bone_weight: None there, 0.5 here"),
    (dict(method="masked"), "config.method: 'supervised' there, 'masked' here"),
    (dict(codec="screen"), "codec.name: 'zscore' there, 'screen' here"),
    (dict(augment=dict(flip=0.0)), "config.augment.flip: 0.5 there, 0.0 here"),
    (dict(clips=OTHER), "data.mean_keypoint_px"),
    (dict(clips=CLIPS[:1]), "data.windows: 35 there, 20 here"),
  ],
  ids=lambda x: next(iter(x)) if isinstance(x, dict) else "",
)
def test_what_moves_parameters_may_not_change_unless_told(changes, field):
  with pytest.raises(ValueError, match="the run in 'W' was trained in another way") as caught:
    resume.check("W", described(), described(**changes))
  assert field in str(caught.value)
  allowed = str(caught.value).rpartition("--allow_changed=")[2].split(",")
  resume.check("W", described(), described(**changes), allowed)
  resume.check("W", described(), described(**changes), ["config", "codec", "data"])


def test_another_version_is_refused():
  before = {**described(), "library": "0.0.1"}
  with pytest.raises(ValueError, match="library: '0.0.1' there"):
    resume.check("W", before, described())


def test_what_moves_nothing_may_change():
  changes = dict(log_every=6, eval_every=12, keep_best=1, resident=False, workers=1, select="latest", protocol="h36m")
  resume.check("W", described(), described(**changes))


def test_rounding_is_no_change_and_old_runs_are_resumed():
  stored = described()
  nudged = copy.deepcopy(stored)
  nudged["codec"] = jax.tree.map(lambda x: x * (1 + 1e-6) if isinstance(x, float) else x, nudged["codec"])
  nudged["data"]["mean_joint_m"] *= 1 + 1e-6
  resume.check("W", nudged, stored)
  old = {n: stored[n] for n in ("config", "codec")}
  del old["config"]["select"]
  resume.check("W", old, stored)


def test_training_refuses_and_leaves_the_run_as_it_was(tmp_path):
  one = dict(devices=jax.devices()[:1])
  short = dict(num_steps=3, eval_every=3)
  state = loop.train(helpers.config(**short), str(tmp_path), CLIPS, CLIPS[:1], **one)
  files = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
  changed = helpers.config(**short, optim=dict(learning_rate=5e-3))
  with pytest.raises(ValueError, match="config.optim.learning_rate: 0.001 there, 0.005 here"):
    loop.train(changed, str(tmp_path), CLIPS, CLIPS[:1], **one)
  assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == files
  again = loop.train(changed, str(tmp_path), CLIPS, CLIPS[:1], **one, allow_changed=["config.optim"])
  for a, b in zip(jax.tree.leaves(state.params), jax.tree.leaves(again.params), strict=True):
    np.testing.assert_array_equal(a, b)
