"""Adapting a run to clips: modes, streams that go on, people whose bones are known, and what a fingerprint says."""

import dataclasses
import functools
import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxpose import adaptation, experiment, runs, stopwatch
from jaxpose import codec as codecs
from jaxpose.adapt import fit, person, second_order, settings
from jaxpose.adapt.person import Belief
from jaxpose.adapt.settings import AdaptConfig
from tests import helpers
from tests.adapt import clip_models

close = functools.partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-4)
# Solves of single precision, by programs of other shapes: within a millimetre.
near = functools.partial(np.testing.assert_allclose, atol=1e-3)
QUICK = dict(objective="reprojection", learning_rate=1e-2, copies=1, num_steps=2)
ONLINE = AdaptConfig(mode="online", **{**QUICK, "num_steps": 1}, every=2, carry_optimizer=True)
# A random lifter explains no keypoints: with a large noise its solves are well-posed, and comparable to rounding.
SOLVED = {
  m: AdaptConfig(mode=m, optimizer="gauss_newton", noise=2.0, prior_m=0.01) for m in ("vanilla", "online", "video")
}


@pytest.fixture(autouse=True, scope="module")
def _bones_of_a_random_lifter():
  """A random lifter's poses have no bones: held to some by 3 %, a solve is ill-posed and cannot be compared."""
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(fit, "BONE_NOISE", 1.0)
    second_order.adapter.cache_clear()  # what is compiled has the constant in it
    yield
  second_order.adapter.cache_clear()


def clips(count=2, frames=9, **changes):
  return [helpers.clip(frames, seed=i, sequence=f"walk {i}", **changes) for i in range(count)]


@functools.cache
def trained():
  config = helpers.config(model_options=dict(width=16, trunk_blocks=0, head_blocks=0))
  codec = codecs.build("root_rms", helpers.clip().skeleton)
  method = experiment.build_method(config, codec)
  variables = jax.jit(method.init)(jax.random.key(0), experiment.dummy_batch(17, 1))
  return experiment.Trained(config, codec, method, variables, 7, helpers.statistics())


def run(config, own=None, model=None, **options):
  options = {"devices": jax.devices()[:1], **options}
  return adaptation.adapt_clips(model or trained(), clips() if own is None else own, config, False, **options)


@pytest.mark.parametrize("config", [ONLINE, SOLVED["online"]], ids=["adam", "gauss_newton"])
def test_saved_streams_go_on_where_they_were(tmp_path, config, monkeypatch):
  monkeypatch.setattr(adaptation, "LENGTH", 1)  # one program for all lengths: a solve of a random lifter is ill-posed
  folder = str(tmp_path / "state")
  whole, _ = run(config)
  got = [[], []]
  for start, stop in ((0, 3), (3, 4), (4, 9)):
    pieces = [_piece(c, start, stop) for c in clips()]
    own, facts = run(config, pieces, state_dir=folder)
    assert facts["instances_before"] == 2 * start
    for parts, poses in zip(got, own):
      parts.append(poses)
  for parts, poses in zip(got, whole):
    _same(config)(np.concatenate(parts), poses)
  with pytest.raises(ValueError, match="two streams are called 'S1/walk 0/0'"):
    run(config, clips()[:1] * 2, state_dir=folder)
  with pytest.raises(ValueError, match="stream: saved 'clip', now 'camera'"):
    run(dataclasses.replace(config, stream="camera"), state_dir=folder)


def test_a_stream_that_was_adapted_otherwise_is_refused(tmp_path):
  folder = str(tmp_path / "state")
  run(ONLINE, state_dir=folder)
  for changed, message in (
    (dict(carry_optimizer=False), "carry_optimizer: saved True, now False"),
    (dict(mode="online_skip"), "mode: saved 'online', now 'online_skip'"),
    (dict(learning_rate=1e-3), "learning_rate: saved 0.01, now 0.001"),
  ):
    with pytest.raises(ValueError, match=message):
      run(dataclasses.replace(ONLINE, **changed), state_dir=folder)
  for config in (AdaptConfig(**QUICK), SOLVED["video"]):
    with pytest.raises(ValueError, match=f"mode '{config.mode}' has none, use an online mode"):
      run(config, state_dir=folder)


def _same(config):
  return near if config.optimizer == "gauss_newton" else close


