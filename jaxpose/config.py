"""A run's configuration as frozen dataclasses, made once from a config file's ConfigDict at the library's edge."""

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataConfig:
  """Which clips. World-space motion is seen through the virtual camera `rig` (data/cameras.py) at `fps`."""

  dataset: str  # "name", or "name/config" where several configurations of it are built
  splits: tuple[str, ...]
  rig: str = ""
  rig_options: dict = dataclasses.field(default_factory=dict)
  fps: float | None = None
  include: tuple[str, ...] = ()  # sequence names, or patterns of them; all when empty
  exclude: tuple[str, ...] = ()
  skeleton: str = ""  # the joint set that clips are mapped to, by joint name; the data set's own when empty
  protocol: str = ""  # of a target; the run's when empty
  fraction: float = 1.0  # of the clips, drawn by the seed; at least one
  seed: int = 0  # of the sampled cameras, and of the fraction
  look: str = ""  # rendered as images that look like this (synthetic/appearance.py); keypoints alone when empty
  detectors: tuple[str, ...] = ()  # workdirs of image runs whose detections replace the keypoints (detections.py)

  def __post_init__(self):
    if not self.dataset or not self.splits:
      raise ValueError(f"a data config needs a dataset and splits, got dataset={self.dataset!r}, splits={self.splits}")
    _positive(self, "fps", optional=True)
    if self.detectors and not self.look:
      raise ValueError(f"detectors={self.detectors} of {self.dataset!r} need images to detect in: give it a look")
    if not 0 < self.fraction <= 1:
      raise ValueError(f"fraction={self.fraction} of the clips of {self.dataset!r} must be in (0, 1]")


@dataclasses.dataclass(frozen=True, kw_only=True)
class PartConfig(DataConfig):
  """One data set of several to train on (data/mixture.py)."""

  share: float | None = None  # of the rows, relative to the others'; None, for all of them, is the number of windows
  use_3d: bool = True  # otherwise its joints_3d, if any, are not learnt from; methods "masked" and "image"
  start_step: int = 0  # the step from which it takes part

  def __post_init__(self):
    super().__post_init__()
    if self.share is not None and not 0 < self.share < float("inf"):
      raise ValueError(f"share={self.share} of the rows for {self.dataset!r} must be positive; leave out the data set")
    if self.start_step < 0:
      raise ValueError(f"start_step={self.start_step} of {self.dataset!r} is a step, from 0")


@dataclasses.dataclass(frozen=True, kw_only=True)
class OptimConfig:
  """The optimizer. `final_fraction` of the peak is where exponential and cosine end, and the floor of plateau."""

  name: str = "adam"  # adam | adamw
  learning_rate: float = 1e-3
  schedule: str = "exponential"  # constant | exponential | cosine | plateau
  final_fraction: float = 0.02
  warmup_steps: int = 0
  b1: float = 0.9
  b2: float = 0.999
  weight_decay: float = 0.0
  clip_norm: float = 0.0  # global gradient norm; 0 for none
  accumulate_steps: int = 1
  max_norm: float = 0.0  # of every unit's incoming weights; 0 for none
  plateau_factor: float = 0.1
  plateau_patience: int = 5  # windows without progress
  plateau_window: int = 1000  # updates over which the training loss is averaged
  discriminator_learning_rate: float = 2e-4
  rates: dict[str, float] = dataclasses.field(default_factory=dict)  # {pattern of paths: peak rate, 0 to freeze}
  layer_decay: float = 1.0  # the rate's factor from layer to layer downward; see train/rates.py

  def __post_init__(self):
    _choice(self, "name", ("adam", "adamw"))
    _choice(self, "schedule", ("constant", "exponential", "cosine", "plateau"))
    _positive(self, "learning_rate")
    _positive(self, "discriminator_learning_rate")
    _positive(self, "accumulate_steps")
    if not 0 < self.final_fraction <= 1:
      raise ValueError(f"final_fraction={self.final_fraction} must be in (0, 1]")
    if not 0 < self.layer_decay <= 1:
      raise ValueError(f"layer_decay={self.layer_decay} must be in (0, 1]")
    for pattern, rate in self.rates.items():
      if not 0 <= rate < float("inf"):
        raise ValueError(f"rates[{pattern!r}]={rate!r} must be a learning rate, or 0 to freeze")


