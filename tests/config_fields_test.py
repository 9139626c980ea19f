"""Every field of a run's configuration is tried: changing it changes a number, or the test that shows what it does."""

import dataclasses
import functools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data_builders import build
from jaxpose import experiment
from jaxpose import skeleton as skeletons
from jaxpose.config import AugmentConfig, Config, DataConfig, OptimConfig, PartConfig
from jaxpose.data import source
from jaxpose.methods import method
from jaxpose.train import optim, training_set
from tests import helpers

FOLDER = pathlib.Path(__file__).parent
H36M = skeletons.get("h36m_17")
KEY = jax.random.key(0)


def names(kind):
  return {field.name for field in dataclasses.fields(kind)}


def differ(a, b):
  """Whether two trees of numbers do, or shapes do."""
  a, b = (jax.tree.leaves(jax.device_get(x)) for x in (a, b))
  return len(a) != len(b) or any(np.shape(x) != np.shape(y) or not np.array_equal(x, y) for x, y in zip(a, b))


PLATEAU = dict(schedule="plateau", plateau_window=2, plateau_patience=1, plateau_factor=0.5, final_fraction=0.1)
OPTIM = {  # (what it is changed in, another value)
  "name": (dict(weight_decay=0.5), "adamw"),
  "learning_rate": ({}, 2e-3),
  "schedule": ({}, "cosine"),
  "final_fraction": ({}, 0.5),
  "warmup_steps": ({}, 3),
  "b1": ({}, 0.5),
  "b2": ({}, 0.9),
  "weight_decay": (dict(name="adamw"), 0.5),
  "clip_norm": ({}, 0.1),
  "accumulate_steps": ({}, 2),
  "max_norm": ({}, 0.5),
  "plateau_factor": (PLATEAU, 0.25),
  "plateau_patience": (PLATEAU, 3),
  "plateau_window": (PLATEAU, 3),
  "discriminator_learning_rate": ({}, 1e-3),
  "rates": ({}, {"trunk/*": 1e-4}),
  "layer_decay": ({}, 0.5),
}
PARAMS = {
  "trunk": {"layers": {"kernel": np.float32(0.3 * np.ones((2, 3, 4)))}},
  "head": {"pose": {"kernel": np.float32(np.ones((4, 2)))}},
  "discriminator": {"kernel": np.float32(np.ones((2, 2)))},
}


def trained(steps=24, loss=1.0, **options):
  """Parameters after steps of random gradients, and a loss that does not fall."""
  tx = optim.build(OptimConfig(**options), steps, method.labels)
  rng = np.random.default_rng(0)
  params = jax.tree.map(jnp.asarray, PARAMS)
  state, update = tx.init(params), jax.jit(tx.update)
  for _ in range(steps):
    gradient = jax.tree.map(lambda x: jnp.asarray(rng.normal(1, 1, x.shape), jnp.float32), params)
    updates, state = update(gradient, state, params, value=jnp.float32(loss))
    params = jax.tree.map(jnp.add, params, updates)
  return params


@pytest.mark.parametrize("name", sorted(names(OptimConfig)))
def test_every_field_of_the_optimizer_moves_parameters(name):
  base, value = OPTIM[name]
  assert differ(trained(**base), trained(**{**base, name: value}))


def test_the_floor_of_a_plateau_is_the_final_fraction():
  rate, steps = 1e-3, 60
  options = dict(PLATEAU, learning_rate=rate, rates={"trunk/*": 0.0}, plateau_window=1, plateau_patience=1)
  after = [trained(n, **options)["head"]["pose"]["kernel"] for n in (steps, steps + 1)]
  moved = np.abs(np.asarray(after[1]) - np.asarray(after[0])).max()
  assert 0.05 * rate < moved < 0.3 * rate  # Adam's steps are about as long as the rate


def test_the_schedule_counts_updates_and_not_what_they_are_added_up_of():
  """Micro-steps of one gradient: two are the update that one is, warm-up and decay in step."""
  options = dict(warmup_steps=2, final_fraction=0.01, clip_norm=0.0)
  for updates in (3, 12):
    done = []
    for accumulate in (1, 2):
      tx = optim.build(OptimConfig(accumulate_steps=accumulate, **options), 12 * accumulate, method.labels)
      params = jax.tree.map(jnp.asarray, PARAMS)
      state, update, rng = tx.init(params), jax.jit(tx.update), np.random.default_rng(0)
      for _ in range(updates):
        gradient = jax.tree.map(lambda x, rng=rng: jnp.asarray(rng.normal(size=x.shape), jnp.float32), params)
        for _ in range(accumulate):
          change, state = update(gradient, state, params, value=jnp.float32(1))
          params = jax.tree.map(jnp.add, params, change)
      done.append(params)
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-5), *done)


