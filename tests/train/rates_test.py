"""Which parameter learns at which rate: the factors by hand, and updates against AdamW run for each leaf alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from jaxpose import models
from jaxpose.config import OptimConfig
from jaxpose.methods import method
from jaxpose.train import optim, rates
from tests import helpers


def dstformer(trunk=3, head=0):
  """The names and leading axes of a DSTformer's parameters, of next to no width."""
  layers = lambda n: {"norm1": {"scale": np.ones((n, 4))}, "qkv": {"kernel": np.ones((n, 4, 2))}}  # noqa: E731
  parts = {
    "trunk": {"pos_embed": np.ones((17, 4)), "joints_embed": {"bias": np.ones(4)}},
    "head": {"pre_logits": {"kernel": np.ones((4, 4))}, "pose": {"kernel": np.ones((4, 3))}},
  }
  for part, count in (("trunk", trunk), ("head", head)):
    parts[part] |= {"layers": layers(count)} if count else {}
  parts["head" if head else "trunk"]["norm"] = {"scale": np.ones(4)}
  return parts


def factors(params, **changes):
  return rates.factors(params, OptimConfig(learning_rate=1e-3, **changes), method.labels)


def test_layer_decay_counts_from_the_head_down():
  found = factors(dstformer(trunk=3), layer_decay=0.5)
  np.testing.assert_array_equal(found["trunk/layers/qkv/kernel"], np.reshape([1 / 8, 1 / 4, 1 / 2], (3, 1, 1)))
  np.testing.assert_array_equal(found["trunk/layers/norm1/scale"], np.reshape([1 / 8, 1 / 4, 1 / 2], (3, 1)))
  assert found["trunk/pos_embed"] == found["trunk/joints_embed/bias"] == 1 / 16
  assert found["trunk/norm/scale"] == found["head/pose/kernel"] == 1


@pytest.mark.parametrize("trunk", [1, 0])
def test_layers_of_the_head_go_on_counting_where_the_trunk_ends(trunk):
  params = dstformer(trunk=trunk, head=3 - trunk)
  params["self_supervised_head"] = params["head"]
  found = factors(params, layer_decay=0.5)
  every = [1 / 8, 1 / 4, 1 / 2]
  if trunk:
    np.testing.assert_array_equal(found["trunk/layers/norm1/scale"][:, 0], every[:trunk])
  for head in ("head", "self_supervised_head"):
    np.testing.assert_array_equal(found[f"{head}/layers/norm1/scale"][:, 0], every[trunk:])
    assert found[f"{head}/norm/scale"] == 1
  assert found["trunk/pos_embed"] == 1 / 16


def test_the_longest_pattern_wins_in_whatever_order_a_config_file_keeps_them():
  config = ConfigDict(dict(rates={"trunk/*": 0.0, "trunk/*norm*": 5e-4, "*": 2e-3}))
  params = dstformer()
  params["discriminator"] = {"stem": {"kernel": np.ones((2, 2))}}
  found = factors(params, rates=config.rates.to_dict())
  assert found == {
    "trunk/pos_embed": 0, "trunk/joints_embed/bias": 0, "trunk/layers/norm1/scale": 0.5, "trunk/layers/qkv/kernel": 0,
    "trunk/norm/scale": 0.5, "head/pre_logits/kernel": 2, "head/pose/kernel": 2,
  }  # fmt: skip
  both = factors(params, rates={"trunk/*": 0.0, "trunk/layers/*": 5e-4}, layer_decay=0.5)
  assert both["trunk/pos_embed"] == 0
  np.testing.assert_array_equal(both["trunk/layers/norm1/scale"][:, 0], [1 / 16, 1 / 8, 1 / 4])


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    (dict(rates={"trunc/*": 0.0}), r"'trunc/\*' matches no parameter of the lifter; it has .*trunk/.*in all"),
    (dict(rates={"discriminator/*": 0.0}), "matches no parameter of the lifter"),
    (dict(rates={"*": 0.0}), "freeze every parameter"),
    (dict(rates={"*norm1*": 0.0, "*scale*": 1e-4}), "both match 'trunk/layers/norm1/scale', and neither is longer"),
  ],
)
def test_what_is_wrong_with_rates_is_named(changes, message):
  params = {**dstformer(), "discriminator": {"stem": np.ones(2)}}
  with pytest.raises(ValueError, match=message):
    factors(params, **changes)
  with pytest.raises(ValueError, match=message):
    optim.build(OptimConfig(**changes), 10, method.labels).init(params)


