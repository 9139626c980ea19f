"""The loop end to end: interrupted equals uninterrupted, one device equals eight, streamed equals resident."""

import dataclasses
import functools
import json
import os
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxpose import checkpoint, evaluate, experiment, metric_writer
from jaxpose import config as configs
from jaxpose.train import loop
from tests import helpers

CLIPS = [helpers.clip(20), helpers.clip(15, seed=1, sequence="run")]
HELD_OUT = [helpers.clip(9, seed=2, sequence="sit")]
GAME = ("discriminator_accuracy", "real_judged_real")
ISO = dict(method="iso", method_options=dict(objective="cycle", discriminator_options=dict(width=16)))


def run(workdir, devices=None, **changes):
  devices = devices or jax.devices()[:1]
  return loop.train(helpers.config(**changes), str(workdir), CLIPS, HELD_OUT, devices=devices)


def assert_close(a, b, **tolerance):
  flat_a, flat_b = jax.tree.leaves(jax.device_get(a)), jax.tree.leaves(jax.device_get(b))
  assert len(flat_a) == len(flat_b)
  for x, y in zip(flat_a, flat_b):
    np.testing.assert_allclose(x, y, **tolerance)


def predictions(state, **changes):
  config = helpers.config(**changes)
  codec = experiment.build_codec(config, CLIPS[0].skeleton, CLIPS)
  variables = jax.tree.map(np.asarray, jax.device_get(state.variables))
  return evaluate.predict(experiment.build_method(config, codec).graphs["lift"], variables, HELD_OUT)


@pytest.mark.parametrize("resident", [True, False])
def test_interrupted_training_ends_on_the_same_state(tmp_path, monkeypatch, resident):
  whole = run(tmp_path / "whole", resident=resident)

  class Killed(Exception):
    pass

  original = loop._report

  def dies_at_nine(start, stop, *args):
    if stop == 9:
      raise Killed
    original(start, stop, *args)

  monkeypatch.setattr(loop, "_report", dies_at_nine)
  with pytest.raises(Killed):
    run(tmp_path / "cut", resident=resident)
  monkeypatch.setattr(loop, "_report", original)
  assert checkpoint.steps(str(tmp_path / "cut")) == [6]
  resumed = run(tmp_path / "cut", resident=resident)
  assert_close(resumed, whole, rtol=0, atol=0)
  logged = [line["step"] for line in metric_writer.read(str(tmp_path / "cut")) if "train/loss" in line]
  assert logged == [3, 6, 9, 12]


@pytest.mark.parametrize("changes", [{}, ISO], ids=["supervised", "iso"])
def test_eight_devices_equal_one(tmp_path, changes):
  one = run(tmp_path / "one", **changes)
  eight = run(tmp_path / "eight", devices=jax.devices()[:8], **changes)
  assert_close(predictions(one, **changes), predictions(eight, **changes), rtol=0, atol=1e-3)
  logs = [metric_writer.read(str(tmp_path / name)) for name in ("one", "eight")]
  for a, b in zip(*([line["train/loss"] for line in log if "train/loss" in line] for log in logs), strict=True):
    assert a == pytest.approx(b, rel=1e-4)
  assert all(len(x.sharding.device_set) == 8 for x in jax.tree.leaves(eight.params))


def test_streamed_training_equals_resident(tmp_path):
  resident, streamed = run(tmp_path / "resident"), run(tmp_path / "streamed", resident=False)
  assert_close(predictions(resident), predictions(streamed), rtol=0, atol=1e-3)


def test_training_lowers_the_loss_and_finds_its_best_checkpoint(tmp_path):
  run(tmp_path, num_steps=120, log_every=20, eval_every=20, keep_best=2, optim=dict(learning_rate=3e-3))
  lines = metric_writer.read(str(tmp_path))
  losses = [line["train/loss"] for line in lines if "train/loss" in line]
  assert losses[-1] < 0.7 * losses[0]
  scores = {line["step"]: line["validation/mpjpe_mm"] for line in lines if "validation/mpjpe_mm" in line}
  best = sorted(scores, key=scores.get)
  assert checkpoint.choose(str(tmp_path)) == best[0]
  assert checkpoint.choose(str(tmp_path), "latest") == 120
  assert checkpoint.steps(str(tmp_path)) == sorted({*best[:2], 120})


