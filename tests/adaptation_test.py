"""Adapting a run to clips: gates, streams that go on, recommended settings, and what a fingerprint says of them."""

import dataclasses
import functools
import re

import jax
import numpy as np
import pytest

from jaxpose import adaptation, experiment, runs
from jaxpose import codec as codecs
from jaxpose.adapt import adapt, gate, settings
from jaxpose.adapt.settings import AdaptConfig
from tests import helpers

close = functools.partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-4)
QUICK = dict(objective="reprojection+bone_lengths", learning_rate=1e-2, copies=1, num_steps=2)
ONLINE = AdaptConfig(mode="online", **{**QUICK, "num_steps": 1, "copies": 2, "memory": 2}, every=2)


def clips(count=2, frames=9):
  return [helpers.clip(frames, seed=i, sequence=f"walk {i}") for i in range(count)]


@functools.cache
def trained(window=1, **changes):
  options = dict(width=16, trunk_blocks=0, head_blocks=0)
  if changes:
    options = dict(dim_feat=8, dim_rep=8, depth=1, num_heads=2, mlp_ratio=1, maxlen=window)
  config = helpers.config(window=window, model_options=options, **changes)
  codec = codecs.build("root_rms", helpers.clip().skeleton)
  method = experiment.build_method(config, codec)
  variables = jax.jit(method.init)(jax.random.key(0), experiment.dummy_batch(17, window))
  return experiment.Trained(config, codec, method, variables, 7, {"bone_lengths": [0.3] * 16})


def run(config, own=None, **options):
  options = {"devices": jax.devices()[:1], **options}
  return adaptation.adapt_clips(trained(), clips() if own is None else own, config, False, **options)


def test_a_gate_that_nothing_passes_gives_the_sources_predictions_to_the_bit(monkeypatch):
  config = AdaptConfig(gate=1.0, **QUICK)
  plain, _ = runs.predict(trained(), clips())
  monkeypatch.setattr(gate, "threshold", lambda scores, quantile: np.inf)
  shut, facts = run(config, source=clips())
  assert facts["adapted_instances"] == 0 and facts["instances"] == 18
  for a, b in zip(plain, shut):
    np.testing.assert_array_equal(a, b)
  monkeypatch.setattr(gate, "threshold", lambda scores, quantile: -np.inf)
  opened, facts = run(config, source=clips())
  free, _ = run(AdaptConfig(**QUICK))
  assert facts["adapted_instances"] == 18
  for a, b in zip(opened, free):
    np.testing.assert_array_equal(a, b)
    assert np.abs(a - plain[0]).max() > 1e-3


def test_a_gate_adapts_to_what_is_above_the_sources_quantile():
  source = clips()
  plain, _ = runs.predict(trained(), source)
  free, _ = run(AdaptConfig(**QUICK))
  for mode in ("vanilla", "online"):
    config = dataclasses.replace(AdaptConfig(**QUICK) if mode == "vanilla" else ONLINE, gate=0.5)
    gated, facts = run(config, source=source)
    assert facts["adapted_instances"] == 9 and facts["gate_threshold"] > 0
    if mode == "vanilla":
      kept = [(a == b).all((1, 2)) for a, b in zip(gated, plain)]
      assert sum(map(sum, kept)) == 9
      for own, alone, same in zip(gated, free, kept):
        close(own[~same], alone[~same])
  with pytest.raises(ValueError, match="gate=0.5 is a quantile of the source's scores: give source clips"):
    run(config)


def test_saved_streams_go_on_where_they_were(tmp_path):
  folder = str(tmp_path / "state")
  config = dataclasses.replace(ONLINE, objective="reprojection+masked_joints+teacher", soft_reset=0.1)
  whole, _ = run(config)
  got = [[], []]
  for start, stop in ((0, 3), (3, 4), (4, 9)):
    pieces = [_piece(c, start, stop) for c in clips()]
    own, facts = run(config, pieces, state_dir=folder)
    assert facts["instances_before"] == 2 * start
    for parts, poses in zip(got, own):
      parts.append(poses)
  for parts, poses in zip(got, whole):
    close(np.concatenate(parts), poses)
  for changed, message in (
    (dict(memory=1, copies=2), "memory: saved 2, now 1"),
    (dict(mode="online_skip"), "mode: saved 'online', now 'online_skip'"),
    (dict(objective="reprojection"), "objective: saved 'reprojection"),
  ):
    with pytest.raises(ValueError, match=message):
      run(dataclasses.replace(config, **changed), state_dir=folder)
  with pytest.raises(ValueError, match="two streams are called 'S1/walk 0/0'"):
    run(config, clips()[:1] * 2, state_dir=folder)
  with pytest.raises(ValueError, match="mode 'vanilla' has none, use an online mode"):
    run(AdaptConfig(**QUICK), state_dir=folder)


