"""Networks from an image to what `heatmaps.READOUTS` read: a ResNet and a head on its last stage.

An image is RGB from 0 to 1. The network normalises it by the mean and deviation that torchvision's weights expect.
"""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxpose.heatmaps import READOUTS, simcc
from jaxpose.models import resnet

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, RGB
ETH_NORMS = ("none", "layer", "block")
_small = nn.initializers.normal(0.001)


def _upsample(features: int, kernel: int, stride: int, name: str, **options: Any) -> nn.ConvTranspose:
  """torch's transposed convolution without shift: the output is exactly `stride` times as large."""
  return nn.ConvTranspose(features, (kernel, kernel), (stride, stride), padding="SAME", transpose_kernel=True,
                          name=name, **options)  # fmt: skip


class Simple(nn.Module):
  """SimpleBaseline's head (Xiao et al. 2018): `layers` times (deconvolution k4 s2, normalisation, ReLU), then 1x1."""

  channels: int
  width: int = 256
  layers: int = 3
  norm: str = "batch"
  dtype: str = "float32"

  @nn.compact
  def __call__(self, x: Float[Array, "B H W C"], train: bool = False) -> Float[Array, "B H2 W2 D"]:
    for i in range(1, self.layers + 1):
      x = _upsample(self.width, 4, 2, f"deconv{i}", use_bias=False, kernel_init=_small, dtype=self.dtype)(x)
      x = nn.relu(resnet.normalisation(self.norm, self.width, train, f"bn{i}", self.dtype)(x))
    x = nn.Conv(self.channels, (1, 1), kernel_init=_small, dtype=self.dtype, name="maps")(x)
    return x.astype(jnp.float32)


