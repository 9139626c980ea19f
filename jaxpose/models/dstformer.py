"""The DSTformer, MotionBERT's dual-stream spatio-temporal transformer (Zhu et al. 2023, arXiv:2210.06551).

A layer has two streams over the same features [B, T, J, D]: one attends over joints and then over frames, the other
over frames and then over joints. The streams are fused by a softmax over a learned linear map of both. Parameters of
all layers are stacked on a leading axis, and the layers run under `scan`: compile time does not grow with depth.
"""

import dataclasses
import math
from typing import Any, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxpose.models.lifter import Lifter

AnyArray = Array | np.ndarray

ACTIVATIONS = {"tanh": jnp.tanh, "relu": nn.relu}

# What the backward pass finds stored. Under scan XLA cannot choose that itself: with "none", every intermediate of
# norm, GELU and softmax is written to memory and read back, which takes longer than computing it again.
REMAT = {
  "none": None,
  "dots": jax.checkpoint_policies.dots_with_no_batch_dims_saveable,  # the outputs of linear maps
  "full": jax.checkpoint_policies.nothing_saveable,  # the inputs of layers
}

# Sizes as published, in the names of `create`. `small` follows the repository Arshad221b/2d_to_3d_human_pose_uplift.
PRESETS: dict[str, dict[str, Any]] = {
  "motionbert": dict(dim_in=3, dim_feat=512, dim_rep=512, depth=5, num_heads=8, mlp_ratio=2, maxlen=243),
  "motionbert_lite": dict(dim_in=3, dim_feat=256, dim_rep=512, depth=5, num_heads=8, mlp_ratio=4, maxlen=243),
  "small": dict(dim_in=2, dim_feat=64, dim_rep=64, depth=2, num_heads=8, mlp_ratio=4, maxlen=10),
}

# The published code draws from a normal distribution cut at +-2, which is 100 standard deviations: it cuts nothing.
# `truncated_normal` would cut at 2 standard deviations and start with weights 12 % smaller.
_init = nn.initializers.normal(0.02)


@dataclasses.dataclass(frozen=True)
class Options:
  """What all layers share; see `create`."""

  num_heads: int
  mlp_hidden: int
  dropout: float
  drop_path: float
  depth: int
  remat: str
  unroll: int
  attention: Any  # None, "xla" or "cudnn"
  dtype: str

  def rates(self) -> np.ndarray:
    """Each layer's chance of skipping a residual branch, rising linearly from 0 to `drop_path`."""
    return np.linspace(0, self.drop_path, self.depth, dtype=np.float32)


def _dense(width: int, name: str, dtype: str) -> nn.Dense:
  """A linear map, to be given rows [N, D]; the embedding, of a few channels, need not be.

  The gradient of the weights sums over all axes but the last. If these are several, XLA on CPU first writes a
  transposed copy of the input, and computes what that was made of in the copy's order: three times slower.
  """
  return nn.Dense(width, kernel_init=_init, dtype=dtype, name=name)


def _norm(name: str, dtype: str) -> nn.LayerNorm:
  # Computes in float32 whatever dtype says: that is what comes out.
  return nn.LayerNorm(epsilon=1e-6, dtype=dtype, use_fast_variance=False, name=name)


def drop_path(x: Float[Array, "*b"], rate: Float[Array, ""], key: jax.Array) -> Float[Array, "*b"]:
  """Stochastic depth (Huang et al. 2016): x[i], a sample's, is 0 with probability `rate`, else x[i] / (1 - rate)."""
  kept = jax.random.bernoulli(key, 1 - rate, (len(x),) + (1,) * (x.ndim - 1))
  return jnp.where(kept, x / (1 - rate).astype(x.dtype), 0)


def gelu(x: Float[Array, "*b"]) -> Float[Array, "*b"]:
  """x Phi(x) = x (1 + erf(x / sqrt 2)) / 2, computed in float32.

  As PyTorch has it. jax.nn.gelu takes erfc(-x / sqrt 2) for 1 + erf, which differs by rounding only, but needs an
  exponential: it takes XLA on CPU three times as long.
  """
  wide = x.astype(jnp.float32)
  return (0.5 * wide * (1 + jax.lax.erf(wide * math.sqrt(0.5)))).astype(x.dtype)