def _piece(clip, start, stop):
  names = ("keypoints_2d", "confidence", "joints_3d", "valid")
  return clip.replace(**{n: getattr(clip, n)[start:stop] for n in names})


@pytest.mark.parametrize("config", [ONLINE, *SOLVED.values()], ids=["adam", *SOLVED])
def test_a_stream_depends_on_no_other_stream(config):
  if config == SOLVED["online"]:
    config = dataclasses.replace(config, chunk=1)  # one program: a solve of a random lifter is ill-posed
  together, _ = run(config, clips(3))
  alone, _ = run(config, clips(3)[2:])
  _same(config)(together[2], alone[0])


@pytest.mark.parametrize(
  "config",
  [AdaptConfig(**QUICK), ONLINE, *SOLVED.values()],
  ids=["vanilla_adam", "online_adam", *SOLVED],
)
def test_eight_devices_give_what_one_gives(config):
  by_one = (
    dataclasses.replace(config, chunk=1) if config == SOLVED["online"] else config
  )  # a stream at a time, as there
  one, _ = run(by_one)
  eight, _ = run(config, devices=None)
  jax.tree.map(_same(config), one, eight)


def test_streams_of_a_subject_share_what_was_learnt():
  """Online, the second clip goes on from the first; in mode video, each knows what both said."""
  by_clip, by_subject = (run(dataclasses.replace(SOLVED["online"], stream=s))[0] for s in ("clip", "subject"))
  near(by_clip[0], by_subject[0])
  assert np.abs(by_clip[1] - by_subject[1]).max() > 1e-4
  video = dataclasses.replace(SOLVED["video"], stream="subject")
  alone, together = run(SOLVED["video"])[0], run(video)[0]
  assert all(np.abs(a - b).max() > 1e-4 for a, b in zip(alone, together))
  strangers = [c.replace(subject=s) for c, s in zip(clips(), ("S1", "S2"))]
  jax.tree.map(near, run(video, strangers)[0], alone)


def test_a_video_knows_what_all_of_its_frames_say():
  """The last of three rounds is vanilla, told what the frames said in the second, each told so by the first."""
  model, own = trained(), clips(1)
  made, rows = adaptation.build(model, SOLVED["video"]), adaptation.evaluation.cut(own, valid_only=True)
  every = adaptation._instances(model, SOLVED["video"], own, rows, len(rows.clip))
  np.testing.assert_allclose(every["fresh"], 1 / 30, rtol=1e-6)
  adapt, told = jax.jit(made.adapt), adaptation.known(model, SOLVED["video"], ["S1"])
  told = jax.tree.map(lambda x: x[0], told)
  believed, states = told.belief, []
  for _ in range(adaptation.ROUNDS):
    begin = made.init(model.variables, told._replace(belief=believed))
    states = [
      adapt(model.variables, begin, jax.tree.map(lambda x, i=i: x[i], every), None) for i in range(len(rows.clip))
    ]
    learnt = [jax.tree.map(lambda a, b: np.asarray(a) - np.asarray(b), s.known.belief, believed) for s in states]
    believed = jax.tree.map(lambda k, *x: k + sum(x), told.belief, *learnt)
  outputs = [
    made.predict(model.variables, s, jax.tree.map(lambda x, i=i: x[i : i + 1], every), None)
    for i, s in enumerate(states)
  ]
  outputs = {name: np.concatenate([o[name] for o in outputs]) for name in outputs[0]}
  poses = adaptation.evaluation.decode_both(outputs, rows.batch, codec=model.codec)
  np.testing.assert_allclose(run(SOLVED["video"], own)[0][0], poses[:, 0], atol=2e-3)


@pytest.mark.parametrize("mode", ["video"])
def test_windows_are_solved_for_like_frames(mode):
  """Two windows and a tail that overlaps them, and a clip shorter than a window; of a DSTformer."""
  model, own = clip_models.trained(), [helpers.clip(7), helpers.clip(2, seed=1, sequence="short")]
  poses, facts = run(SOLVED[mode], own, model)
  assert facts["instances"] == 4
  for pose, clip in zip(poses, own):
    assert pose.shape == clip.joints_3d.shape and np.isfinite(pose).all()
  plain, _ = runs.predict(model, own)
  assert max(np.abs(a - b).max() for a, b in zip(poses, plain)) > 1e-3


