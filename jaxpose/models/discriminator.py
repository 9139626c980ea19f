"""The pose discriminator: is a 2D pose one that people are seen in? Its logit is positive for real."""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxpose.models.mlp import INITIALIZERS, ResidualBlock


class Discriminator(nn.Module):
  """2D poses [..., J, 2] to logits [...], float32; one pose at a time, without normalisation over a batch."""

  width: int
  blocks: int
  dropout: float
  initializer: str
  dtype: str

  @nn.compact
  def __call__(self, pose: Float[Array, "*b J 2"], train: bool = False) -> Float[Array, "*b"]:
    x = pose.reshape(*pose.shape[:-2], -1)
    dense = dict(kernel_init=INITIALIZERS[self.initializer], dtype=self.dtype)
    x = nn.Dense(self.width, **dense, name="stem")(x)
    for i in range(self.blocks):
      block = ResidualBlock(
        self.width, self.dropout, "leaky_relu", self.initializer, norm=False, dtype=self.dtype, name=f"block_{i}"
      )
      x = block(x, train)
    return nn.Dense(1, **dense, name="logit")(x)[..., 0].astype(jnp.float32)


def create(
  *, width: int = 1024, blocks: int = 3, dropout: float = 0.0, initializer: str = "lecun", dtype: str = "float32"
) -> Discriminator:
  """ISO's discriminator (Zhang et al. 2020, section 3.3): a linear layer, three residual blocks without BN, a logit.

  Dropout is off unless asked for: the paper names it for the lifter's blocks.
  """
  if width < 1 or blocks < 0 or not 0 <= dropout < 1 or initializer not in INITIALIZERS:
    raise ValueError(
      f"expected width={width} >= 1, blocks={blocks} >= 0, dropout={dropout} in [0, 1), "
      f"initializer={initializer!r} among {', '.join(INITIALIZERS)}"
    )
  return Discriminator(width, blocks, dropout, initializer, dtype)
