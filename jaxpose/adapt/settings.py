"""How to adapt, as one checked value; and the values that are worth beginning with."""

import dataclasses

from jaxpose.adapt.adapt import MODES, PAPER_GROUPS
from jaxpose.adapt.gauss_newton import Solver
from jaxpose.adapt.teacher import Teacher
from jaxpose.adapt.weighted import parse

OPTIMIZERS = ("adam", "sgd", "gauss_newton")
STREAMS = ("clip", "camera")


@dataclasses.dataclass(frozen=True, kw_only=True)
class AdaptConfig:
  """How to adapt. None takes the mode's own (the paper's): see adapt.MODES. An empty objective takes the method's.

  objective: names joined by "+", each with a factor where wanted: "reprojection*10+bone_lengths*0.5". gate: adapt only
  to instances whose loss, with the source's weights, is above this quantile of the source's own; 0 adapts to all.
  soft_reset: the share by which each step online takes the weights back to `reset_to`.

  optimizer gauss_newton solves for objectives that are sums of squares of the prediction (residuals.py), in five steps
  if none are set. It has no learning rate, copies or memory, and adapts to every instance.
  """

  mode: str = "vanilla"
  objective: str = ""
  num_steps: int | None = None
  learning_rate: float | None = None
  every: int | None = None  # online modes adapt on every k-th instance
  copies: int = 16  # rows a step; online a multiple of `memory`
  memory: int = 1  # online: rows are the last `memory` instances
  groups: tuple[str, ...] = PAPER_GROUPS
  optimizer: str = "adam"  # adam | sgd | gauss_newton
  carry_optimizer: bool = False  # online: moments are kept from instance to instance
  damping: float = 0.1  # of Gauss-Newton's normal equations
  carry: float = 0.5  # online, Gauss-Newton: the share of an instance's first step that the stream keeps
  stream: str = "clip"  # online: a stream is a clip, or a "camera" with all it sees of a subject
  gate: float = 0.0
  teacher_decay: float = 0.99  # of the moving average that the objective "teacher" and soft_reset look to
  soft_reset: float = 0.0
  reset_to: str = "teacher"  # teacher | source
  chunk: int | None = None  # instances (vanilla) or streams (online) at once; by the memory there is when None
  seed: int = 0

  def __post_init__(self):
    if self.mode not in MODES:
      raise ValueError(f"unknown mode {self.mode!r}; known are {', '.join(MODES)}")
    if self.optimizer not in OPTIMIZERS:
      raise ValueError(f"unknown optimizer {self.optimizer!r}; known are {', '.join(OPTIMIZERS)}")
    if not self.damping > 0 or not 0 <= self.carry <= 1:
      raise ValueError(f"damping={self.damping} must be positive, and carry={self.carry} in [0, 1]")
    for name in ("num_steps", "learning_rate", "every", "copies", "memory", "chunk"):
      value = getattr(self, name)
      if value is not None and not value > 0:
        raise ValueError(f"{name}={value} must be positive")
    if self.stream not in STREAMS:
      raise ValueError(f"unknown stream {self.stream!r}; known are {', '.join(STREAMS)}")
    if not 0 <= self.gate <= 1:
      raise ValueError(f"gate={self.gate} must be a quantile in (0, 1], or 0 for none")
    if self.optimizer == "gauss_newton":
      asked = dict(learning_rate=self.learning_rate, every=self.every or MODES[self.mode].every, memory=self.memory)
      for name, value in asked.items():
        if value not in (None, 1):
          raise ValueError(f"{name}={value} means nothing to optimizer 'gauss_newton', which solves for each instance")
      if self.soft_reset:
        raise ValueError("soft_reset is for optimizers adam and sgd; let gauss_newton carry less instead")
    Teacher(self.teacher_decay, self.soft_reset, self.reset_to)  # checks them
    if self.objective:
      parse(self.objective)
    if not MODES[self.mode].online:
      for name in ("soft_reset", "carry_optimizer"):
        if getattr(self, name):
          raise ValueError(f"{name}={getattr(self, name)} is for the online modes; mode {self.mode!r} carries nothing")
    elif self.copies % self.memory:
      raise ValueError(
        f"copies={self.copies} must be a multiple of memory={self.memory}: rows are those instances in turn"
      )

  def resolved(self) -> "AdaptConfig":
    """With the mode's own numbers filled in."""
    mode = MODES[self.mode]
    if self.optimizer == "gauss_newton":
      steps = Solver._field_defaults["num_steps"] if self.num_steps is None else self.num_steps
      return dataclasses.replace(self, num_steps=steps, learning_rate=1.0, every=1, copies=1)
    return dataclasses.replace(
      self,
      num_steps=mode.num_steps if self.num_steps is None else self.num_steps,
      learning_rate=mode.learning_rate if self.learning_rate is None else self.learning_rate,
      every=mode.every if self.every is None else self.every,
    )


# What gains most on held-out people and views, in measurements of this library (docs/adaptation.md); the published
# settings are those of adapt.MODES.
RECOMMENDED = {
  "vanilla": AdaptConfig(mode="vanilla", objective="reprojection+bone_lengths*10", optimizer="gauss_newton"),
  "online": AdaptConfig(
    mode="online", objective="reprojection+bone_lengths*10", optimizer="gauss_newton", stream="camera"
  ),
}


def recommended(mode: str) -> AdaptConfig:
  """The recommended setting of a mode; a ValueError lists the modes that have one."""
  if mode not in RECOMMENDED:
    raise ValueError(f"no recommended setting for mode {mode!r}; there is one for {', '.join(RECOMMENDED)}")
  return RECOMMENDED[mode]