@pytest.mark.parametrize(
  "config", [AdaptConfig(**QUICK), ONLINE, *SOLVED.values()], ids=["vanilla_adam", "online_adam", *SOLVED]
)
def test_a_second_call_of_the_same_shape_compiles_nothing(config):
  run(config)
  with stopwatch.measure() as timing:
    again, _ = run(dataclasses.replace(config), [c.replace(subject="S9") for c in clips()])
  assert timing["programs"] == 0 and np.isfinite(again[0]).all()


def test_time_is_told_without_compilation():
  model, own = dataclasses.replace(trained(), adapters={}), clips(1, 5)
  _, timing = runs.predict(model, own, adapt=dataclasses.replace(SOLVED["vanilla"], noise=0.07), show_progress=False)
  assert timing["programs"] > 0 and timing["seconds_compiling"] > 0 and timing["instances"] == 5
  assert 0 < timing["seconds"] == 5 * timing["seconds_per_instance"]


CHANGES = {
  "mode": (AdaptConfig(**QUICK), "online"),
  "objective": (AdaptConfig(**{**QUICK, "objective": "cycle"}), "adversary"),
  "num_steps": (AdaptConfig(**QUICK), 3),
  "learning_rate": (AdaptConfig(**QUICK), 2e-2),
  "every": (ONLINE, 3),
  "copies": (AdaptConfig(**{**QUICK, "objective": "adversary"}), 2),
  "groups": (AdaptConfig(**QUICK), ("trunk", "head")),
  "optimizer": (AdaptConfig(**QUICK), "sgd"),
  "carry_optimizer": (ONLINE, False),
  "prior_m": (SOLVED["vanilla"], 0.05),
  "noise": (SOLVED["vanilla"], 0.02),
  "bones": (SOLVED["vanilla"], {"S1": {"left_knee": 0.6}}),
  "height": (SOLVED["vanilla"], 1.2),
  "stream": (ONLINE, "subject"),
  "seed": (AdaptConfig(**{**QUICK, "objective": "adversary"}), 1),
}


@functools.cache
def plain(name):
  """The predictions of `CHANGES[name]` as it is."""
  config = CHANGES[name][0]
  return np.concatenate(run(config, model=_model(config))[0])


def _model(config):
  """Random objectives need a discriminator."""
  return _joint() if config.objective in ("adversary", "cycle") else trained()


@functools.cache
def _joint():
  options = dict(width=16, trunk_blocks=0, head_blocks=0)
  config = helpers.config(
    method="iso", model_options=options, method_options=dict(discriminator_options=dict(width=8, blocks=0))
  )
  codec = codecs.build("root_rms", helpers.clip().skeleton)
  method = experiment.build_method(config, codec)
  variables = jax.jit(method.init)(jax.random.key(0), experiment.dummy_batch(17, 1))
  return experiment.Trained(config, codec, method, variables, 7, helpers.statistics())


@pytest.mark.parametrize("name", list(CHANGES))
def test_every_setting_moves_a_number(name):
  config, value = CHANGES[name]
  changed = dataclasses.replace(config, **{name: value})
  moved = np.concatenate(run(changed, model=_model(config))[0])
  assert np.abs(moved - plain(name)).max() > 1e-5
  assert adaptation.fingerprint(_model(config), changed) != adaptation.fingerprint(_model(config), config)


def test_every_setting_is_tried():
  assert set(CHANGES) == {f.name for f in dataclasses.fields(AdaptConfig)} - {"chunk"}
  for config in (AdaptConfig(**QUICK), SOLVED["vanilla"]):
    jax.tree.map(_same(config), run(config)[0], run(dataclasses.replace(config, chunk=5))[0])


def test_what_is_known_of_a_person_is_a_persons_own():
  config = dataclasses.replace(SOLVED["vanilla"], bones={"S1": {"left_knee": 0.6}})
  two = [c.replace(subject=s) for c, s in zip(clips(), ("S1", "S2"))]
  plain_one, plain_two = run(SOLVED["vanilla"], two)[0]
  one, other = run(config, two)[0]
  np.testing.assert_allclose(other, plain_two, atol=1e-5)
  assert np.abs(one - plain_one).max() > 1e-4
  everyone = run(dataclasses.replace(config, bones={"": {"left_knee": 0.6}}), two)[0]
  near(everyone[0], one)
  assert np.abs(everyone[1] - plain_two).max() > 1e-4
  with pytest.raises(ValueError, match="no bone ends at 'left_kne'"):
    run(dataclasses.replace(config, bones={"": {"left_kne": 0.6}}), two)