@dataclasses.dataclass(frozen=True, kw_only=True)
class AugmentConfig:
  """What happens to a training batch before the loss sees it."""

  flip: float = 0.5  # probability of mirroring a sample
  noise_px: float = 0.0  # standard deviation of Gaussian noise on 2D keypoints, pixels
  missing: float = 0.0  # probability that a joint is missing
  detector: float = 0.0  # probability that a sample's joints are a COCO detector's (data/detector.py)

  def __post_init__(self):
    for name in ("flip", "missing", "detector"):
      if not 0 <= getattr(self, name) <= 1:
        raise ValueError(f"augment.{name}={getattr(self, name)} is a probability, in [0, 1]")
    if self.noise_px < 0:
      raise ValueError(f"augment.noise_px={self.noise_px} must not be negative")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
  """A run: data, codec, model, method, optimizer, and how often the loop does I/O."""

  train: DataConfig | dict[str, PartConfig]  # one data set, or several by name
  validation: DataConfig
  targets: dict[str, DataConfig]  # by name, in the order of names, which is that of a ConfigDict
  num_steps: int
  seed: int = 0
  batch_size: int = 64
  batch_per_device: int = (
    0  # rows a device instead, so that batch_size follows from how many there are; 0 for batch_size
  )
  window: int = 1  # frames a sample
  stride: int = 1  # frames between windows
  pad_short: bool = False  # train on clips shorter than a window too, with a mask
  overlap: int = 0  # frames that neighbouring windows share, and blend, at inference
  protocol: str = "generic"
  codec: str = "root_rms"
  codec_constants: dict = dataclasses.field(default_factory=dict)
  model: str = "mlp"
  model_options: dict = dataclasses.field(default_factory=dict)
  method: str = "supervised"
  method_options: dict = dataclasses.field(default_factory=dict)
  optim: OptimConfig = dataclasses.field(default_factory=OptimConfig)
  augment: AugmentConfig = dataclasses.field(default_factory=AugmentConfig)
  resident: bool = True  # the data set lives on the device if it fits; stretches of steps run without the host
  log_every: int = 500
  eval_every: int = 5000
  eval_max_frames: int = 20000
  keep_best: int = 3
  patience: int = 0  # evaluations without a better validation MPJPE after which training ends; 0 for never
  init_from: str = ""  # workdir of a run whose best checkpoint this one begins with
  init_parts: tuple[str, ...] = ("trunk", "head")  # the parts of it that are taken; others start afresh
  workers: int = 0  # Grain worker processes, when not resident
  select: str = "best"  # the checkpoint that is evaluated, adapted, gone on from: best (of validation) | latest

  def __post_init__(self):
    for name in (
      "num_steps",
      "batch_size",
      "window",
      "stride",
      "log_every",
      "eval_every",
      "eval_max_frames",
      "keep_best",
    ):
      _positive(self, name)
    if not 0 <= self.overlap < self.window:
      raise ValueError(f"overlap={self.overlap} must be in [0, window={self.window})")
    if self.pad_short and self.method == "iso":
      raise ValueError("pad_short=True needs masks, which method 'iso' has none of; use 'supervised' or 'masked'")
    _choice(self, "select", ("best", "latest"))
    self._check_parts()
    if self.eval_every % self.log_every:
      raise ValueError(f"eval_every={self.eval_every} must be a multiple of log_every={self.log_every}")
    if not self.targets:
      raise ValueError("targets is empty: name at least one data config to evaluate on")
    if self.batch_per_device < 0:
      raise ValueError(f"batch_per_device={self.batch_per_device} counts rows; 0 leaves it to batch_size")
    if self.patience < 0:
      raise ValueError(f"patience={self.patience} counts evaluations, from 0")
    if self.init_from and not self.init_parts:
      raise ValueError(f"init_from={self.init_from!r} with empty init_parts takes nothing; name parts, as ('trunk',)")

  @property
  def parts(self) -> dict[str, PartConfig]:
    """The data sets to train on, by name, in the order of names."""
    if isinstance(self.train, DataConfig):
      fields = {f.name: getattr(self.train, f.name) for f in dataclasses.fields(DataConfig)}
      return {"train": PartConfig(**fields)}
    return dict(sorted(self.train.items()))

  def _check_parts(self) -> None:
    parts = self.parts
    if not any(part.start_step == 0 for part in parts.values()):
      raise ValueError(f"none of the data sets {list(parts)} of train has start_step=0: the first step has no rows")
    if len({part.share is None for part in parts.values()}) > 1:
      raise ValueError(f"some data sets of train have no share: give each of {list(parts)} one, or none of them")
    flat = [name for name, part in parts.items() if not part.use_3d]
    if flat and self.method not in ("masked", "image"):
      raise ValueError(f"train.{flat[0]}.use_3d=False needs method 'masked' or 'image'; {self.method!r} learns from 3D")
    if self.method == "image" and self.window != 1:
      raise ValueError(f"window={self.window}; method 'image' sees one frame at a time, each by a camera of its own")
    if len(flat) == len(parts):
      raise ValueError(f"none of the data sets {list(parts)} of train has 3D: let one have use_3d=True")


