"""From a Config to the things it names: clips, codec, model, method. The one place where names become functions."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from jaxpose import codec as codecs
from jaxpose import config as configs
from jaxpose import models
from jaxpose.config import Config, DataConfig
from jaxpose.data import detector, transforms
from jaxpose.data.clip import Clip
from jaxpose.methods import flow, image, iso, masked, supervised
from jaxpose.methods.method import Method
from jaxpose.models import discriminator
from jaxpose.skeleton import Skeleton
from jaxpose.synthetic import images

# create(lifter, codec, **method_options) by name; a project adds its own here, before it trains or loads.
METHODS: dict[str, Callable[..., Method]] = {
  "supervised": supervised.create,
  "iso": iso.create,
  "masked": masked.create,
  "flow": flow.create,
  "image": image.create,
}


def load_clips(config: DataConfig, data_dir: str) -> list[Clip]:
  """The clips that a data config names."""
  from jaxpose.data import source  # here alone: lifting need not wait for it, nor for checkpoints

  ours = ("protocol", "look", "detectors")
  options = {f.name: getattr(config, f.name) for f in dataclasses.fields(DataConfig) if f.name not in ours}
  clips = source.load_clips(data_dir=data_dir, **options)
  if config.look:
    clips = images.pictured(clips, config.look)
  if config.detectors:
    from jaxpose import detections  # here alone: it loads runs

    clips = detections.by_runs(clips, config)
  return clips


def load_training(config: Config, data_dir: str) -> dict[str, list[Clip]]:
  """The clips of each data set to train on, by name."""
  return {name: load_clips(part, data_dir) for name, part in config.parts.items()}


def build_codec(config: Config, skeleton: Skeleton, clips: list[Clip] | None = None) -> codecs.Codec:
  """The config's codec; constants that it does not give are measured on `clips`."""
  return codecs.build(config.codec, skeleton, constants=config.codec_constants or None, clips=clips)


def build_method(config: Config, codec: codecs.Codec) -> Method:
  """The config's method, over its model, with its augmentation of the training graph; a ValueError lists METHODS."""
  if config.method not in METHODS:
    raise ValueError(f"method={config.method!r} must be one of {', '.join(METHODS)}")
  lifter = models.build(config.model, num_joints=codec.skeleton.num_joints, **config.model_options)
  options = dict(config.method_options)
  if config.method == "iso":
    options["discriminator"] = discriminator.create(**options.pop("discriminator_options", {}))
  try:
    method = METHODS[config.method](lifter, codec, **options)
  except TypeError as error:
    raise ValueError(f"method {config.method!r} does not take these options {sorted(options)}: {error}") from error
  return _augmented(method, config, codec.skeleton)


def _augmented(method: Method, config: Config, skeleton: Skeleton) -> Method:
  steps, augment = [], config.augment
  if config.method == "image" and any(dataclasses.astuple(augment)):
    raise ValueError(
      f"{augment} is of keypoints; images are augmented by method_options.crop: flip, scale, roll_rad, shift"
    )
  if augment.flip:
    steps.append(functools.partial(transforms.random_flip, skeleton=skeleton, probability=augment.flip))
  if augment.noise_px:
    steps.append(functools.partial(transforms.keypoint_noise, std_px=augment.noise_px))
  if augment.missing:
    steps.append(functools.partial(transforms.missing_joints, skeleton=skeleton, probability=augment.missing))
  if augment.detector:
    steps.append(functools.partial(detector.detector_joints, skeleton=skeleton, probability=augment.detector))
  if not steps:
    return method
  change = transforms.augment(*steps)

  def loss(variables, batch, key):
    augment_key, loss_key = jax.random.split(key)
    return method.loss(variables, change(batch, augment_key), loss_key)

  return dataclasses.replace(method, loss=loss)


def dummy_batch(num_joints: int, window: int) -> transforms.Batch:
  """A batch of the right shapes, to initialise a model with."""
  from jaxpose.geometry import camera  # here alone: a camera of ones

  frames = (1, window, num_joints)
  one = jax.tree.map(lambda x: jnp.asarray(x)[None], camera.create((1000, 1000), (500, 500), (1000, 1000)))
  pose = jnp.zeros((*frames, 3)).at[..., 2].set(5.0)
  return {
    "keypoints_2d": jnp.full((*frames, 2), 500.0),
    "confidence": jnp.ones(frames),
    "joints_3d": pose,
    "valid": jnp.ones(frames[:2], bool),
    "camera": one,
  }


@dataclasses.dataclass(frozen=True)
class Trained:
  """A trained run, as evaluation and adaptation take it."""

  config: Config
  codec: codecs.Codec
  method: Method
  variables: dict
  step: int
  statistics: dict  # of the training set (train/statistics.py); empty for a converted run
  adapters: dict = dataclasses.field(default_factory=dict, compare=False, repr=False)  # those built so far, by setting
  selection: str = ""  # of its checkpoint: best, latest, given step; empty where nothing says so


def load(workdir: str, which: str | int = "") -> Trained:
  """The run in `workdir` as it stored it: config, codec and weights of a checkpoint.

  which: "best" by validation, "latest", or a step; what config.select says when empty.
  """
  from jaxpose import checkpoint

  if not which:
    latest = checkpoint.describe(workdir, checkpoint.choose(workdir, "latest"))
    which = configs.from_dict(latest["config"]).select
  step = checkpoint.choose(workdir, which)
  restore = functools.partial(checkpoint.restore_variables, workdir, step)
  trained = assemble(checkpoint.describe(workdir, step), step, restore)
  return dataclasses.replace(trained, selection=which if which in ("best", "latest") else "given step")


def assemble(description: Mapping[str, Any], step: int, restore: Callable[[Any], dict]) -> Trained:
  """The run that a checkpoint describes; restore(variables by shape) gives its variables."""
  config = configs.from_dict(description["config"])
  codec = codecs.from_json(description["codec"])
  method = build_method(config, codec)
  batch = dummy_batch(codec.skeleton.num_joints, config.window)
  shapes = jax.eval_shape(method.init, jax.random.key(0), batch)
  return Trained(config, codec, method, restore(shapes), step, description["statistics"])


def describe(trained: Trained) -> dict[str, Any]:
  """What a checkpoint says of a run: the inverse of `assemble`, but for the weights."""
  return {
    "config": configs.to_dict(trained.config),
    "codec": trained.codec.to_json(),
    "statistics": trained.statistics,
  }