def test_the_game_is_logged_and_both_heads_are_validated(tmp_path):
  own = dict(
    lift="bones",
    size=4.2,
    vertical="scene",
    noise=0.05,
    discriminator_options=dict(width=16),
    objective="cycle",
  )
  config = helpers.config(method="iso", method_options=own, codec="canonical")
  state = loop.train(config, str(tmp_path), CLIPS, HELD_OUT, devices=jax.devices()[:1], watched={"street": CLIPS[:1]})
  lines = metric_writer.read(str(tmp_path))
  assert all(0 <= r[f"train/{name}"] <= 1 for r in lines if "train/loss" in r for name in GAME)
  last = [r for r in lines if "validation/mpjpe_mm" in r][-1]
  assert 0 <= last["validation/street_judged_real"] <= 1

  trained = experiment.load(str(tmp_path), "latest")
  (second,) = evaluate.predict(trained.method.graphs["self_supervised"], trained.variables, HELD_OUT)
  truth = HELD_OUT[0].joints_3d
  error = np.linalg.norm(second - second[:, :1] - truth + truth[:, :1], axis=-1).mean()
  assert last["validation/self_supervised_mpjpe_mm"] == pytest.approx(1000 * error, rel=1e-4)
  assert last["validation/self_supervised_mpjpe_mm"] != last["validation/mpjpe_mm"]
  inputs = trained.codec.encode(HELD_OUT[0].keypoints_2d, HELD_OUT[0].camera)
  real = np.asarray(trained.method.judge(state.variables, inputs[None])) > 0
  assert last["validation/source_judged_real"] == pytest.approx(real.mean())


@pytest.mark.parametrize(("most", "frames"), [(9, 9), (8, 5), (4, 3)])
def test_validation_looks_at_as_many_frames_as_it_may(tmp_path, monkeypatch, most, frames):
  seen, build = [], loop.validation.build

  def watched(config, method, codec, clips, others):
    seen.extend(len(clip) for clip in clips)
    return build(config, method, codec, clips, others)

  monkeypatch.setattr(loop.validation, "build", watched)
  run(tmp_path, eval_max_frames=most, num_steps=1, log_every=1, eval_every=1)
  assert seen == [frames]


def test_sigterm_ends_a_stretch_and_saves_what_the_run_goes_on_from(tmp_path, monkeypatch):
  whole, original = run(tmp_path / "whole"), loop._advance
  before = signal.getsignal(signal.SIGTERM)

  def advance_to(last, *arguments):
    advance = original(*arguments)

    def one(state, start, stop):
      if stop == last:
        os.kill(os.getpid(), signal.SIGTERM)
      return advance(state, start, stop)

    return one

  for last in (3, 6, 9):  # between two validations, at one, and with one behind it
    monkeypatch.setattr(loop, "_advance", functools.partial(advance_to, last))
    with pytest.raises(SystemExit) as ended:
      run(tmp_path / "cut")
    assert ended.value.code == 143 and checkpoint.steps(str(tmp_path / "cut"))[-1] == last
  monkeypatch.setattr(loop, "_advance", original)
  assert_close(run(tmp_path / "cut"), whole, rtol=0, atol=0)
  assert signal.getsignal(signal.SIGTERM) == before
  assert checkpoint.steps(str(tmp_path / "cut")) == [6, 12]  # those of 3 and 9 were not measured, and not kept
  logged = [line["step"] for line in metric_writer.read(str(tmp_path / "cut")) if "train/loss" in line]
  assert logged == [3, 6, 9, 12]


def test_the_config_says_which_checkpoint_is_used(tmp_path, monkeypatch):
  errors = iter([100.0, 200.0])  # it gets worse: the best is not the latest
  monkeypatch.setattr(loop.validation, "build", lambda *_: lambda _: {"mpjpe_mm": next(errors)})
  run(tmp_path, select="latest")
  assert [(t.step, t.selection) for t in map(lambda w: experiment.load(str(tmp_path), w), ("", "best", 6))] == [
    (12, "latest"),
    (6, "best"),
    (6, "given step"),
  ]
  stored = configs.from_dict({n: v for n, v in configs.to_dict(helpers.config()).items() if n != "select"})
  assert stored.select == "best"  # as runs were before configs said


def test_a_trained_run_is_loaded_as_it_was(tmp_path):
  state = run(tmp_path, codec="zscore")
  trained = experiment.load(str(tmp_path), "latest")
  assert trained.step == 12 and trained.config == helpers.config(codec="zscore") and trained.codec.name == "zscore"
  assert_close(trained.variables, state.variables, rtol=0, atol=0)


