"""The DSTformer: sizes, initial values, masks, and the options that must not change what it computes."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxpose.models import dstformer
from jaxpose.models.lifter import Lifter, num_parameters, part

TINY = dict(dim_feat=16, dim_rep=12, depth=2, num_heads=2, maxlen=8)
RNG = np.random.default_rng(0)
X = RNG.normal(size=(2, 6, 17, 3)).astype(np.float32)
ALL = np.ones((2, 6), bool)
# These networks are tiny, and what takes time is compiling them: without optimisation, and with a cheap generator.
QUICK = {"xla_backend_optimization_level": 0}
key = functools.partial(jax.random.key, impl="unsafe_rbg")


def shapes(**options):
  return jax.eval_shape(dstformer.create(**{**TINY, **options}).init, jax.random.key(0), jnp.zeros((1, 2, 17, 3)))


@functools.cache
def variables(**options):
  """Variables whose every leaf is random: in a fresh model, fusion, biases and norms are constants."""
  rng = np.random.default_rng(1)
  return jax.tree.map(lambda x: rng.normal(0, 0.3, x.shape).astype(np.float32), shapes(**options))


@functools.cache
def compiled(train=False, **options):
  model = dstformer.create(**TINY, **options)

  def call(variables, x, mask, rng):
    return model.apply(variables, x, train=train, mask=mask, rngs={"dropout": rng})

  return jax.jit(call, compiler_options=QUICK)


def apply(x=X, mask=None, seed=0, **options):
  own = variables(**{k: v for k, v in options.items() if k == "head_depth"})
  return np.asarray(compiled(**options)(own, x, mask, key(seed)))


def training_loss(**options):
  """A function of parameters, with drop path, and a padded clip whose padding is NaN."""
  model = dstformer.create(**TINY, drop_path=0.1, **options)
  mask = jnp.asarray(ALL).at[0, 4:].set(False)
  x = jnp.asarray(X).at[0, 4:].set(jnp.nan)

  def loss(params):
    poses = model.apply({"params": params}, x, train=True, mask=mask, rngs={"dropout": key(0)})
    return jnp.sum(jnp.where(mask[..., None, None], poses - 1, 0) ** 2)

  return loss


@functools.cache
def gradient():
  return jax.jit(jax.value_and_grad(training_loss(remat="dots")), compiler_options=QUICK)


@pytest.mark.parametrize("preset, count", [("motionbert", 42_466_317), ("motionbert_lite", 16_001_549)])
def test_presets_have_the_published_number_of_parameters(preset, count):
  model = dstformer.create(**dstformer.PRESETS[preset])
  fresh = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 243, 17, 3)))
  assert num_parameters(fresh["params"]) == count


def test_the_small_preset_lifts_2d_clips():
  model = dstformer.create(**dstformer.PRESETS["small"])
  poses, fresh = jax.eval_shape(model.init_with_output, jax.random.key(0), jnp.zeros((4, 10, 17, 2)))
  assert poses.shape == (4, 10, 17, 3)
  assert part(fresh, "trunk")["params"]["joints_embed"]["kernel"].shape == (2, 64)


def test_it_is_a_lifter_of_trunk_and_head():
  model = dstformer.create(**TINY)
  assert isinstance(model, Lifter)
  call = functools.partial(jax.jit, compiler_options=QUICK)
  features = call(model.trunk.apply)(part(variables(), "trunk"), X)
  assert features.shape == (2, 6, 17, TINY["dim_feat"])
  np.testing.assert_allclose(call(model.head.apply)(part(variables(), "head"), features), apply(), rtol=1e-4, atol=1e-5)


def test_initial_values_are_the_published_ones():
  init = jax.jit(dstformer.create(**{**TINY, "dim_feat": 64}).init, compiler_options=QUICK)
  params = init(jax.random.key(0), X)["params"]
  for path, leaf in jax.tree_util.tree_leaves_with_path(params):
    name = jax.tree_util.keystr(path)
    if "fusion" in name:
      np.testing.assert_array_equal(leaf, 0.5 if "bias" in name else 0)
    elif "bias" in name or "scale" in name:
      np.testing.assert_array_equal(leaf, 1 if "scale" in name else 0)
    else:
      deviations = np.abs(leaf) / 0.02
      assert np.sqrt(np.mean(deviations**2)) == pytest.approx(1, abs=4 / np.sqrt(leaf.size)), name
      assert leaf.size < 1000 or deviations.max() > 2, f"{name} is cut at two standard deviations"
  assert not np.array_equal(*params["trunk"]["layers"]["st_spatial"]["qkv"]["kernel"])  # each layer its own draw


def test_a_fresh_fusion_averages_the_streams():
  fused, fresh = dstformer.Fusion().init_with_output(jax.random.key(0), jnp.asarray(X), 2 * jnp.asarray(X))
  assert set(fresh["params"]) == {"kernel", "bias"}
  np.testing.assert_allclose(fused, 1.5 * X, rtol=1e-6)


def test_unrolling_changes_nothing():
  np.testing.assert_allclose(apply(unroll=2), apply(), rtol=1e-4, atol=1e-5)


def test_the_gradient_is_the_slope():
  params = variables()["params"]
  _, grads = gradient()(params)
  norm = np.sqrt(sum(np.sum(g**2) for g in jax.tree.leaves(grads)))

  def loss(along):  # at a distance along the normed gradient
    return gradient()(jax.tree.map(lambda p, g: p + along / norm * g, params, grads))[0]

  step = 1e-2 / norm
  assert (loss(step) - loss(-step)) / (2 * step) == pytest.approx(norm, rel=0.02)


def test_remat_recomputes_what_it_does_not_store():
  programs = [str(jax.make_jaxpr(jax.grad(training_loss(remat=r)))(variables()["params"])) for r in dstformer.REMAT]
  products = [p.count("dot_general[") for p in programs]
  exponentials = [p.count("= exp ") for p in programs]
  assert products[0] < products[1] < products[2]  # "dots" recomputes those of the attention, "full" all
  assert exponentials[0] < exponentials[1] == exponentials[2]


def test_a_training_step_moves_every_parameter():
  for path, leaf in jax.tree_util.tree_leaves_with_path(gradient()(variables()["params"])[1]):
    if "temp_embed" in jax.tree_util.keystr(path):
      np.testing.assert_array_equal(leaf[6:], 0)  # only clips longer than these use them
      leaf = leaf[:6]
    assert np.isfinite(leaf).all() and np.abs(leaf).max() > 0, jax.tree_util.keystr(path)


@pytest.mark.parametrize("head_depth", [0, 1, 2])
def test_layers_can_belong_to_the_head(head_depth):
  params = shapes(head_depth=head_depth)["params"]
  counts = {name: p["layers"]["fusion"]["bias"].shape[0] if "layers" in p else 0 for name, p in params.items()}
  assert counts == {"trunk": 2 - head_depth, "head": head_depth}
  assert num_parameters(params) == num_parameters(shapes()["params"])


def test_frames_and_joints_are_told_apart():
  assert not np.allclose(apply(X[:, ::-1]), apply()[:, ::-1], atol=1e-3)
  assert not np.allclose(apply(X[:, :, ::-1]), apply()[:, :, ::-1], atol=1e-3)


@pytest.mark.parametrize("index", [(slice(None), 2), (slice(None), slice(None), 5)])
def test_attention_reaches_every_frame_and_joint(index):
  # A temporal attention that mixed heads instead of frames would leave every other frame as it was.
  changed = X.copy()
  changed[index] += 1
  assert np.abs(apply(changed) - apply()).max((0, 3)).min() > 1e-4


def test_clips_of_a_batch_are_independent():
  changed = X.copy()
  changed[1] += 1
  np.testing.assert_array_equal(apply(changed)[0], apply()[0])


@pytest.mark.parametrize("padding", [0.0, 1e6, np.nan])
def test_a_padded_clip_gives_what_the_clip_alone_gives(padding):
  mask, padded, zeros = ALL.copy(), X.copy(), X.copy()
  mask[0, 4:], padded[0, 4:], zeros[0, 4:] = False, padding, 0
  poses = apply(padded, mask, head_depth=1)
  np.testing.assert_allclose(poses[0, :4], apply(X[:1, :4], head_depth=1)[0], rtol=1e-4, atol=1e-5)
  np.testing.assert_array_equal(poses[1], apply(X, ALL, head_depth=1)[1])
  np.testing.assert_array_equal(poses[0, :4], apply(zeros, mask, head_depth=1)[0, :4])  # not a bit gets through
  assert np.isfinite(poses).all()


def test_gaps_can_be_masked_too():
  mask, changed = ALL.copy(), X.copy()
  mask[:, 2], changed[:, 2] = False, 9
  rest = np.flatnonzero(mask[0])
  poses = apply(X, mask, head_depth=1)[:, rest]
  np.testing.assert_array_equal(poses, apply(changed, mask, head_depth=1)[:, rest])
  assert not np.allclose(poses, apply(X, ALL, head_depth=1)[:, rest], atol=1e-4)


def test_attention_on_cpu_is_dot_product_attention():
  mask = ALL.copy()
  mask[0, 4:] = False
  np.testing.assert_allclose(apply(mask=mask, head_depth=1), apply(mask=mask, head_depth=1, attention="xla"), atol=1e-5)
  qkv, keys = jnp.asarray(RNG.normal(size=(3, 5, 3, 2, 4)), jnp.float32), jnp.asarray(RNG.random((3, 1, 1, 5)) < 0.7)
  keys = keys.at[2].set(False)  # none is there: both give the mean over all

  def plain(qkv, mask):
    return jax.nn.dot_product_attention(qkv[:, :, 0], qkv[:, :, 1], qkv[:, :, 2], mask=mask, implementation="xla")

  def output_and_gradient(attention):
    return jax.value_and_grad(lambda x: jnp.sum(attention(x, keys) ** 3))(qkv)

  for own, expected in zip(*map(output_and_gradient, (dstformer.attend, plain))):
    np.testing.assert_allclose(own, expected, rtol=1e-4, atol=1e-5)


def test_gelu_is_the_exact_one():
  x = jnp.linspace(-9, 9, 999)
  np.testing.assert_allclose(dstformer.gelu(x), jax.nn.gelu(x, approximate=False), atol=1e-6)
  half = x.astype(jnp.bfloat16)
  assert dstformer.gelu(half).dtype == jnp.bfloat16
  expected = jax.nn.gelu(half.astype(jnp.float32), approximate=False)
  np.testing.assert_allclose(dstformer.gelu(half), expected, rtol=2**-8, atol=1e-6)


def test_dropout_acts_in_training_alone():
  options = dict(dropout=0.3, drop_path=0.3)
  programs = [compiled(**more).lower(variables(), X, None, key(0)).as_text() for more in (options, {})]
  assert programs[0] == programs[1]
  trained = apply(train=True, **options)
  np.testing.assert_array_equal(trained, apply(train=True, **options))
  assert not np.allclose(trained, apply(train=True, seed=1, **options), atol=1e-3)


def test_drop_path_skips_samples_and_keeps_their_mean():
  kept = np.asarray(dstformer.drop_path(jnp.ones((4000, 1, 2)), jnp.float32(0.25), key(0)))
  np.testing.assert_allclose(np.unique(kept), [0, 1 / 0.75], rtol=1e-6)
  assert float(kept.mean()) == pytest.approx(1, abs=0.05)
  assert np.array_equal(kept[..., 0], kept[..., 1])  # a clip keeps all of a branch or nothing
  rates = dstformer.create(**{**TINY, "depth": 3}, drop_path=0.5).trunk.options.rates()
  np.testing.assert_allclose(rates, [0, 0.25, 0.5])


def test_bfloat16_computes_near_float32_and_returns_it():
  poses = apply(dtype="bfloat16")
  assert poses.dtype == np.float32
  np.testing.assert_allclose(poses, apply(), atol=0.1 * np.abs(apply()).max())
  program = compiled(dtype="bfloat16").lower(variables(), X, None, key(0)).as_text()
  exponentials = [line for line in program.splitlines() if "stablehlo.exponential" in line]
  roots = [line for line in program.splitlines() if "stablehlo.rsqrt" in line]
  products = [line for line in program.splitlines() if "stablehlo.dot_general" in line]
  assert exponentials and not any("bf16" in line for line in exponentials)  # softmax in float32
  assert roots and not any("bf16" in line for line in roots)  # norms in float32
  assert products and all("bf16" in line for line in products)


@pytest.mark.parametrize(
  "x, options, message",
  [
    (np.zeros((1, 9, 17, 3)), {}, "9 frames is longer than this DSTformer's maxlen=8.*windows"),
    (np.zeros((1, 8, 16, 3)), {}, r"expected \[B, T, 17, C\]"),
    (np.zeros((1, 8, 17, 2)), dict(dim_in=3), r"shape \(1, 8, 17, 2\), expected \[B, T, 17, 3\].*confidence"),
  ],
)
def test_wrong_inputs_are_clear_errors(x, options, message):
  with pytest.raises(ValueError, match=message):
    dstformer.create(**TINY, **options).init(jax.random.key(0), x)


@pytest.mark.parametrize(
  "options, message",
  [
    (dict(dim_feat=20, num_heads=8), "dim_feat=20 is not divisible by num_heads=8"),
    (dict(depth=0), "depth=0, expected at least 1"),
    (dict(dim_in=0), "dim_in=0"),
    (dict(head_depth=6), "head_depth=6"),
    (dict(drop_path=1.0), "drop_path=1.0"),
    (dict(mlp_ratio=0), "mlp_ratio=0"),
    (dict(dtype="float16"), "dtype='float16', expected one of float32, bfloat16"),
    (dict(attention="flash"), "attention='flash'"),
    (dict(remat="some"), "remat='some', expected one of none, dots, full"),
    (dict(head_activation="gelu"), "head_activation='gelu', expected one of tanh, relu"),
  ],
)
def test_wrong_options_are_clear_errors(options, message):
  with pytest.raises(ValueError, match=message):
    dstformer.create(**options)
