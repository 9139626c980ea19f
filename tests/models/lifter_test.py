"""Lifters: shapes, modes, precision and the errors of build."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxpose import models
from jaxpose.models import discriminator, mlp
from jaxpose.models import lifter as lifters

SMALL = dict(num_joints=17, width=16, trunk_blocks=2, head_blocks=1)


def _built(**options):
  lifter = models.build("mlp", **{**SMALL, **options})
  x = jax.random.normal(jax.random.key(0), (4, 3, 17, 2))
  return lifter, lifter.init(jax.random.key(1), x), x


@pytest.mark.parametrize("stem_norm", [False, True])
@pytest.mark.parametrize("activation", ["leaky_relu", "relu"])
def test_frames_are_lifted_one_by_one(stem_norm, activation):
  lifter, variables, x = _built(stem_norm=stem_norm, activation=activation, initializer="kaiming")
  y = lifter.apply(variables, x)
  assert y.shape == (4, 3, 17, 3) and y.dtype == jnp.float32
  alone = lifter.apply(variables, x.reshape(12, 1, 17, 2)).reshape(y.shape)
  np.testing.assert_allclose(y, alone, atol=1e-5)
  assert set(variables["params"]) == {"trunk", "head"}


def test_training_drops_and_moves_statistics_evaluation_does_neither():
  lifter, variables, x = _built()
  keys = jax.random.split(jax.random.key(2))
  run = lambda key: lifter.apply(variables, x, train=True, rngs={"dropout": key}, mutable=["batch_stats"])  # noqa: E731
  (a, state), (b, _) = run(keys[0]), run(keys[1])
  assert not np.allclose(a, b)
  moved = jax.tree.map(lambda new, old: bool(np.any(new != old)), dict(state["batch_stats"]), variables["batch_stats"])
  assert all(jax.tree.leaves(moved))
  np.testing.assert_array_equal(lifter.apply(variables, x), lifter.apply(variables, x))


def test_statistics_keep_nine_tenths_and_normalise_with_epsilon():
  lifter, variables, x = _built(trunk_blocks=1, head_blocks=0, dropout=0.0)
  _, state = lifter.apply(variables, x, train=True, mutable=["batch_stats"])
  params = variables["params"]["trunk"]
  hidden = x.reshape(12, 34) @ params["stem"]["kernel"]
  hidden = hidden @ params["block_0"]["first"]["Dense_0"]["kernel"]
  own = state["batch_stats"]["trunk"]["block_0"]["first"]["BatchNorm_0"]
  np.testing.assert_allclose(own["mean"], 0.1 * hidden.mean(0), atol=1e-5)
  np.testing.assert_allclose(own["var"], 0.9 + 0.1 * hidden.var(0), rtol=1e-4)


def test_bfloat16_computes_close_and_keeps_float32():
  lifter, variables, x = _built()
  half = models.build("mlp", **SMALL, dtype="bfloat16")
  y, state = half.apply(variables, x, train=True, rngs={"dropout": jax.random.key(0)}, mutable=["batch_stats"])
  assert y.dtype == jnp.float32
  assert {leaf.dtype for leaf in jax.tree.leaves((half.init(jax.random.key(1), x), dict(state)))} == {
    jnp.dtype(jnp.float32)
  }
  full, low = lifter.apply(variables, x), half.apply(variables, x)
  assert 0 < np.abs(full - low).max() < 0.1 * np.abs(full).max()


def test_without_the_root_it_is_exactly_zero_where_it_belongs():
  for root in (0, 7, 16):
    lifter, variables, x = _built(predict_root=False, root=root)
    y = np.asarray(lifter.apply(variables, x))
    zero = (y == 0).all((0, 1, 3))
    assert zero[root] and zero.sum() == 1


def test_a_second_head_goes_on_the_trunk():
  lifter, variables, x = _built()
  features, _ = lifters.apply(lifter.trunk, variables, "trunk", x)
  y, _ = lifters.apply(lifter.head, variables, "head", features)
  np.testing.assert_array_equal(y, lifter.apply(variables, x))
  second = lifter.head.init(jax.random.key(5), features)
  assert jax.tree.map(jnp.shape, second["params"]) == jax.tree.map(jnp.shape, variables["params"]["head"])


def test_part_names_the_parts_there_are():
  _, variables, _ = _built()
  with pytest.raises(ValueError, match="'tail'; these variables have head, trunk"):
    lifters.part(variables, "tail")


def test_default_is_the_published_size():
  shapes = jax.eval_shape(models.build("mlp").init, jax.random.key(0), jnp.zeros((1, 1, 17, 2)))
  width, joints = 1024, 17
  block = 2 * (width * width + 2 * width)  # kernel, scale and offset; no bias before a normalisation
  trunk = (2 * joints + 1) * width + 3 * block
  assert lifters.num_parameters(shapes["params"]["trunk"]) == trunk
  assert lifters.num_parameters(shapes["params"]["head"]) == block + (width + 1) * 3 * joints


def test_martinez_form():
  shapes = jax.eval_shape(mlp.martinez(16, width=32).init, jax.random.key(0), jnp.zeros((1, 1, 16, 2)))
  assert set(shapes["params"]["trunk"]) == {"stem", "block_0", "block_1"}
  assert shapes["params"]["head"]["pose"]["kernel"].shape == (32, 45)


def test_build_says_what_it_knows():
  with pytest.raises(ValueError, match="'resnet'; known are .*mlp"):
    models.build("resnet")
  with pytest.raises(ValueError, match="no option 'widht'; it takes num_joints, width"):
    models.build("mlp", widht=32)
  with pytest.raises(ValueError, match="activation='gelu', expected one of leaky_relu, relu"):
    models.build("mlp", activation="gelu")
  with pytest.raises(ValueError, match="width=0, expected at least 1"):
    models.build("mlp", width=0)
  with pytest.raises(ValueError, match="dropout=1.0 in"):
    models.build("mlp", dropout=1.0)


def test_discriminator_judges_each_pose_alone():
  model = discriminator.create(width=16)
  poses = jax.random.normal(jax.random.key(0), (3, 2, 17, 2))
  variables = model.init(jax.random.key(1), poses)
  assert set(variables) == {"params"}
  logits = model.apply(variables, poses)
  assert logits.shape == (3, 2)
  np.testing.assert_allclose(model.apply(variables, poses[1, 1]), logits[1, 1], atol=1e-6)
  with pytest.raises(ValueError, match="width=0"):
    discriminator.create(width=0)
