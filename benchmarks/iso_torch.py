"""ISO's adaptation in plain PyTorch, to measure against: one instance after another, and torch.func.vmap over a chunk.

Written from the paper's Algorithm 1 as one would in PyTorch: modules, `loss.backward()`, torch.optim.Adam, batch
normalisation in evaluation mode, 16 identical rows an instance. Weights come from jaxpose's variables and the random
viewpoints are given, so that both implementations compute the same numbers.
"""

import copy

import numpy as np
import torch
from torch import nn
from torch.nn import functional

SLOPE = 0.01  # of leaky ReLU


class Block(nn.Module):
  """x + layer(layer(x))."""

  def __init__(self, width, norm):
    super().__init__()
    self.linear = nn.ModuleList(nn.Linear(width, width, bias=not norm) for _ in range(2))
    self.norm = nn.ModuleList(nn.BatchNorm1d(width) for _ in range(2)) if norm else [nn.Identity()] * 2

  def forward(self, x):
    y = x
    for linear, norm in zip(self.linear, self.norm):
      y = functional.leaky_relu(norm(linear(y)), SLOPE)
    return x + y


class Net(nn.Module):
  """Trunk, supervised head, self-supervised head and discriminator, in the sizes of jaxpose's variables."""

  def __init__(self, params):
    super().__init__()

    def linear(p):
      return nn.Linear(*p["kernel"].shape)

    def blocks(part, norm):
      names = sorted(name for name in part if name.startswith("block_"))
      return [Block(part[name]["first"]["Dense_0"]["kernel"].shape[0], norm) for name in names]

    trunk, judge = params["trunk"], params["discriminator"]
    self.trunk = nn.Sequential(linear(trunk["stem"]), *blocks(trunk, True))
    for name in ("head", "self_supervised_head"):
      self.add_module(name, nn.Sequential(*blocks(params[name], True), linear(params[name]["pose"])))
    self.discriminator = nn.Sequential(linear(judge["stem"]), *blocks(judge, False), linear(judge["logit"]))

  def lift(self, x, head):
    return head(self.trunk(x.flatten(1))).unflatten(1, (-1, 3))

  def judge(self, y):
    return self.discriminator(y.flatten(1))[:, 0]


def load(variables) -> Net:
  """A network in evaluation mode with the weights of jaxpose's variables (ISO's MLP, `mlp.create()`)."""
  params, statistics = variables["params"], variables["batch_stats"]
  net = Net(params).eval()

  def put(target, value):
    with torch.no_grad():
      target.copy_(torch.from_numpy(np.array(value)))

  def dense(module, p):
    put(module.weight, np.transpose(p["kernel"]))
    if "bias" in p:
      put(module.bias, p["bias"])

  for name in params:
    layers = list(getattr(net, name))
    ends = {"stem": layers[0], "pose": layers[-1], "logit": layers[-1]}
    for key, p in params[name].items():
      if key in ends:
        dense(ends[key], p)
        continue
      block = layers[int(key.removeprefix("block_")) + ("stem" in params[name])]
      for i, layer in enumerate(("first", "second")):
        dense(block.linear[i], p[layer]["Dense_0"])
        if "BatchNorm_0" in p[layer]:
          source = statistics[name][key][layer]["BatchNorm_0"]
          norm = block.norm[i]
          for target, value in (
            (norm.weight, p[layer]["BatchNorm_0"]["scale"]), (norm.bias, p[layer]["BatchNorm_0"]["bias"]),
            (norm.running_mean, source["mean"]), (norm.running_var, source["var"]),
          ):  # fmt: skip
            put(target, value)
  return net


def turn(pose, rotation):
  return torch.einsum("bij,bkj->bki", rotation, pose - pose[:, :1])


def project(pose, depth):
  """The codec "root_rms": perspective with the root at `depth`, over its root mean square."""
  z = torch.clamp(depth + pose[..., 2:] - pose[:, :1, 2:], min=0.1 * depth)
  flat = (pose[..., :2] - pose[:, :1, :2]) / z
  return flat / (flat**2).mean((-2, -1), keepdim=True).sqrt()


def objective(net, x, rotation, depth, cycle, judge_frozen):
  """Both players' losses on rows x [R, J, 2] seen from `rotation` [R, 3, 3]; `judge_frozen` scores the lifter."""
  pose = net.lift(x, net.self_supervised_head)
  pose = pose - pose[:, :1]
  y = project(turn(pose, rotation), depth)
  lifter = functional.softplus(-judge_frozen(y)).mean()
  if cycle:
    again = net.lift(y, net.self_supervised_head)
    back = turn(again, rotation.transpose(1, 2))
    in_2d = ((project(back, depth) - x) ** 2).sum((1, 2)).mean()
    lifter = lifter + 10 * in_2d + 0.1 * ((back - pose) ** 2).sum((1, 2)).mean()
  fake = net.judge(y.detach())
  return lifter + (functional.softplus(-net.judge(x)) + functional.softplus(fake)).mean()