@pytest.mark.parametrize("shape", [(3, 5), (5, 3)], ids=str)
def test_max_norm_is_of_each_units_incoming_weights(shape):
  weights = np.random.default_rng(0).normal(size=shape).astype(np.float32)
  weights[:, 0] *= 0.01
  params, tx = {"kernel": jnp.asarray(weights), "bias": jnp.full(shape[1], 9.0)}, optim.max_norm(0.5)
  zero = jax.tree.map(jnp.zeros_like, params)
  after = jax.tree.map(jnp.add, params, tx.update(zero, tx.init(params), params)[0])
  norms = np.linalg.norm(after["kernel"], axis=0)
  np.testing.assert_allclose(norms[1:], 0.5, rtol=1e-5)
  np.testing.assert_allclose(after["kernel"][:, 0], weights[:, 0], rtol=1e-5)
  np.testing.assert_array_equal(after["bias"], params["bias"])


AUGMENT = {"flip": 1.0, "noise_px": 5.0, "missing": 0.5, "detector": 1.0}


@pytest.mark.parametrize("name", sorted(names(AugmentConfig)))
def test_every_augmentation_changes_what_the_loss_sees(name):
  clip = helpers.clip(8)
  batch = {f: jnp.asarray(getattr(clip, f))[None] for f in ("keypoints_2d", "confidence", "joints_3d", "valid")}
  batch["camera"] = jax.tree.map(lambda x: jnp.asarray(x)[None], clip.camera)
  seen, plain = [], helpers.config(augment=dict(flip=0.0))
  kind = experiment.build_method(plain, experiment.build_codec(plain, H36M))
  kind = dataclasses.replace(kind, loss=lambda variables, batch, key: seen.append(batch))
  for changes in ({}, {name: AUGMENT[name]}):
    config = helpers.config(augment=dict(flip=0.0) | changes)
    experiment._augmented(kind, config, H36M).loss({}, batch, KEY)
  assert differ(*seen)


DATA = {
  "dataset": (dict(dataset="cmu_mocap", splits=("01",)), "synthetic_mocap"),
  "splits": ({}, ("train", "validation")),
  "rig": ({}, "h36m"),
  "rig_options": (dict(rig="random"), dict(cameras_per_motion=3)),
  "fps": ({}, 15.0),
  "include": ({}, None),
  "exclude": ({}, None),
  "skeleton": ({}, "lsp_14"),
  "fraction": ({}, 0.5),
  "seed": (dict(rig="random"), 1),
  "look": (dict(look="lab"), "wild"),
}
APART = {"protocol", "detectors"}  # protocols_test.py, detections_test.py


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
  folder = str(tmp_path_factory.mktemp("data"))
  build.build("synthetic_mocap", folder, train=3, validation=1, target=1, frames=20)
  return folder


@pytest.mark.parametrize("name", sorted(names(DataConfig) - APART - {"dataset"}))
def test_every_field_of_a_data_set_changes_its_clips(data_dir, name):
  base, value = DATA[name]
  fields = dict(dict(dataset="synthetic_mocap", splits=("train",), rig="fixed_four"), **base)
  if value is None:
    value = (source.load("synthetic_mocap", ("train",), data_dir)[1].sequence,)
  numbers = [
    [(c.keypoints_2d, c.fps, c.extra) for c in experiment.load_clips(DataConfig(**f), data_dir)]
    for f in (fields, {**fields, name: value})
  ]
  assert differ(*numbers)


def test_the_dataset_is_the_one_that_is_named(data_dir):
  with pytest.raises(FileNotFoundError, match="no data set 'cmu_mocap'"):
    experiment.load_clips(DataConfig(dataset="cmu_mocap", splits=("01",)), data_dir)


CLIPS = {"first": [helpers.clip(20)], "second": [helpers.clip(13, seed=1, sequence="run"), helpers.clip(3, seed=2)]}
TWO = {name: dict(dataset="x", splits=("a",)) for name in CLIPS}
ROWS = {
  "seed": 1,
  "batch_size": 4,
  "window": 3,
  "stride": 2,
  "pad_short": True,
  "train": {**TWO, "second": dict(TWO["second"], start_step=2)},
}
PARTS = {"share": 0.5, "use_3d": False, "start_step": 2}


def rows(**changes):
  config = helpers.config(**{**dict(train=TWO, method="masked"), **changes})
  data = training_set.build(config, training_set.joined(config, CLIPS, H36M))
  batches = data.rows(0, 6 * config.batch_size).reshape(6, -1)
  return batches, data.windows.start, data.labelled