def _positive(config, name: str, optional: bool = False) -> None:
  value = getattr(config, name)
  if not (optional and value is None) and not value > 0:
    raise ValueError(f"{name}={value} must be positive")


def _choice(config, name: str, choices: tuple[str, ...]) -> None:
  if getattr(config, name) not in choices:
    raise ValueError(f"{name}={getattr(config, name)!r} must be one of {', '.join(choices)}")


def from_dict(values: Any) -> Config:
  """A checked Config from a nested mapping (a ConfigDict, or what a checkpoint stored); unknown keys are errors."""
  if not isinstance(values, Mapping):
    values = values.to_dict()  # a ConfigDict; what stands in for an unreadable config file raises its own error here
  return _build(Config, _mixed(values), "config")


def _mixed(values: Mapping[str, Any]) -> dict[str, Any]:
  """The values of a run, with what stood in train_also and train_2d before train took several data sets."""
  values = dict(values)
  also, flat, start = values.pop("train_also", None), values.pop("train_2d", None), values.pop("start_2d", 0)
  if also or flat:
    more = {"also": also, "flat": flat and dict(flat, use_3d=False, start_step=start)}
    values["train"] = {"first": values["train"], **{name: part for name, part in more.items() if part}}
  return values


def data_config(values: Any) -> DataConfig:
  """A checked DataConfig from a nested mapping."""
  return _build(DataConfig, values, "data")


def to_dict(config: Config) -> dict[str, Any]:
  """The plain nested dict of a Config, JSON-able: the inverse of `from_dict`."""
  return dataclasses.asdict(config)


def _build(cls, values: Any, where: str):
  if not isinstance(values, Mapping):
    raise ValueError(f"{where} is {values!r}, expected a mapping with the fields of {cls.__name__}")
  fields = {f.name: f for f in dataclasses.fields(cls)}
  hints = typing.get_type_hints(cls)
  unknown = [k for k in values if k not in fields]
  if unknown:
    raise ValueError(f"{where} has no field {unknown[0]!r}; {cls.__name__} has {', '.join(fields)}")
  required = [
    k
    for k, f in fields.items()
    if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING and k not in values
  ]
  if required:
    raise ValueError(f"{where} lacks {', '.join(required)}")
  return cls(**{k: _convert(hints[k], v, f"{where}.{k}") for k, v in values.items()})


def _convert(hint, value, where: str):
  if dataclasses.is_dataclass(hint):
    return _build(hint, value, where)
  origin, args = typing.get_origin(hint), typing.get_args(hint)
  if origin is types.UnionType and dataclasses.is_dataclass(args[0]):  # of one data set and several by name
    several = isinstance(value, Mapping) and bool(value) and all(isinstance(v, Mapping) for v in value.values())
    return _convert(args[several], value, where)
  if origin is dict and dataclasses.is_dataclass(args[1]):
    return {k: _build(args[1], v, f"{where}.{k}") for k, v in value.items()}
  if origin is dict and args[1] is float:
    return {k: _convert(float, v, f"{where}[{k!r}]") for k, v in value.items()}
  if origin is dict or hint is dict:
    return _plain(value)
  if origin is tuple:
    return tuple(value)
  allowed = args if origin is types.UnionType else (hint,)
  if float in allowed and isinstance(value, int) and not isinstance(value, bool):
    return float(value)
  if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed):
    raise ValueError(f"{where}={value!r} has type {type(value).__name__}, expected {getattr(hint, '__name__', hint)}")
  return value


def _plain(value):
  if isinstance(value, Mapping):
    return {k: _plain(v) for k, v in value.items()}
  if isinstance(value, list | tuple):
    return [_plain(v) for v in value]
  return value