def moving(net):
  return [p for part in (net.trunk, net.self_supervised_head, net.discriminator) for p in part.parameters()]


def frozen_judge(net):
  """The discriminator with its weights as constants: gradients pass to its input only."""
  constants = {name: p.detach() for name, p in net.discriminator.named_parameters()}
  return lambda y: torch.func.functional_call(net.discriminator, constants, (y.flatten(1),))[:, 0]


def adapt(net, x, rotations, learning_rate, depth, cycle):
  """Algorithm 1 on one instance x [J, 2] with rotations [T, R, 3, 3]: an adapted copy of `net`."""
  net = copy.deepcopy(net)
  optimizer = torch.optim.Adam(moving(net), lr=learning_rate)
  for p in net.head.parameters():
    p.requires_grad_(False)
  step(net, optimizer, x, rotations, depth, cycle)
  return net


def step(net, optimizer, x, rotations, depth, cycle):
  """As many steps as there are rotations [T, R, 3, 3], on R copies of x."""
  for rotation in rotations:
    rows = x.expand(len(rotation), *x.shape).contiguous()
    optimizer.zero_grad()
    objective(net, rows, rotation, depth, cycle, frozen_judge(net)).backward()
    optimizer.step()


@torch.no_grad()
def predict(net, x):
  """The supervised head's poses of rows x [R, J, 2]."""
  return net.lift(x, net.head)


def vanilla(net, both, rotations, learning_rate, depth, cycle):
  """Poses [N, 2, J, 3] of instances [N, 2, J, 2] (input and mirror image), each adapted alone, one after another."""
  out = []
  for rows, turns in zip(both, rotations):
    out.append(predict(adapt(net, rows[0], turns, learning_rate, depth, cycle), rows))
  return torch.stack(out)


def online(net, both, rotations, learning_rate, depth, cycle, every=1):
  """Poses of a stream [N, 2, J, 2]: the weights carried along, every k-th instance adapted to, fresh moments."""
  net, out = copy.deepcopy(net), []
  for p in net.head.parameters():
    p.requires_grad_(False)
  for i, (rows, turns) in enumerate(zip(both, rotations)):
    if i % every == 0:
      step(net, torch.optim.Adam(moving(net), lr=learning_rate), rows[0], turns, depth, cycle)
    out.append(predict(net, rows))
  return torch.stack(out)


def vanilla_vmap(net, both, rotations, learning_rate, depth, cycle):
  """`vanilla` for all instances at once: torch.func.vmap over gradients, Adam written on stacked tensors."""
  groups = ("trunk.", "self_supervised_head.", "discriminator.")
  everything = {name: p.detach() for name, p in net.named_parameters()}
  selected = {name: p for name, p in everything.items() if name.startswith(groups)}
  rest = {name: p for name, p in everything.items() if name not in selected}
  names = {name: name.removeprefix("discriminator.") for name in selected if name.startswith("discriminator.")}

  class Functional(nn.Module):
    def __init__(self):
      super().__init__()
      self.net = net

    def forward(self, x, rotation, constants):
      def judge(y):
        return torch.func.functional_call(self.net.discriminator, constants, (y.flatten(1),))[:, 0]

      return objective(self.net, x, rotation, depth, cycle, judge)

  module = Functional()

  def loss(weights, x, rotation):
    constants = {short: weights[name].detach() for name, short in names.items()}
    given = {f"net.{k}": v for k, v in {**weights, **rest}.items()}
    rows = x.expand(len(rotation), *x.shape)
    return torch.func.functional_call(module, given, (rows, rotation, constants))

  def forward(weights, rows):
    given = {**weights, **rest}
    features = torch.func.functional_call(net.trunk, part(given, "trunk."), (rows.flatten(1),))
    return torch.func.functional_call(net.head, part(given, "head."), (features,)).unflatten(1, (-1, 3))

  def part(given, prefix):
    return {k.removeprefix(prefix): v for k, v in given.items() if k.startswith(prefix)}

  first = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0, 0))
  later = torch.func.vmap(torch.func.grad(loss), in_dims=(0, 0, 0))
  weights, means, squares = selected, None, None
  with torch.no_grad():
    for t in range(rotations.shape[1]):
      gradient = (later if t else first)(weights, both[:, 0], rotations[:, t])
      if not t:
        weights = {k: v.expand(len(both), *v.shape).clone() for k, v in selected.items()}
        means = {k: torch.zeros_like(v) for k, v in weights.items()}
        squares = {k: torch.zeros_like(v) for k, v in weights.items()}
      for k, g in gradient.items():
        means[k].lerp_(g, 0.1)
        squares[k].mul_(0.999).addcmul_(g, g, value=0.001)
        root = (squares[k] / (1 - 0.999 ** (t + 1))).sqrt_().add_(1e-8)
        weights[k].addcdiv_(means[k], root, value=-learning_rate / (1 - 0.9 ** (t + 1)))
    return torch.func.vmap(forward)(weights, both)