@pytest.mark.parametrize(
  "optim",
  [
    dict(name="adamw", weight_decay=0.01, schedule="cosine", warmup_steps=3),
    dict(schedule="plateau", plateau_window=2),
    dict(accumulate_steps=2, clip_norm=1.0),
    dict(max_norm=1.0),
  ],
  ids=lambda o: "-".join(o),
)
def test_every_optimizer_option_trains(tmp_path, optim):
  state = run(tmp_path, optim=optim)
  assert all(np.isfinite(x).all() for x in jax.tree.leaves(jax.device_get(state.params)))


def test_bfloat16_compute_keeps_float32_parameters(tmp_path):
  options = dict(helpers.config().model_options, dtype="bfloat16")
  state = run(tmp_path, model_options=options)
  assert {x.dtype.name for x in jax.tree.leaves(state.params)} == {"float32"}


def test_nan_stops_with_step_rows_and_remedy(tmp_path):
  with pytest.raises(FloatingPointError, match=r"at step \d+ \(rows .*The last checkpoint is intact.*learning_rate"):
    run(tmp_path, optim=dict(learning_rate=1e30, schedule="constant"))


def test_a_gradient_that_is_not_finite_stops_though_the_loss_is(tmp_path, monkeypatch):
  build = experiment.build_method

  def broken(config, codec):
    method = build(config, codec)

    def loss(variables, batch, key):  # sqrt has no slope at 0
      value, rest = method.loss(variables, batch, key)
      return value + jnp.sqrt(sum(jnp.sum(0 * x) for x in jax.tree.leaves(variables["params"]))), rest

    return dataclasses.replace(method, loss=loss)

  monkeypatch.setattr(experiment, "build_method", broken)
  with pytest.raises(FloatingPointError, match="at step 0 "):
    run(tmp_path)


def test_checkpoint_of_another_model_is_refused(tmp_path):
  run(tmp_path)
  other = dict(helpers.config().model_options, width=8)
  with pytest.raises(ValueError, match=r"is of another model: head/.*checkpoint \[16\], model \[8\].* and \d+ more"):
    run(tmp_path, model_options=other)


def test_full_disk_leaves_the_last_checkpoint_and_nothing_half_written(tmp_path, monkeypatch):
  run(tmp_path, num_steps=6)
  config = dataclasses.replace(helpers.config(), num_steps=12)
  told = dict(devices=jax.devices()[:1], allow_changed=("config.num_steps",))
  manager = checkpoint.ocp.CheckpointManager
  original = manager.save

  def full(self, step, **kwargs):
    (tmp_path / "checkpoints" / f"{step}.orbax-checkpoint-tmp-1").mkdir()
    raise OSError(28, "No space left on device")

  monkeypatch.setattr(manager, "save", full)
  with pytest.raises(OSError, match="could not write a checkpoint .*No space left.*resumes from the last complete"):
    loop.train(config, str(tmp_path), CLIPS, HELD_OUT, **told)
  assert [p.name for p in (tmp_path / "checkpoints").iterdir() if "tmp" in p.name] == []
  assert checkpoint.steps(str(tmp_path)) == [6]
  monkeypatch.setattr(manager, "save", original)
  loop.train(config, str(tmp_path), CLIPS, HELD_OUT, **told)
  assert checkpoint.steps(str(tmp_path))[-1] == 12


def test_batch_size_must_fit_the_devices(tmp_path):
  with pytest.raises(ValueError, match="batch_size=6 is not divisible by the 8 devices"):
    run(tmp_path, devices=jax.devices()[:8], batch_size=6)


def test_the_batch_follows_from_the_devices(tmp_path):
  once = dict(batch_per_device=3, num_steps=1, log_every=1, eval_every=1)
  run(tmp_path, devices=jax.devices()[:2], **once)
  assert checkpoint.describe(str(tmp_path), 1)["config"]["batch_size"] == 6
  with pytest.raises(ValueError, match="config.batch_size: 6 there, 3 here"):  # other rows than on two devices
    run(tmp_path, **once)


def test_config_json_round_trips(tmp_path):
  run(tmp_path)
  assert configs.from_dict(json.loads((tmp_path / "config.json").read_text())) == helpers.config()
