"""Fine-tuning: another run's weights to begin with, parts that stay as they are, an end when nothing gets better."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxpose import checkpoint, distributed, experiment
from jaxpose import codec as codecs
from jaxpose import config as configs
from jaxpose.train import initial, loop, rates, validation
from jaxpose.train import state as states
from jaxpose.train.state import TrainState
from tests import helpers

CLIPS = [helpers.clip(20), helpers.clip(15, seed=1, sequence="run")]
HELD_OUT = [helpers.clip(9, seed=2, sequence="sit")]
SIZES = dict(dim_feat=8, dim_rep=8, depth=2, num_heads=2, mlp_ratio=1, maxlen=4)
DSTFORMER = dict(model="dstformer", window=2, model_options=SIZES, augment=dict(flip=0.0))

# What the runs here have in common, so that they compile once.
RUN = dict(codec="zscore", log_every=2, eval_every=2, augment=dict(flip=0.0), optim=dict(schedule="constant"))


def train(workdir, **changes):
  return loop.train(helpers.config(**changes), str(workdir), CLIPS, HELD_OUT, devices=jax.devices()[:1])


def fresh(config: configs.Config, codec: codecs.Codec) -> TrainState:
  """A state as a run of this config begins with; drawn by NumPy, since there is nothing to compile for that."""
  tx = loop.optim.build(config.optim, config.num_steps, lambda params: jax.tree.map(lambda _: "lifter", params))
  batch = experiment.dummy_batch(codec.skeleton.num_joints, config.window)
  create = functools.partial(states.create, method=experiment.build_method(config, codec), tx=tx)
  shapes, rng = jax.eval_shape(create, jax.random.key(0), batch), np.random.default_rng(0)
  weights = jax.tree.map(lambda x: rng.normal(0, 0.3, x.shape).astype(x.dtype), shapes.params)
  statistics = jax.tree.map(lambda x: rng.uniform(0.5, 1.5, x.shape).astype(x.dtype), shapes.model_state)
  zeros = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), shapes)
  sharding = distributed.replicated(distributed.make_mesh(jax.devices()[:1]))
  return distributed.put_same(dataclasses.replace(zeros, params=weights, model_state=statistics), sharding)


def write_run(workdir, scores=(2.0, 1.0, 3.0), **changes):
  """A run of no training: a checkpoint for every score, of fresh weights plus the checkpoint's number."""
  config = helpers.config(**changes)
  codec = experiment.build_codec(config, CLIPS[0].skeleton, CLIPS)
  description = {"config": configs.to_dict(config), "codec": codec.to_json(), "statistics": {}}
  writer = checkpoint.Writer(str(workdir), description=description)
  state = fresh(config, codec)
  for step, score in enumerate(scores):
    params, rest = jax.tree.map(lambda x, step=step: x + step, (state.params, state.model_state))
    writer.save(step, dataclasses.replace(state, params=params, model_state=rest), {"mpjpe_mm": score})
  writer.close()
  return config, codec, state


@pytest.fixture(scope="module")
def other(tmp_path_factory):
  """The workdir of a run of an MLP whose best weights are fresh ones plus 1, and its config, codec and fresh state."""
  workdir = tmp_path_factory.mktemp("other")
  return str(workdir), *write_run(workdir, codec="zscore")


def named(tree):
  return {rates.path_name(p): np.asarray(x) for p, x in jax.tree_util.tree_leaves_with_path(jax.device_get(tree))}


@pytest.mark.parametrize("parts", [("trunk", "head"), ("trunk",)])
def test_the_parts_asked_for_are_the_other_runs_best_and_the_rest_is_fresh(other, parts):
  workdir, _, codec, state = other
  taken = initial.take(workdir, parts, state, codec)
  assert set(taken.model_state["batch_stats"]) == {"trunk", "head"}
  for got, own in ((taken.params, state.params), (taken.model_state["batch_stats"], state.model_state["batch_stats"])):
    for path, leaf in named(got).items():
      np.testing.assert_array_equal(leaf, named(own)[path] + (path.split("/")[0] in parts))
  assert jax.tree.structure(taken) == jax.tree.structure(state)


def test_what_does_not_fit_is_named(other, tmp_path):
  workdir, config, codec, state = other
  with pytest.raises(ValueError, match="init_from=.*nowhere' holds no checkpoint of a run"):
    initial.take(str(tmp_path / "nowhere"), ("trunk",), state, codec)
  with pytest.raises(ValueError, match="names 'tail', which the run in .* does not have; it has head, trunk"):
    initial.take(workdir, ("tail",), state, codec)
  without = dataclasses.replace(state, params={"trunk": state.params["trunk"]})
  with pytest.raises(ValueError, match="names 'head', which this run does not have; it has trunk"):
    initial.take(workdir, ("head",), without, codec)
  wider = dataclasses.replace(config, model_options=dict(config.model_options, width=8))
  with pytest.raises(ValueError, match=r"do not fit: head/.*checkpoint \[16\], model \[8\].* more.*model_options"):
    initial.take(workdir, ("head",), fresh(wider, codec), codec)
  assert initial.take(workdir, ("trunk",), dataclasses.replace(state, params={**state.params, "head": {}}), codec)