class Eth(nn.Module):
  """Blocks B to E on a ResNet that stops at layer3: VNect's (Mehta et al. 2017, figure 3) without its location maps.

  B is a residual bottleneck of 2, 2 and 4 times the width, C three convolutions of 1, 1/2 and 1 times it, D one
  transposed convolution a pair (kernel, stride) of `deconvs`, E a 1x1 convolution. bottleneck: whether there is B.
  norm: batch normalisation in B to D "none", after each "layer", or at the end of each "block".
  """

  channels: int
  width: int = 256
  bottleneck: bool = True
  deconvs: tuple[tuple[int, int], ...] = ((4, 4),)
  norm: str = "none"
  dtype: str = "float32"

  @nn.compact
  def __call__(self, x: Float[Array, "B H W C"], train: bool = False) -> Float[Array, "B H2 W2 D"]:
    conv = functools.partial(nn.Conv, padding="SAME", kernel_init=resnet.kaiming, dtype=self.dtype)
    w = self.width

    def normalised(x: Array, name: str, end: bool) -> Array:
      if self.norm == "layer" or (self.norm == "block" and end):
        return resnet.normalisation("batch", x.shape[-1], train, f"bn_{name}", self.dtype)(x)
      return x

    def chain(x: Array, block: str, features: tuple[int, int, int]) -> Array:
      for i, (size, count) in enumerate(zip((1, 3, 1), features)):
        x = normalised(conv(count, (size, size), name=f"{block}{i + 1}")(x), f"{block}{i + 1}", i == 2)
        x = nn.relu(x) if i < 2 else x
      return x

    if self.bottleneck:
      x = nn.relu(conv(4 * w, (1, 1), name="b_shortcut")(x) + chain(x, "b", (2 * w, 2 * w, 4 * w)))
    x = nn.relu(chain(x, "c", (w, w // 2, w)))
    for i, (kernel, stride) in enumerate(self.deconvs, 1):
      up = _upsample(w // 2, kernel, stride, f"d{i}", kernel_init=resnet.kaiming, dtype=self.dtype)
      x = nn.relu(normalised(up(x), f"d{i}", i == len(self.deconvs)))
    return conv(self.channels, (1, 1), name="e")(x).astype(jnp.float32)


class SimCC(nn.Module):
  """Li et al. 2022 without deconvolutions: a 1x1 convolution to a map a joint, and two linear layers of all its cells.

  size: (width, height) of the image in pixels; bins_per_px: of each axis.
  """

  channels: int
  size: tuple[int, int]
  bins_per_px: int = 2
  dtype: str = "float32"

  @nn.compact
  def __call__(self, x: Float[Array, "B H W C"], train: bool = False) -> simcc.Bins:
    del train
    maps = nn.Conv(self.channels, (1, 1), dtype=self.dtype, name="maps")(x)
    flat = jnp.moveaxis(maps, -1, 1).reshape(len(x), self.channels, -1)
    counts = [self.bins_per_px * n for n in self.size]
    x_logits, y_logits = (nn.Dense(n, dtype=self.dtype, name=axis)(flat) for n, axis in zip(counts, ("x", "y")))
    return simcc.Bins(x_logits.astype(jnp.float32), y_logits.astype(jnp.float32))


class Direct(nn.Module):
  """The mean of all cells, and a linear layer to `dim` coordinates of each joint; the middle of the image at first."""

  channels: int
  dim: int = 2
  dtype: str = "float32"

  @nn.compact
  def __call__(self, x: Float[Array, "B H W C"], train: bool = False) -> Float[Array, "B J D"]:
    del train
    points = nn.Dense(self.channels * self.dim, dtype=self.dtype, name="points")(x.mean((1, 2)))
    return points.astype(jnp.float32).reshape(len(x), self.channels, self.dim) + 0.5


class ImageModel(nn.Module):
  """head(backbone(image)): images [B, H, W, 3] from 0 to 1 to a readout's output. Parts "backbone" and "head"."""

  backbone: resnet.ResNet
  head: nn.Module

  def __call__(self, images: Float[Array | np.ndarray, "B H W 3"], train: bool = False) -> Any:
    mean, deviation = (np.array(x, np.float32).reshape(1, 1, 1, 3) for x in (MEAN, DEVIATION))
    stages = self.backbone((jnp.asarray(images) - mean) / deviation, train)
    return self.head(list(stages.values())[-1], train)


# Head: its module, and the kind of a readout's output that it gives.
HEADS: dict[str, tuple[Callable[..., nn.Module], str]] = {
  "simple": (Simple, "maps"),
  "eth": (Eth, "maps"),
  "simcc": (SimCC, "bins"),
  "direct": (Direct, "points"),
}


def create(
  num_joints: int = 17,
  *,
  readout: str = "dark",
  head: str = "simple",
  size: tuple[int, int] = (192, 256),
  head_options: Mapping[str, Any] | None = None,
  **backbone: Any,
) -> ImageModel:
  """An image network whose output that readout reads.

  size: (width, height) of the images, which only simcc's layers depend on. head_options: of the head's class; backbone:
  of `resnet.create`, whose dtype the head shares. Raises ValueError for a head or an option that there is not, and for
  a readout that reads another kind of output.
  """
  if head not in HEADS:
    raise ValueError(f"unknown head {head!r}; known are {', '.join(HEADS)}")
  if readout not in READOUTS:
    raise ValueError(f"unknown readout {readout!r}; known are {', '.join(READOUTS)}")
  module, gives = HEADS[head]
  if READOUTS[readout].output != gives:
    fitting = [name for name, r in READOUTS.items() if r.output == gives]
    raise ValueError(f"head {head!r} gives {gives}, which readout {readout!r} does not read; {', '.join(fitting)} do")
  network = resnet.create(**backbone)
  options = {"dtype": network.dtype, **({"size": tuple(size)} if head == "simcc" else {}), **(head_options or {})}
  accepted = [n for n in inspect.signature(module).parameters if n not in ("channels", "parent", "name")]
  for name in options:
    if name not in accepted:
      raise ValueError(f"head {head!r} has no option {name!r}; it takes {', '.join(accepted)}")
  norms = ETH_NORMS if head == "eth" else resnet.NORMS
  if options.get("norm", norms[0]) not in norms:
    raise ValueError(f"norm={options['norm']!r}; head {head!r} takes {', '.join(norms)}")
  return ImageModel(network, module(channels=num_joints * READOUTS[readout].channels, **options))