def test_a_decay_without_layers_is_refused():
  shapes = jax.eval_shape(models.build("mlp", width=8).init, jax.random.key(0), jnp.zeros((1, 1, 17, 2)))
  with pytest.raises(ValueError, match="layer_decay=0.9 needs a model whose layers are stacked .* trunk/"):
    factors(shapes["params"], layer_decay=0.9)


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    (dict(layer_decay=0.0), r"layer_decay=0.0 must be in \(0, 1\]"),
    (dict(rates={"a": -1.0}), r"rates\['a'\]=-1.0 must be a learning rate"),
    (dict(rates={"a": "x"}), r"config.optim.rates\['a'\]='x' has type str, expected float"),
  ],
)
def test_bad_values_are_refused(changes, message):
  with pytest.raises(ValueError, match=message):
    helpers.config(optim=changes)


def test_a_frozen_rate_may_be_a_whole_number():
  assert helpers.config(optim=dict(rates={"trunk/*": 0})).optim.rates == {"trunk/*": 0.0}


def adamw(param, gradients, learning_rates, decay):
  """AdamW (Loshchilov and Hutter 2019) by NumPy, with optax's defaults."""
  first, second, param = 0.0, 0.0, param.astype(np.float64)
  for t, (gradient, rate) in enumerate(zip(gradients, learning_rates, strict=True), 1):
    first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
    param = param - rate * (first / (1 - 0.9**t) / (np.sqrt(second / (1 - 0.999**t)) + 1e-8) + decay * param)
  return param


@pytest.mark.parametrize("accumulate", [1, 2])
def test_updates_are_those_of_adamw_at_each_leafs_own_rate(accumulate):
  """Schedule, warm-up and clipping are common: the norm is that of everything that trains, the frozen left out."""
  config = OptimConfig(
    name="adamw", learning_rate=1e-3, weight_decay=0.1, clip_norm=1.0, warmup_steps=2, schedule="cosine",
    accumulate_steps=accumulate, layer_decay=0.5, rates={"trunk/*embed*": 0.0, "trunk/norm/*": 5e-4},
  )  # fmt: skip
  factor = {"trunk/norm/scale": 0.5, "trunk/layers/norm1/scale": [[0.25], [0.5]]}
  factor["trunk/layers/qkv/kernel"] = np.reshape([0.25, 0.5], (2, 1, 1))
  rng = np.random.default_rng(0)
  draw = lambda tree: jax.tree.map(lambda x: rng.normal(size=x.shape).astype(np.float32), tree)  # noqa: E731
  named = lambda tree: {rates.path_name(p): x for p, x in jax.tree_util.tree_leaves_with_path(tree)}  # noqa: E731
  params = draw(dstformer(trunk=2))
  trained = [path for path in named(params) if "embed" not in path]
  tx = optim.build(config, 6 * accumulate, method.labels)
  state = jax.jit(tx.init)(params)
  held = sum(x.size for x in jax.tree.leaves(state) if x.dtype == jnp.float32)
  assert held == (2 + (accumulate > 1)) * sum(named(params)[p].size for p in trained)  # moments, and accumulated sums
  gradients = [draw(params) for _ in range(3 * accumulate)]
  update = jax.jit(lambda grad, state, params: tx.update(grad, state, params, value=jnp.zeros(())))
  now = params
  for gradient in gradients:
    updates, state = update(gradient, state, now)
    now = jax.tree.map(np.add, now, updates)
  together = [gradients[i : i + accumulate] for i in range(0, len(gradients), accumulate)]
  means = [named(jax.tree.map(lambda *g: sum(g) / accumulate, *some)) for some in together]
  norms = [np.sqrt(sum((mean[p] ** 2).sum() for p in trained)) for mean in means]
  schedule = [float(optim.schedule(config, 6)(i)) for i in range(3)]
  for path, leaf in named(now).items():
    before = named(params)[path]
    if path not in trained:
      np.testing.assert_array_equal(leaf, before)
      continue
    own = [rate * np.asarray(factor.get(path, 1.0)) for rate in schedule]
    clipped = [mean[path] / norm for mean, norm in zip(means, norms)]
    np.testing.assert_allclose(leaf, adamw(before, clipped, own, 0.1), rtol=0, atol=2e-6)
    assert np.abs(leaf - before).max() > 1e-4
