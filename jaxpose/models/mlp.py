"""The residual multilayer perceptron that lifts one frame: Martinez et al. 2017, and ISO's form (Zhang et al. 2020).

A block is twice (linear, batch normalisation, activation, dropout), plus the block's input. Frames are independent:
every frame of [B, T, J, C] is a sample, also to batch normalisation.
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxpose.models.lifter import Lifter

ACTIVATIONS = {"leaky_relu": nn.leaky_relu, "relu": nn.relu}  # leaky: slope 0.01
INITIALIZERS = {"lecun": nn.initializers.lecun_normal(), "kaiming": nn.initializers.he_normal()}


class _Layer(nn.Module):
  """linear, batch normalisation, activation, dropout. Statistics are float32 whatever `dtype` computes."""

  width: int
  dropout: float
  activation: str
  initializer: str
  norm: bool
  dtype: str

  @nn.compact
  def __call__(self, x: Float[Array, "*b D"], train: bool) -> Float[Array, "*b W"]:
    # A bias before a normalisation would have no gradient but rounding noise, and Adam makes drift of that.
    x = nn.Dense(self.width, use_bias=not self.norm, kernel_init=INITIALIZERS[self.initializer], dtype=self.dtype)(x)
    if self.norm:
      # flax's momentum is the share of the old average: 0.9 is PyTorch's 0.1.
      x = nn.BatchNorm(use_running_average=not train, momentum=0.9, epsilon=1e-5, dtype=self.dtype)(x)
    x = ACTIVATIONS[self.activation](x)
    return nn.Dropout(self.dropout, deterministic=not train)(x)


class ResidualBlock(nn.Module):
  """x + layer(layer(x)): Martinez 2017, figure 2; without normalisation, a block of ISO's discriminator."""

  width: int
  dropout: float = 0.5
  activation: str = "leaky_relu"
  initializer: str = "lecun"
  norm: bool = True
  dtype: str = "float32"

  @nn.compact
  def __call__(self, x: Float[Array, "*b W"], train: bool = False) -> Float[Array, "*b W"]:
    layer = (self.width, self.dropout, self.activation, self.initializer, self.norm, self.dtype)
    return x + _Layer(*layer, name="second")(_Layer(*layer, name="first")(x, train), train)


class Trunk(nn.Module):
  """Joints [*b, J, C] to features [*b, width]: a linear layer (a whole layer with `stem_norm`), then blocks."""

  width: int
  blocks: int
  dropout: float
  activation: str
  initializer: str
  stem_norm: bool
  dtype: str

  @nn.compact
  def __call__(self, x: Float[Array, "*b J C"], train: bool = False) -> Float[Array, "*b W"]:
    x = x.reshape(*x.shape[:-2], -1)
    if self.stem_norm:
      x = _Layer(self.width, self.dropout, self.activation, self.initializer, True, self.dtype, name="stem")(x, train)
    else:
      x = nn.Dense(self.width, kernel_init=INITIALIZERS[self.initializer], dtype=self.dtype, name="stem")(x)
    for i in range(self.blocks):
      block = ResidualBlock(
        self.width, self.dropout, self.activation, self.initializer, dtype=self.dtype, name=f"block_{i}"
      )
      x = block(x, train)
    return x


class Head(nn.Module):
  """Features [*b, width] to poses [*b, J, 3], float32: residual blocks, then a linear layer.

  Without `predict_root` the linear layer gives the other joints, and the root joint is exactly zero.
  """

  num_joints: int
  width: int
  blocks: int
  dropout: float
  activation: str
  initializer: str
  predict_root: bool
  root: int
  dtype: str

  @nn.compact
  def __call__(self, x: Float[Array, "*b W"], train: bool = False) -> Float[Array, "*b J 3"]:
    for i in range(self.blocks):
      block = ResidualBlock(
        self.width, self.dropout, self.activation, self.initializer, dtype=self.dtype, name=f"block_{i}"
      )
      x = block(x, train)
    count = self.num_joints if self.predict_root else self.num_joints - 1
    x = nn.Dense(3 * count, kernel_init=INITIALIZERS[self.initializer], dtype=self.dtype, name="pose")(x)
    pose = x.astype(jnp.float32).reshape(*x.shape[:-1], count, 3)
    if self.predict_root:
      return pose
    zero = jnp.zeros_like(pose[..., :1, :])
    return jnp.concatenate([pose[..., : self.root, :], zero, pose[..., self.root :, :]], -2)


def create(
  num_joints: int = 17,
  *,
  width: int = 1024,
  trunk_blocks: int = 3,
  head_blocks: int = 1,
  dropout: float = 0.5,
  activation: str = "leaky_relu",
  initializer: str = "lecun",
  stem_norm: bool = False,
  predict_root: bool = True,
  root: int = 0,
  dtype: str = "float32",
) -> Lifter:
  """A single-frame lifter; the defaults are ISO's network (Zhang et al. 2020, section 3.3).

  stem_norm: normalise, activate and drop after the first linear layer, as Martinez does and ISO does not. dtype: what
  the layers compute in, float32 or bfloat16; parameters, statistics and output stay float32. The input's channels are
  inferred. Max-norm is the optimizer's affair (`optim.max_norm`): it acts on the weights after an update.
  """
  _choice("activation", activation, ACTIVATIONS)
  _choice("initializer", initializer, INITIALIZERS)
  _choice("dtype", dtype, ("float32", "bfloat16"))
  for name, value, least in (("num_joints", num_joints, 2), ("width", width, 1), ("trunk_blocks", trunk_blocks, 0)):
    if value < least:
      raise ValueError(f"{name}={value}, expected at least {least}")
  if head_blocks < 0 or not 0 <= dropout < 1 or not 0 <= root < num_joints:
    raise ValueError(
      f"expected head_blocks={head_blocks} >= 0, dropout={dropout} in [0, 1), root={root} a joint's index"
    )
  shared = dict(width=width, dropout=dropout, activation=activation, initializer=initializer, dtype=dtype)
  trunk = Trunk(blocks=trunk_blocks, stem_norm=stem_norm, **shared)
  head = Head(num_joints=num_joints, blocks=head_blocks, predict_root=predict_root, root=root, **shared)
  return Lifter(trunk=trunk, head=head)


def martinez(num_joints: int = 17, **changes) -> Lifter:
  """Martinez et al. 2017: two blocks, ReLU, Kaiming weights, root not predicted; they train with `optim.max_norm=1`."""
  form: dict[str, Any] = dict(trunk_blocks=2, head_blocks=0, activation="relu", initializer="kaiming", stem_norm=True)
  form |= {"predict_root": False, **changes}
  return create(num_joints, **form)


def _choice(name: str, value: str, choices) -> None:
  if value not in choices:
    raise ValueError(f"{name}={value!r}, expected one of {', '.join(choices)}")
