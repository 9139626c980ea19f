"""The DSTformer in plain PyTorch, to measure against: MotionBERT's model as one writes it in eager mode.

Parameters have MotionBERT's names, so that `jaxpose.convert_motionbert.to_torch_state_dict` gives a state dict that
loads strictly. Features are [B, T, J, D] throughout; the temporal attention moves only its queries, keys and values.
"""

import contextlib
from collections import OrderedDict

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from jaxpose import convert_motionbert

WEIGHTS = {"n_mpjpe": 0.5, "velocity": 20.0}  # beside mpjpe, as MotionBERT trains


class Attention(nn.Module):
  """Self-attention over joints or frames. fused: PyTorch's own kernel instead of softmax(q k^T) v written out."""

  def __init__(self, width, heads, temporal, fused):
    super().__init__()
    self.heads, self.temporal, self.fused = heads, temporal, fused
    self.qkv = nn.Linear(width, 3 * width)
    self.proj = nn.Linear(width, width)

  def forward(self, x):
    batch, frames, joints, width = x.shape
    qkv = self.qkv(x).reshape(batch, frames, joints, 3, self.heads, width // self.heads)
    # [3, B, J, heads, T, E] or [3, B, T, heads, J, E]
    q, k, v = qkv.permute(3, 0, 2, 4, 1, 5) if self.temporal else qkv.permute(3, 0, 1, 4, 2, 5)
    if self.fused:
      y = functional.scaled_dot_product_attention(q, k, v)
    else:
      y = ((q @ k.transpose(-2, -1)) * q.shape[-1] ** -0.5).softmax(-1) @ v
    y = y.permute(0, 3, 1, 2, 4) if self.temporal else y.permute(0, 1, 3, 2, 4)
    return self.proj(y.reshape(batch, frames, joints, width))


class Mlp(nn.Module):
  """Two linear maps with the exact GELU between them."""

  def __init__(self, width, hidden):
    super().__init__()
    self.fc1 = nn.Linear(width, hidden)
    self.fc2 = nn.Linear(hidden, width)

  def forward(self, x):
    return self.fc2(functional.gelu(self.fc1(x)))


class Stream(nn.Module):
  """A spatial and a temporal stage, "s" and "t", in the given order."""

  def __init__(self, width, hidden, heads, order, fused):
    super().__init__()
    self.order = order
    for axis in order:
      self.add_module(f"norm1_{axis}", nn.LayerNorm(width, eps=1e-6))
      self.add_module(f"attn_{axis}", Attention(width, heads, axis == "t", fused))
      self.add_module(f"norm2_{axis}", nn.LayerNorm(width, eps=1e-6))
      self.add_module(f"mlp_{axis}", Mlp(width, hidden))

  def forward(self, x):
    for axis in self.order:
      norm1, attend, norm2, mlp = (getattr(self, f"{part}_{axis}") for part in ("norm1", "attn", "norm2", "mlp"))
      x = x + attend(norm1(x))
      x = x + mlp(norm2(x))
    return x


class DSTformer(nn.Module):
  """Inputs [B, T, J, C] to poses [B, T, J, 3]; sizes as in `jaxpose.models.dstformer.create`."""

  def __init__(self, num_joints, dim_in, dim_feat, dim_rep, depth, num_heads, mlp_ratio, maxlen, fused=False):
    super().__init__()
    hidden = round(dim_feat * mlp_ratio)
    self.joints_embed = nn.Linear(dim_in, dim_feat)
    self.pos_embed = nn.Parameter(torch.zeros(1, num_joints, dim_feat))
    self.temp_embed = nn.Parameter(torch.zeros(1, maxlen, 1, dim_feat))
    self.blocks_st = nn.ModuleList(Stream(dim_feat, hidden, num_heads, "st", fused) for _ in range(depth))
    self.blocks_ts = nn.ModuleList(Stream(dim_feat, hidden, num_heads, "ts", fused) for _ in range(depth))
    self.ts_attn = nn.ModuleList(nn.Linear(2 * dim_feat, 2) for _ in range(depth))
    self.norm = nn.LayerNorm(dim_feat, eps=1e-6)
    self.pre_logits = nn.Sequential(OrderedDict(fc=nn.Linear(dim_feat, dim_rep), act=nn.Tanh()))
    self.head = nn.Linear(dim_rep, 3)

  def forward(self, x):
    x = self.joints_embed(x) + self.pos_embed[:, None] + self.temp_embed[:, : x.shape[1]]
    for first, second, fuse in zip(self.blocks_st, self.blocks_ts, self.ts_attn):
      st, ts = first(x), second(x)
      share = fuse(torch.cat([st, ts], -1)).softmax(-1)
      x = st * share[..., :1] + ts * share[..., 1:]
    return self.head(self.pre_logits(self.norm(x)))


def load(variables, *, num_heads, fused=False, device="cpu") -> DSTformer:
  """The network with the weights of jaxpose's variables."""
  state = convert_motionbert.to_torch_state_dict(variables)
  sizes = {k: v for k, v in convert_motionbert.infer_options(state).items() if k != "num_heads"}
  net = DSTformer(**sizes, num_heads=num_heads, fused=fused)
  net.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in state.items()}, strict=True)
  return net.to(device)


def precision(device: str, dtype: str):
  """The context to compute in `dtype`: mixed precision for bfloat16, as PyTorch does it."""
  return torch.autocast(device, torch.bfloat16) if dtype == "bfloat16" else contextlib.nullcontext()


def objective(poses, targets):
  """MotionBERT's loss, mpjpe + 0.5 n_mpjpe + 20 velocity, of [B, T, J, 3]."""

  def distance(p, q):
    return torch.linalg.vector_norm(p - q, dim=-1).mean()

  scale = (poses * targets).sum((-2, -1), keepdim=True) / (poses**2).sum((-2, -1), keepdim=True)
  speed = distance(poses.diff(dim=1), targets.diff(dim=1))
  return distance(poses, targets) + WEIGHTS["n_mpjpe"] * distance(scale * poses, targets) + WEIGHTS["velocity"] * speed


def inference(net, dtype):
  """A function of inputs."""
  device = next(net.parameters()).device.type

  @torch.no_grad()
  def run(x):
    with precision(device, dtype):
      return net(x).float()

  return run


def training(net, dtype, learning_rate, weight_decay):
  """A function (inputs, targets) -> loss that updates the network by AdamW."""
  device = next(net.parameters()).device.type
  adamw = torch.optim.AdamW(net.parameters(), lr=learning_rate, weight_decay=weight_decay, fused=True)

  def run(x, targets):
    adamw.zero_grad(set_to_none=True)
    with precision(device, dtype):
      poses = net(x)
    loss = objective(poses.float(), targets)
    loss.backward()
    adamw.step()
    return loss.detach()

  return run
