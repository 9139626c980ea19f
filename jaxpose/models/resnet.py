"""Residual networks of images (He et al. 2016), as torchvision builds them: stages of features.

A stage's stride is in its first block's 3x3 convolution ("V1.5"), and every padding is explicit: at stride 2, SAME pads
on the right and bottom alone and moves what five stages see by 31 pixels of the image.
"""

import functools
import math
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

STAGES = ("layer1", "layer2", "layer3", "layer4")
NORMS = ("batch", "group", "frozen")
DTYPES = ("float32", "bfloat16")
# Depth: blocks of each stage, and whether they are bottlenecks.
DEPTHS = {18: ((2, 2, 2, 2), False), 34: ((3, 4, 6, 3), False), 50: ((3, 4, 6, 3), True)}
_EXPANSION = 4

kaiming = nn.initializers.variance_scaling(2.0, "fan_out", "normal")


def normalisation(kind: str, channels: int, train: bool, name: str, dtype: Any = "float32") -> nn.Module:
  """A layer of normalisation: "batch", "group" (32 groups, or as many as divide the channels), or "frozen".

  "frozen" normalises by the running statistics also in training; its scale and bias learn unless `optim.rates` rests
  them, and resting alone does not freeze a batch normalisation, whose batch goes on counting. Momentum 0.9 is PyTorch's
  0.1; trap: flax's running variance is the biased one.
  """
  if kind == "group":
    return nn.GroupNorm(num_groups=math.gcd(32, channels), epsilon=1e-5, dtype=dtype, name=name)
  average = not train or kind == "frozen"
  return nn.BatchNorm(use_running_average=average, momentum=0.9, epsilon=1e-5, dtype=dtype, name=name)


class Block(nn.Module):
  """x + f(x), rectified: two 3x3 convolutions, or a bottleneck of 1x1, 3x3 and 1x1 to four times the width."""

  width: int
  bottleneck: bool
  stride: int = 1
  norm: str = "batch"
  dtype: str = "float32"

  @nn.compact
  def __call__(self, x: Float[Array, "B H W C"], train: bool = False) -> Float[Array, "B H2 W2 D"]:
    conv = functools.partial(nn.Conv, use_bias=False, kernel_init=kaiming, dtype=self.dtype)
    norm = lambda channels, name: normalisation(self.norm, channels, train, name, self.dtype)  # noqa: E731
    wide = self.width * (_EXPANSION if self.bottleneck else 1)
    kernels = (1, 3, 1) if self.bottleneck else (3, 3)
    strided = 1 if self.bottleneck else 0
    y = x
    for i, size in enumerate(kernels):
      channels = wide if i == len(kernels) - 1 else self.width
      stride = self.stride if i == strided else 1
      y = conv(channels, (size, size), stride, padding=size // 2, name=f"conv{i + 1}")(y)
      y = norm(channels, f"bn{i + 1}")(y)
      y = nn.relu(y) if i < len(kernels) - 1 else y
    if self.stride != 1 or x.shape[-1] != wide:
      x = norm(wide, "downsample_bn")(conv(wide, (1, 1), self.stride, padding=0, name="downsample_conv")(x))
    return nn.relu(x + y)


class ResNet(nn.Module):
  """Images [B, H, W, 3] to {"layer1": [B, H/4, W/4, C], ...}, the stages up to the last there is.

  blocks: of each stage, one to four. strides: of each stage. width: channels of the first stage's blocks.
  """

  blocks: tuple[int, ...]
  bottleneck: bool
  width: int = 64
  strides: tuple[int, ...] = (1, 2, 2, 2)
  norm: str = "batch"
  dtype: str = "float32"

  @nn.compact
  def __call__(self, x: Float[Array | np.ndarray, "B H W 3"], train: bool = False) -> dict[str, Array]:
    stem = nn.Conv(self.width, (7, 7), 2, padding=3, use_bias=False, kernel_init=kaiming, dtype=self.dtype,
                   name="conv1")  # fmt: skip
    x = nn.relu(normalisation(self.norm, self.width, train, "bn1", self.dtype)(stem(jnp.asarray(x))))
    x = nn.max_pool(x, (3, 3), (2, 2), ((1, 1), (1, 1)))
    stages = {}
    for number, (stage, count) in enumerate(zip(STAGES, self.blocks)):
      for i in range(count):
        stride = self.strides[number] if i == 0 else 1
        options = dict(norm=self.norm, dtype=self.dtype, name=f"{stage}_{i}")
        x = Block(self.width * 2**number, self.bottleneck, stride, **options)(x, train)
      stages[stage] = x
    return stages


def create(
  depth: int = 50,
  *,
  stop: str = "layer4",
  strides: tuple[int, ...] = (1, 2, 2, 2),
  norm: str = "batch",
  width: int = 64,
  dtype: str = "float32",
) -> ResNet:
  """A ResNet of 18, 34 or 50 layers, up to and including the stage `stop`.

  strides: of the four stages. A network that stops at layer3 has stride 16; so has one with strides=(1, 2, 2, 1), with
  layer4's channels. norm: see `normalisation`. width: channels of the first stage. dtype: what the layers compute in;
  parameters and statistics stay float32. Raises ValueError for anything else.
  """
  for name, value, known in (("depth", depth, tuple(DEPTHS)), ("stop", stop, STAGES), ("norm", norm, NORMS),
                             ("dtype", dtype, DTYPES)):  # fmt: skip
    if value not in known:
      raise ValueError(f"{name}={value!r}; a ResNet's is one of {', '.join(map(str, known))}")
  if len(strides) != len(STAGES) or any(s not in (1, 2) for s in strides):
    raise ValueError(f"strides={tuple(strides)}; give 1 or 2 for each of {', '.join(STAGES)}")
  if width < 1:
    raise ValueError(f"width={width}; the first stage has at least 1 channel")
  blocks, bottleneck = DEPTHS[depth]
  count = STAGES.index(stop) + 1
  return ResNet(blocks[:count], bottleneck, width, tuple(strides), norm, dtype)