@pytest.mark.parametrize("name", list(ROWS))
def test_what_says_which_rows_are_read_does(name):
  base = dict(window=4, train=TWO) if name == "pad_short" else {}
  assert differ(rows(**base), rows(**{**base, name: ROWS[name]}))


@pytest.mark.parametrize("name", sorted(names(PartConfig) - names(DataConfig)))
def test_every_field_of_a_part_changes_the_rows(name):
  shares = dict(share=1.0) if name == "share" else {}
  first, second = ({**TWO[n], **shares} for n in TWO)
  changed = dict(second, **{name: PARTS[name]})
  assert differ(rows(train=dict(first=first, second=second)), rows(train=dict(first=first, second=changed)))


GRAPHS = {
  "codec": "screen",
  "codec_constants": {"depth_m": 3.0},
  "model": "dstformer",
  "model_options": dict(width=8, trunk_blocks=0, head_blocks=0, dropout=0.0),
  "method": "masked",
  "method_options": dict(scale=2.0),
}


def graph(**changes):
  """A pose's projection and the loss of fresh weights."""
  options = dict(model_options=dict(width=16, trunk_blocks=0, head_blocks=0, dropout=0.0), codec="root_rms")
  if changes.get("model") == "dstformer":
    options["model_options"] = dict(dim_in=2, dim_feat=8, dim_rep=8, depth=1, num_heads=2, mlp_ratio=1, maxlen=2)
  config = helpers.config(**{**options, **changes})
  codec = experiment.build_codec(config, H36M, [helpers.clip(9)])
  kind = experiment.build_method(config, codec)
  batch = experiment.dummy_batch(17, 2) | {"joints_3d": jnp.asarray(helpers.clip(2).joints_3d)[None]}
  projected = codec.project(jnp.asarray(helpers.STANDING)) if config.codec == "root_rms" else ()
  variables = jax.tree.map(lambda x: x + 0.05, kind.init(KEY, batch))  # a fresh model predicts nothing
  return projected, kind.loss(variables, batch, KEY)[0]


@functools.cache
def plain_graph():
  return graph()


@pytest.mark.parametrize("name", list(GRAPHS))
def test_what_says_which_graph_is_trained_does(name):
  assert differ(plain_graph(), graph(**{name: GRAPHS[name]}))


# Fields whose numbers come from a whole run: the test that has one with and one without.
ELSEWHERE = {
  "validation": "train/loop_test.py::test_the_game_is_logged_and_both_heads_are_validated",
  "targets": "targets_test.py",
  "num_steps": "train/loop_test.py::test_full_disk_leaves_the_last_checkpoint_and_nothing_half_written",
  "overlap": "evaluate_test.py::test_blended_windows_leave_no_seam",
  "protocol": "targets_test.py",
  "resident": "train/loop_test.py::test_streamed_training_equals_resident",
  "log_every": "train/loop_test.py::test_interrupted_training_ends_on_the_same_state",
  "eval_every": "train/loop_test.py::test_interrupted_training_ends_on_the_same_state",
  "eval_max_frames": "train/loop_test.py::test_validation_looks_at_as_many_frames_as_it_may",
  "keep_best": "train/loop_test.py::test_training_lowers_the_loss_and_finds_its_best_checkpoint",
  "batch_per_device": "train/loop_test.py::test_the_batch_follows_from_the_devices",
  "select": "train/loop_test.py::test_the_config_says_which_checkpoint_is_used",
  "patience": "train/finetune_test.py::test_training_ends_when_patience_does_and_keeps_the_best_three",
  "init_from": "train/finetune_test.py::test_the_parts_asked_for_are_the_other_runs_best_and_the_rest_is_fresh",
  "init_parts": "train/finetune_test.py::test_the_parts_asked_for_are_the_other_runs_best_and_the_rest_is_fresh",
  "workers": "data/mixture_test.py::test_streamed_resumed_or_spread_a_mixture_has_the_same_rows",
}


def test_no_field_is_forgotten():
  assert names(OptimConfig) == set(OPTIM) and names(AugmentConfig) == set(AUGMENT)
  assert names(DataConfig) == {*DATA, *APART} and names(PartConfig) == {*names(DataConfig), *PARTS}
  assert names(Config) == {*ROWS, *GRAPHS, *ELSEWHERE, "optim", "augment"}
  for place in ELSEWHERE.values():
    path, _, test = place.partition("::")
    assert f"def {test}" in (FOLDER / path).read_text()