def test_weights_are_not_taken_from_behind_another_codec(other):
  workdir, _, codec, state = other
  take = functools.partial(initial.take, workdir, ("trunk",), state)
  with pytest.raises(ValueError, match="codec: there zscore, here screen.*Use the same codec"):
    take(codecs.build("screen", codec.skeleton))
  with pytest.raises(ValueError, match="input channels: there 2, here 3"):
    take(codecs.build("zscore", codec.skeleton, {**codec.constants, "confidence_channel": 1}))
  remeasured = codecs.build("zscore", codec.skeleton, {"space": "pixels"}, CLIPS[:1])
  with pytest.raises(ValueError, match=r"constant mean_2d: there \[\[.*, here \[\[.*constant std_3d"):
    take(remeasured)
  names = list(codec.skeleton.names)
  names[1], names[4] = names[4], names[1]
  with pytest.raises(ValueError, match="joints: there .*'right_hip'.*, here .*'left_hip'"):
    take(dataclasses.replace(codec, skeleton=dataclasses.replace(codec.skeleton, names=tuple(names))))


def test_a_constant_of_decoding_alone_may_differ(tmp_path):
  _, codec, state = write_run(tmp_path, codec="image_25d", codec_constants={"bone_length_m": 4.0})
  changed = codecs.build("image_25d", codec.skeleton, {"bone_length_m": 3.9})
  taken = named(initial.take(str(tmp_path), ("head",), state, changed).params["head"])
  assert all(np.array_equal(taken[path], leaf + 1) for path, leaf in named(state.params["head"]).items())


class Killed(Exception):
  pass


# Validation errors by step: the best at 4, and three worse ones after it.
SCORES = {2: 50.0, 4: 40.0, 6: 45.0, 8: 44.0, 10: 60.0}
SAVE = checkpoint.Writer.save


def scripted(monkeypatch, dies_at=None):
  """Validation says what SCORES has for the step that is saved next."""

  def scored(self, step, state, scores, *others):
    del scores
    if step == dies_at:
      raise Killed
    return SAVE(self, step, state, {"mpjpe_mm": SCORES[step]}, *others)

  monkeypatch.setattr(checkpoint.Writer, "save", scored)


def test_killed_before_its_first_checkpoint_a_run_begins_with_the_same_weights(other, tmp_path, monkeypatch):
  options = dict(RUN, init_from=other[0], init_parts=("trunk",), num_steps=2)
  scripted(monkeypatch, dies_at=2)
  with pytest.raises(Killed):
    train(tmp_path / "cut", **options)
  assert checkpoint.steps(str(tmp_path / "cut")) == []
  scripted(monkeypatch)
  again, whole = train(tmp_path / "cut", **options), train(tmp_path / "whole", **options)
  jax.tree.map(np.testing.assert_array_equal, jax.device_get(again), jax.device_get(whole))
  kernels = again.params["trunk"]["stem"]["kernel"], other[3].params["trunk"]["stem"]["kernel"] + 1
  np.testing.assert_allclose(*kernels, rtol=0, atol=2.1e-3)  # two steps of Adam at 1e-3


def test_everything_at_once_moves_what_it_should_and_not_a_bit_of_the_rest(tmp_path):
  """bfloat16, accumulation, recomputation, another run's trunk, frozen but for its norms, a new head, a focal loss."""
  _, codec, before = write_run(tmp_path, scores=(1.0,), **DSTFORMER)
  patterns = {"trunk/*": 0.0, "trunk/*norm*": 5e-4}
  config = helpers.config(
    **{
      **DSTFORMER,
      "model_options": dict(SIZES, dim_rep=4, head_activation="relu", remat="full", dtype="bfloat16"),
      "method_options": dict(loss="mpjpe", bone_weight=0.0, focal=2.0),
      "optim": dict(name="adamw", weight_decay=0.01, accumulate_steps=2, clip_norm=1.0, rates=patterns),
    }
  )
  start = initial.take(str(tmp_path), ("trunk",), fresh(config, codec), codec)
  assert all(np.array_equal(x, named(before.params)[p]) for p, x in named(start.params).items() if "trunk" in p)
  method = rates.freeze(experiment.build_method(config, codec), config.optim)
  tx = loop.optim.build(config.optim, 4, method.labels)
  one = jax.jit(functools.partial(loop.steps.train_step, method=method, tx=tx, base_key=jax.random.key(0)))
  batch, state = loop.pipeline.gather(loop.pipeline.windows(CLIPS, 2), np.arange(4), 2), start
  for _ in range(4):
    state, metrics = one(state, batch)
    assert np.isfinite(metrics["loss"]) and np.isfinite(metrics["grad_norm"]) and metrics["grad_norm"] > 0
  then = named(start.params)
  trained = {p for p in then if p.startswith("head/") or "norm" in p}
  assert len(trained) == 4 + 2 * (4 * 2 + 1)  # scale and bias of two norms in each of four stages, and of the last norm
  assert {p for p, leaf in named(state.params).items() if not np.array_equal(leaf, then[p])} == trained
  held = sum(x.size for x in jax.tree.leaves(state.opt_state) if x.dtype == jnp.float32)
  assert held == 3 * sum(then[p].size for p in trained)  # two moments and the accumulated gradient