def test_one_adapter_serves_all_settings_and_runs_of_an_architecture():
  model, config = trained(), SOLVED["online"]
  made = adaptation.build(model, config)
  for changes in (
    dict(bones={"": {"left_knee": 0.5}}),
    dict(seed=4),
    dict(chunk=3),
    dict(noise=0.2),
    dict(mode="video"),
  ):
    assert adaptation.build(dataclasses.replace(model, adapters={}), dataclasses.replace(config, **changes)) is made
  told = adaptation.known(model, config, ["S1", "S2"])
  assert told.belief.vector.shape == (2, 16) and (told.doubt == adaptation.DOUBT).all()
  lengths = model.statistics["bone_lengths_m"]
  np.testing.assert_allclose(person.moments(Belief(*(jnp.asarray(x[1]) for x in told.belief)))[0], lengths, rtol=1e-4)
  assert np.isinf(adaptation.known(model, SOLVED["video"], ["S1"]).doubt).all()
  assert adaptation.known(model, ONLINE, ["S1"]) is None


def test_a_run_that_does_not_know_its_source_cannot_be_solved_for():
  converted = dataclasses.replace(trained(), statistics={}, adapters={})
  with pytest.raises(ValueError, match="does not say 'bone_lengths_m', which gauss_newton needs of the source"):
    run(SOLVED["vanilla"], model=converted)
  run(AdaptConfig(**QUICK), model=converted)


def test_the_fingerprint_holds_every_setting_that_moves_a_number():
  found = adaptation.fingerprint(trained(), AdaptConfig(mode="online", objective="reprojection"))
  assert set(found) == {f.name for f in dataclasses.fields(AdaptConfig)} - {"chunk"}
  assert found["objective"] == "reprojection" and found["num_steps"] == 1
  assert adaptation.fingerprint(trained(), AdaptConfig(mode="none")) == {"mode": "none"}
  assert adaptation.fingerprint(_joint(), AdaptConfig())["objective"] == "cycle"
  json.dumps(adaptation.fingerprint(trained(), SOLVED["video"]))
  with pytest.raises(ValueError, match="no objective 'cycle' for this model; it can be adapted by reprojection, or by"):
    adaptation.fingerprint(trained(), AdaptConfig())


def test_recommended_settings_are_of_their_modes():
  for mode, config in runs.RECOMMENDED.items():
    assert config.mode == mode and settings.recommended(mode) is config
  with pytest.raises(
    ValueError, match="no recommended setting for mode 'online_skip'; there is one for vanilla, online, video"
  ):
    settings.recommended("online_skip")
  assert set(runs.RECOMMENDED) < set(settings.MODES)


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    (dict(mode="vanila"), "unknown mode 'vanila'"),
    (dict(optimizer="lion"), "unknown optimizer 'lion'; known are adam, sgd, gauss_newton"),
    (dict(stream="room"), "unknown stream 'room'; known are clip, camera, subject"),
    (dict(num_steps=-1), "num_steps=-1 must be positive"),
    (dict(noise=float("nan")), "noise=nan must be positive"),
    (dict(carry_optimizer=True), "carry_optimizer=True is for the online modes"),
    (dict(mode="video"), "mode 'video' learns a person's bones: it needs optimizer='gauss_newton'"),
    (dict(height=1.7), "bones and height are for gauss_newton; optimizer 'adam' knows no person"),
    (dict(bones={"": {"left_knee": 0.4}}), "bones and height are for gauss_newton"),
    (dict(optimizer="gauss_newton", mode="online_skip"), "gauss_newton has vanilla, online and video"),
    (dict(optimizer="gauss_newton", num_steps=3), "num_steps=3 means nothing to gauss_newton"),
    (dict(optimizer="gauss_newton", objective="cycle"), "objective='cycle' means nothing to gauss_newton"),
  ],
)
def test_wrong_settings_are_explained(changes, message):
  with pytest.raises(ValueError, match=re.escape(message)):
    AdaptConfig(**changes)


def test_mode_none_adapts_nothing():
  with pytest.raises(ValueError, match="mode 'none' adapts nothing; call evaluate"):
    run(AdaptConfig(mode="none"))