def _piece(clip, start, stop):
  names = ("keypoints_2d", "confidence", "joints_3d", "valid")
  return clip.replace(**{n: getattr(clip, n)[start:stop] for n in names})


def test_a_stream_depends_on_no_other_stream():
  config = dataclasses.replace(ONLINE, objective="masked_joints")
  together, _ = run(config, clips(3))
  alone, _ = run(config, clips(3)[2:])
  close(together[2], alone[0])


@pytest.mark.parametrize("mode", ["vanilla", "online"])
def test_eight_devices_give_what_one_gives(mode):
  config = AdaptConfig(**QUICK) if mode == "vanilla" else ONLINE
  one, _ = run(config)
  eight, _ = run(config, devices=None)
  jax.tree.map(close, one, eight)


@pytest.mark.parametrize(
  ("changes", "objective"),
  [
    ({"model": "dstformer"}, "smoothness"),
    ({}, "reprojection+bone_lengths*0.5+symmetry+smoothness*0.1+masked_joints+teacher"),
  ],
)
def test_windows_are_adapted_to_like_frames(changes, objective):
  model, one = trained(3, **changes), clips(1)
  own, facts = adaptation.adapt_clips(
    model, one, dataclasses.replace(ONLINE, objective=objective), False, devices=jax.devices()[:1]
  )
  assert own[0].shape == (9, 17, 3) and np.isfinite(own[0]).all() and facts["instances"] == 3
  if not changes:
    plain, _ = runs.predict(model, one)
    assert np.abs(own[0] - plain[0]).max() > 1e-4


def test_the_fingerprint_holds_every_setting_that_moves_a_number():
  found = adaptation.fingerprint(trained(), AdaptConfig(mode="online", objective=" bone_lengths * 0.50 + reprojection"))
  fields = {f.name for f in dataclasses.fields(AdaptConfig)} - {"chunk"}
  assert set(found) == fields
  assert found["objective"] == "bone_lengths*0.5+reprojection" and found["num_steps"] == 1
  assert adaptation.fingerprint(trained(), AdaptConfig(mode="none")) == {"mode": "none"}
  assert adaptation.fingerprint(trained(), AdaptConfig())["objective"] == "reprojection+bone_lengths"


def test_recommended_settings_are_of_their_modes():
  for mode, config in runs.RECOMMENDED.items():
    assert config.mode == mode and settings.recommended(mode) is config
    assert adaptation.objective_factors(trained(), config.objective)
  with pytest.raises(
    ValueError, match="no recommended setting for mode 'online_skip'; there is one for vanilla, online"
  ):
    settings.recommended("online_skip")
  assert set(runs.RECOMMENDED) < set(adapt.MODES)


def test_objectives_are_chosen_by_name_and_factor():
  available = adaptation.available_objectives(trained())
  assert set(available) == {"reprojection", "bone_lengths", "symmetry", "smoothness", "masked_joints", "teacher"}
  converted = dataclasses.replace(trained(), statistics={})
  with pytest.raises(ValueError, match="no objective 'bone_lengths' for this model; available are reprojection, symm"):
    adaptation.build_objective(converted, "reprojection+bone_lengths")
  inputs = trained().codec.encode(helpers.clip(4).keypoints_2d, helpers.clip(4).camera)[:, None]

  def value(text):
    objective = adaptation.build_objective(trained(), text)
    return float(jax.jit(lambda: objective(trained().variables, inputs, jax.random.key(0))[0])())

  close(value("symmetry*2+bone_lengths*0.5"), 2 * value("symmetry") + 0.5 * value("bone_lengths"))
  close(value("symmetry*3"), 3 * value("symmetry"))


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    (dict(mode="vanila"), "unknown mode 'vanila'"),
    (dict(optimizer="lion"), "unknown optimizer 'lion'; known are adam, sgd, gauss_newton"),
    (dict(num_steps=-1), "num_steps=-1 must be positive"),
    (dict(gate=1.5), "gate=1.5 must be a quantile"),
    (dict(mode="online", soft_reset=2.0), "reset=2.0 is a share"),
    (dict(soft_reset=0.5), "soft_reset=0.5 is for the online modes; mode 'vanilla' carries nothing"),
    (dict(carry_optimizer=True), "carry_optimizer=True is for the online modes"),
    (dict(mode="online", memory=3), "copies=16 must be a multiple of memory=3"),
    (dict(objective="a+*2"), "cannot read '*2'"),
  ],
)
def test_wrong_settings_are_explained(changes, message):
  with pytest.raises(ValueError, match=re.escape(message)):
    AdaptConfig(**changes)