def test_frozen_parameters_cost_no_gradient():
  config = helpers.config(**DSTFORMER, optim=dict(rates={"trunk/*": 0.0}))
  codec = experiment.build_codec(config, CLIPS[0].skeleton, CLIPS)
  batch, plain = experiment.dummy_batch(17, 2), experiment.build_method(config, codec)
  variables = jax.eval_shape(plain.init, jax.random.key(0), batch)

  def work(method, graph):
    value = lambda params: method.loss({"params": params}, batch, jax.random.key(0))[0]  # noqa: E731
    return jax.jit(graph(value)).lower(variables["params"]).cost_analysis()["flops"]

  forward = work(plain, lambda value: value)
  assert work(plain, jax.grad) > 2.5 * forward
  assert work(rates.freeze(plain, config.optim), jax.grad) < 1.5 * forward


def test_statistics_of_a_frozen_part_stay_and_those_of_others_move(other):
  _, config, codec, state = other
  plain = experiment.build_method(config, codec)
  batch = loop.pipeline.gather(loop.pipeline.windows(CLIPS), np.arange(8), 1)
  for patterns, kept in (({"trunk/*": 0.0}, {"trunk"}), ({"trunk/*/kernel": 0.0}, set())):
    method = rates.freeze(plain, dataclasses.replace(config.optim, rates=patterns))
    _, (_, after) = jax.jit(method.loss)(state.variables, batch, jax.random.key(0))
    assert jax.tree.structure(after) == jax.tree.structure(state.model_state)
    for part in ("trunk", "head"):
      now, then = named(after["batch_stats"][part]), named(state.model_state["batch_stats"][part])
      assert all(np.array_equal(now[p], then[p]) == (part in kept) for p in now)


def test_training_ends_when_patience_does_and_keeps_the_best_three(tmp_path, monkeypatch, capsys):
  options = dict(RUN, num_steps=40, patience=3, keep_best=3)
  scripted(monkeypatch, dies_at=8)
  with pytest.raises(Killed):
    train(tmp_path, **options)
  assert checkpoint.steps(str(tmp_path)) == [2, 4, 6] and "stopped" not in capsys.readouterr().err
  scripted(monkeypatch)
  for _ in range(2):  # the second time it finds a run that has ended
    assert int(train(tmp_path, **options).step) == 10
    assert "stopped early, best at step 4" in capsys.readouterr().err
    assert checkpoint.steps(str(tmp_path)) == [4, 6, 8, 10]  # the three best, and the last
  assert checkpoint.choose(str(tmp_path)) == 4


def test_validation_scores_are_the_fields_metrics(monkeypatch):
  """One joint of 17 is off by 200 mm, in valid frames: invalid ones are off by a kilometre."""
  clip = helpers.clip(6, valid=np.arange(6) < 4)
  wrong = clip.joints_3d + np.where(clip.valid, 0, 1000)[:, None, None] * np.eye(3)[0]
  wrong[:, 9] += [0, 0, 0.2]
  monkeypatch.setattr(validation.evaluate, "predict", lambda *args, **options: [wrong.astype(np.float32)])
  config = helpers.config()
  codec = codecs.build("root_rms", clip.skeleton)
  scores = validation.score(config, experiment.build_method(config, codec).graphs["lift"], {}, [clip])
  assert scores["mpjpe_mm"] == pytest.approx(200 / 17, rel=1e-4)
  assert scores["pck_150"] == pytest.approx(100 * 16 / 17, rel=1e-4)
  assert set(scores) == {"mpjpe_mm", "pa_mpjpe_mm", "pck_150"} and scores["pa_mpjpe_mm"] > 0