def attend(qkv: Float[Array, "M N 3 H E"], mask: Bool[Array, "M 1 1 N"] | None) -> Float[Array, "M N H E"]:
  """softmax(q k^T / sqrt E) v of each head, with the softmax in float32: jax.nn.dot_product_attention for XLA on CPU.

  Heads come first, so that the products read what lies side by side. The sum of the exponentials divides the product
  with v and not the weights, which are more numbers; that also shortens the backward pass.
  """
  q, k, v = qkv.transpose(2, 0, 3, 1, 4)
  logits = jnp.einsum("mhqe,mhke->mhqk", q * q.shape[-1] ** -0.5, k, preferred_element_type=jnp.float32)
  if mask is not None:
    logits = jnp.where(mask, logits, -0.5 * jnp.finfo(jnp.float32).max)
  weights = jnp.exp(logits - jax.lax.stop_gradient(logits.max(-1, keepdims=True)))
  y = jnp.einsum("mhqk,mhke->mhqe", weights.astype(v.dtype), v, preferred_element_type=jnp.float32)
  return (y / weights.sum(-1, keepdims=True)).astype(v.dtype).transpose(0, 2, 1, 3)


class Stage(nn.Module):
  """Self-attention over axis N of [B, G, N, D], then an MLP; each behind a norm and beside a residual connection."""

  options: Options
  train: bool

  @nn.compact
  def __call__(
    self, x: Float[Array, "B G N D"], rate: Float[Array, ""], mask: Bool[Array, "B N"] | None
  ) -> Float[Array, "B G N D"]:
    options, dtype, shape = self.options, self.options.dtype, x.shape
    x = x.reshape(-1, shape[-1])  # see `_dense`
    x = x + self._branch(self._attend(_norm("norm1", dtype)(x), shape, mask), rate, shape[0])
    hidden = _dense(options.mlp_hidden, "fc1", dtype)(_norm("norm2", dtype)(x))
    hidden = self._drop(gelu(hidden))
    x = x + self._branch(_dense(shape[-1], "fc2", dtype)(hidden), rate, shape[0])
    return x.reshape(shape)

  def _attend(self, x: Array, shape: tuple[Any, ...], mask: Array | None) -> Array:
    batch, groups, length, width = shape
    heads = self.options.num_heads
    qkv = _dense(3 * width, "qkv", self.options.dtype)(x)
    qkv = qkv.reshape(batch * groups, length, 3, heads, width // heads)
    if mask is not None:
      keys = jnp.broadcast_to(mask[:, None, :], (batch, groups, length))
      mask = keys.reshape(batch * groups, 1, 1, length)
    if self.options.attention is None and jax.default_backend() == "cpu":
      x = attend(qkv, mask)
    else:
      q, k, v = qkv[:, :, 0], qkv[:, :, 1], qkv[:, :, 2]
      x = jax.nn.dot_product_attention(q, k, v, mask=mask, implementation=self.options.attention)  # softmax in float32
    return _dense(width, "proj", self.options.dtype)(x.reshape(-1, width))

  def _drop(self, x: Array) -> Array:
    return nn.Dropout(self.options.dropout, deterministic=not self.train)(x)

  def _branch(self, x: Array, rate: Array, batch: Any) -> Array:
    x = self._drop(x)
    if not self.train or not self.options.drop_path:
      return x
    return drop_path(x.reshape(batch, -1), rate, self.make_rng("dropout")).reshape(x.shape)


class Fusion(nn.Module):
  """a st + b ts, with (a, b) the softmax over a linear map of both streams, a pair for each frame and joint."""

  @nn.compact
  def __call__(self, st: Float[Array, "*b D"], ts: Float[Array, "*b D"]) -> Float[Array, "*b D"]:
    width = st.shape[-1]
    kernel = self.param("kernel", nn.initializers.zeros, (2 * width, 2))
    bias = self.param("bias", nn.initializers.constant(0.5), (2,))
    kernel = kernel.astype(st.dtype)
    # Two products instead of one of the concatenated streams, which would copy them.
    logits = st @ kernel[:width] + ts @ kernel[width:]
    weights = nn.softmax(logits.astype(jnp.float32) + jnp.broadcast_to(bias, logits.shape))
    weights = weights.astype(st.dtype)
    return st * weights[..., :1] + ts * weights[..., 1:]


class Layer(nn.Module):
  """Both streams and their fusion."""

  options: Options
  train: bool

  @nn.compact
  def __call__(self, x: Float[Array, "B T J D"], rate: Float[Array, ""], mask: Bool[Array, "B T"] | None):
    def spatial(x: Array, stream: str) -> Array:
      return Stage(self.options, self.train, name=f"{stream}_spatial")(x, rate, None)

    def temporal(x: Array, stream: str) -> Array:
      # Everything in a stage but its attention is pointwise, so one swap serves the MLP too.
      x = Stage(self.options, self.train, name=f"{stream}_temporal")(x.swapaxes(1, 2), rate, mask)
      return x.swapaxes(1, 2)

    st = temporal(spatial(x, "st"), "st")
    ts = spatial(temporal(x, "ts"), "ts")
    rows = [stream.reshape(-1, x.shape[-1]) for stream in (st, ts)]
    return Fusion(name="fusion")(*rows).reshape(x.shape), None  # (carry, output) of scan


def _layers(x: Array, options: Options, first: int, last: int, train: bool, mask: Array | None) -> Array:
  """Layers first to last - 1, in the compact method of the module that owns them."""
  if first == last:
    return x
  policy = REMAT[options.remat]
  layer = Layer if policy is None else nn.remat(Layer, prevent_cse=False, policy=policy)
  stack = nn.scan(
    layer,
    variable_axes={"params": 0},
    split_rngs={"params": True, "dropout": True},
    in_axes=(0, nn.broadcast),
    length=last - first,
    unroll=options.unroll,
  )
  return stack(options, train, name="layers")(x, jnp.asarray(options.rates()[first:last]), mask)[0]


class Trunk(nn.Module):
  """Inputs [B, T, J, C] to features [B, T, J, D]: embeddings, then the first `layers` layers; normed if that is all."""

  options: Options
  layers: int
  dim_in: int | None
  dim_feat: int
  num_joints: int
  maxlen: int

  @nn.compact
  def __call__(
    self, x: Float[Array, "B T J C"], train: bool = False, mask: Bool[Array, "B T"] | None = None
  ) -> Float[Array, "B T J D"]:
    _, frames, joints, channels = x.shape
    if frames > self.maxlen:
      raise ValueError(
        f"a clip of {frames} frames is longer than this DSTformer's maxlen={self.maxlen}; cut it into windows of at "
        f"most {self.maxlen} frames, or build the model with a larger maxlen"
      )
    if joints != self.num_joints or channels != (self.dim_in or channels):
      raise ValueError(
        f"inputs have shape {x.shape}, expected [B, T, {self.num_joints}, {self.dim_in or 'C'}]; the third channel of "
        "MotionBERT's models is the keypoint's confidence"
      )
    if mask is not None:
      x = jnp.where(mask[..., None, None], x, 0)  # NaN in a masked frame would pass the attention as 0 * NaN
    dtype, width = self.options.dtype, self.dim_feat
    joint = self.param("pos_embed", _init, (self.num_joints, width)).astype(dtype)
    frame = self.param("temp_embed", _init, (self.maxlen, width)).astype(dtype)[:frames]
    x = _dense(width, "joints_embed", dtype)(x) + joint[None, None] + frame[None, :, None]
    x = nn.Dropout(self.options.dropout, deterministic=not train)(x)
    x = _layers(x, self.options, 0, self.layers, train, mask)
    return _norm("norm", dtype)(x) if self.layers == self.options.depth else x


class Head(nn.Module):
  """Features [B, T, J, D] to poses [B, T, J, 3], float32: the layers that the trunk leaves, then two linear maps.

  The first map, with its activation, gives the representation [B, T, J, dim_rep] that downstream tasks build upon.
  """

  options: Options
  first: int
  dim_rep: int
  activation: str

  @nn.compact
  def __call__(
    self,
    x: Float[Array, "B T J D"],
    train: bool = False,
    mask: Bool[Array, "B T"] | None = None,
    representation: bool = False,
  ) -> Float[Array, "B T J C"]:
    dtype = self.options.dtype
    if self.first < self.options.depth:
      x = _norm("norm", dtype)(_layers(x, self.options, self.first, self.options.depth, train, mask))
    shape = x.shape
    x = ACTIVATIONS[self.activation](_dense(self.dim_rep, "pre_logits", dtype)(x.reshape(-1, shape[-1])))
    x = x if representation else _dense(3, "pose", dtype)(x)
    return x.reshape(*shape[:-1], x.shape[-1]).astype(jnp.float32)


class DSTformer(Lifter):
  """A Lifter of clips, which also takes a mask of frames."""

  @property
  def longest(self) -> int | None:
    return cast(Trunk, self.trunk).maxlen

  def __call__(
    self, x: Float[AnyArray, "B T J C"], train: bool = False, mask: Bool[AnyArray, "B T"] | None = None
  ) -> Float[Array, "B T J 3"]:
    """Inputs [B, T, J, C] to poses [B, T, J, 3].

    mask: True for the frames that are there. No other frame has any influence on these, so that a padded clip gives
    what the clip alone would; the output at the other frames means nothing. None: all are there.
    """
    mask = None if mask is None else jnp.asarray(mask)
    return self.head(self.trunk(jnp.asarray(x), train, mask), train, mask)

  def represent(
    self, x: Float[AnyArray, "B T J C"], train: bool = False, mask: Bool[AnyArray, "B T"] | None = None
  ) -> Float[Array, "B T J R"]:
    """The representation before the pose's linear map; call it by `model.apply(variables, x, method="represent")`."""
    mask = None if mask is None else jnp.asarray(mask)
    return self.head(self.trunk(jnp.asarray(x), train, mask), train, mask, representation=True)


def create(
  num_joints: int = 17,
  *,
  dim_in: int | None = None,
  dim_feat: int = 512,
  dim_rep: int = 512,
  depth: int = 5,
  num_heads: int = 8,
  mlp_ratio: int | float = 2,
  maxlen: int = 243,
  head_depth: int = 0,
  head_activation: str = "tanh",
  dropout: float = 0.0,
  drop_path: float = 0.0,
  remat: str = "dots",
  unroll: int = 1,
  attention: str | None = None,
  dtype: str = "float32",
) -> DSTformer:
  """A DSTformer; sizes default to MotionBERT's, and `create(**PRESETS[name])` gives the other published ones.

  dim_in: channels of the input, inferred when None. maxlen: the longest clip; shorter ones use the first temporal
  embeddings. head_depth: how many of the last layers belong to the head instead of the trunk, for methods that put
  several heads on one trunk. head_activation: of the representation, tanh as published; relu with dim_rep=128 is the
  head for fine-tuning that `small` comes with. dropout: of embeddings, projections and MLPs (the attention weights
  have none). drop_path: the last layer's chance to skip a residual branch, a draw for each clip. remat: what the
  backward pass recomputes: "none" nothing, "dots" all but the linear maps, "full" whole layers, which takes the least
  memory. unroll: how many layers `scan` unrolls. attention: as `implementation` of jax.nn.dot_product_attention ("xla",
  or "cudnn", which needs a GPU and bfloat16); None leaves the choice to it, except on CPU, where `attend` is faster.
  dtype: what the layers compute in, float32 or bfloat16; parameters, softmax, norms and output stay float32.
  """
  sizes = dict(
    num_joints=num_joints, dim_feat=dim_feat, dim_rep=dim_rep, depth=depth, num_heads=num_heads, maxlen=maxlen
  )
  for name, value in {**sizes, "unroll": unroll, **({} if dim_in is None else {"dim_in": dim_in})}.items():
    if value < 1:
      raise ValueError(f"{name}={value}, expected at least 1")
  if dim_feat % num_heads:
    raise ValueError(f"dim_feat={dim_feat} is not divisible by num_heads={num_heads}")
  mlp_hidden = round(dim_feat * mlp_ratio)
  if mlp_hidden < 1 or not 0 <= head_depth <= depth or not 0 <= dropout < 1 or not 0 <= drop_path < 1:
    raise ValueError(
      f"expected mlp_ratio={mlp_ratio} > 0, head_depth={head_depth} in [0, depth={depth}], dropout={dropout} and "
      f"drop_path={drop_path} in [0, 1)"
    )
  for name, value, choices in (
    ("head_activation", head_activation, tuple(ACTIVATIONS)),
    ("remat", remat, tuple(REMAT)),
    ("attention", attention, (None, "xla", "cudnn")),
    ("dtype", dtype, ("float32", "bfloat16")),
  ):
    if value not in choices:
      raise ValueError(f"{name}={value!r}, expected one of {', '.join(map(str, choices))}")
  options = Options(num_heads, mlp_hidden, dropout, drop_path, depth, remat, unroll, attention, dtype)
  trunk = Trunk(options, depth - head_depth, dim_in, dim_feat, num_joints, maxlen)
  return DSTformer(trunk=trunk, head=Head(options, depth - head_depth, dim_rep, head_activation))
