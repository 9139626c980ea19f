"""How to adapt, as one checked value; and the values that are worth beginning with."""

import dataclasses
import json
from collections.abc import Mapping

from jaxpose.adapt.first_order import PAPER_GROUPS

OPTIMIZERS = ("adam", "sgd", "gauss_newton")
STREAMS = ("clip", "camera", "subject")


@dataclasses.dataclass(frozen=True)
class Mode:
  """A way to go through instances. num_steps and learning_rate are the paper's T and alpha."""

  streams: bool  # instances of a stream share what was learnt
  num_steps: int = 0
  learning_rate: float = 0.0
  every: int = 1  # online: every k-th instance adapts


MODES = {
  "none": Mode(streams=False),
  "vanilla": Mode(streams=False, num_steps=10, learning_rate=2e-5),
  "vanilla_lr": Mode(streams=False, num_steps=1, learning_rate=2e-4),
  "online": Mode(streams=True, num_steps=1, learning_rate=2e-5),
  "online_skip": Mode(streams=True, num_steps=1, learning_rate=2e-5, every=10),
  "video": Mode(streams=True),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class AdaptConfig:
  """How to adapt. None takes the mode's own (the paper's): see MODES. An empty objective takes the method's.

  With optimizer adam or sgd, one of the method's objectives is descended on, by name.

  With gauss_newton, each instance is solved for by its keypoints and the person's bones (adapt/fit.py): `prior_m`, by
  how much a coordinate of a pose is expected to be wrong, in metres; `noise`, of a keypoint, as a share of the person's
  rms extent in the image, or None: by how much the clip's keypoints tremble (data/jitter.py). A stream learns the
  bones, online from frame to frame, in mode `video` from all frames before the last of `ROUNDS`. bones: known lengths
  in metres by the joint a bone ends at, for each subject ("" for every); height: of everyone, in metres.
  """

  mode: str = "vanilla"
  objective: str = ""
  num_steps: int | None = None
  learning_rate: float | None = None
  every: int | None = None  # online modes adapt on every k-th instance
  copies: int = 16  # random draws a step
  groups: tuple[str, ...] = PAPER_GROUPS
  optimizer: str = "adam"  # adam | sgd | gauss_newton
  carry_optimizer: bool = False  # online: moments are kept from instance to instance
  prior_m: float = 0.15
  noise: float | None = None
  bones: Mapping[str, Mapping[str, float]] = dataclasses.field(default_factory=dict, hash=False)
  height: float | None = None
  stream: str = "clip"  # a stream is a clip, what a "camera" sees of a subject, or all that there is of a "subject"
  chunk: int | None = None  # instances (alone) or streams (online) at once; by the memory there is when None
  seed: int = 0

  def __post_init__(self):
    if self.mode not in MODES:
      raise ValueError(f"unknown mode {self.mode!r}; known are {', '.join(MODES)}")
    if self.optimizer not in OPTIMIZERS:
      raise ValueError(f"unknown optimizer {self.optimizer!r}; known are {', '.join(OPTIMIZERS)}")
    for name in ("num_steps", "learning_rate", "every", "copies", "chunk", "prior_m", "noise"):
      value = getattr(self, name)
      if value is not None and not value > 0:
        raise ValueError(f"{name}={value} must be positive")
    if self.stream not in STREAMS:
      raise ValueError(f"unknown stream {self.stream!r}; known are {', '.join(STREAMS)}")
    _check_what_goes_together(self)

  def resolved(self) -> "AdaptConfig":
    """With the mode's own numbers filled in."""
    if self.optimizer == "gauss_newton":
      return self
    mode = MODES[self.mode]
    return dataclasses.replace(
      self,
      num_steps=mode.num_steps if self.num_steps is None else self.num_steps,
      learning_rate=mode.learning_rate if self.learning_rate is None else self.learning_rate,
      every=mode.every if self.every is None else self.every,
    )

  def key(self) -> str:
    """The settings as text: equal for equal settings."""
    return json.dumps(dataclasses.asdict(self), sort_keys=True)


def _check_what_goes_together(config: AdaptConfig) -> None:
  mode = MODES[config.mode]
  if config.optimizer == "gauss_newton":
    if config.mode in ("vanilla_lr", "online_skip"):
      raise ValueError(f"mode {config.mode!r} is the paper's; gauss_newton has vanilla, online and video")
    fields = {f.name: f.default for f in dataclasses.fields(config)}
    for name in ("objective", "num_steps", "learning_rate", "every", "copies", "carry_optimizer"):
      if getattr(config, name) != fields[name]:
        raise ValueError(f"{name}={getattr(config, name)!r} means nothing to gauss_newton, which solves each instance")
  elif config.mode == "video":
    raise ValueError("mode 'video' learns a person's bones: it needs optimizer='gauss_newton', as --recommended has")
  elif config.bones or config.height:
    raise ValueError(f"bones and height are for gauss_newton; optimizer {config.optimizer!r} knows no person")
  if config.carry_optimizer and not mode.streams:
    raise ValueError(f"carry_optimizer=True is for the online modes; mode {config.mode!r} carries nothing")


# What gains most on development targets, by a rule written down before (docs/adaptation.md); the published settings
# are those of MODES.
RECOMMENDED = {
  "vanilla": AdaptConfig(mode="vanilla", optimizer="gauss_newton"),
  "online": AdaptConfig(mode="online", optimizer="gauss_newton", stream="subject"),
  "video": AdaptConfig(mode="video", optimizer="gauss_newton", stream="subject"),
}


def recommended(mode: str) -> AdaptConfig:
  """The recommended setting of a mode; a ValueError lists the modes that have one."""
  if mode not in RECOMMENDED:
    raise ValueError(f"no recommended setting for mode {mode!r}; there is one for {', '.join(RECOMMENDED)}")
  return RECOMMENDED[mode]
