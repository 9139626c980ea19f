"""What config files share: strict arguments, and the parts that differ little between experiments."""

from typing import Any

from ml_collections import ConfigDict

# ISO's network (paper, section 3.3), narrow enough to train in minutes on two CPU cores, and with less dropout.
ISO_MLP = dict(width=256, trunk_blocks=3, head_blocks=1, dropout=0.1, activation="leaky_relu", stem_norm=False)

# Martinez et al. 2017, figure 2: ReLU, Kaiming's weights, and a root that is not predicted.
MARTINEZ_MLP = dict(width=1024, trunk_blocks=2, head_blocks=0, dropout=0.5, activation="relu", initializer="kaiming")
MARTINEZ_MLP.update(stem_norm=True, predict_root=False)

# Human3.6M's subjects as the literature splits them; each is a split of the data set.
H36M_TRAIN, H36M_TEST = ("S1", "S5", "S6", "S7", "S8"), ("S9", "S11")
H36M_TRAIN_FRAMES = 1_559_752  # at 50 Hz, four cameras


def is_quick(arg: str | None) -> bool:
  """Whether the config was asked for as FILE:quick; any other argument is an error."""
  if arg not in (None, "", "quick"):
    raise ValueError(f"unknown config argument {arg!r}; the only one is 'quick', as in --config=FILE.py:quick")
  return arg == "quick"


def base(*, num_steps: int, quick: bool) -> ConfigDict:
  """The fields every experiment has; a locked ConfigDict refuses any other."""
  config = ConfigDict()
  config.seed = 0
  config.num_steps = 1500 if quick else num_steps
  config.batch_size = 64
  config.batch_per_device = 0
  config.window = 1
  config.stride = 1
  config.protocol = "generic"
  config.codec = "canonical"
  config.model = "mlp"
  config.model_options = dict(ISO_MLP)
  config.method = "supervised"
  config.method_options = dict(bone_weight=1.0, scale=30.0)
  config.optim = dict(
    name="adam", learning_rate=1e-3, schedule="exponential", final_fraction=0.02, max_norm=0.0, clip_norm=0.0
  )
  config.optim.update(accumulate_steps=1, warmup_steps=0, weight_decay=0.0, discriminator_learning_rate=2e-4)
  config.augment = dict(flip=0.5, noise_px=0.0, missing=0.0, detector=0.0)
  config.resident = True
  config.log_every = 500
  config.eval_every = 500 if quick else 5000
  config.eval_max_frames = 2000 if quick else 20000
  config.keep_best = 3
  config.select = "best"
  config.workers = 0
  config.overlap = 0
  config.pad_short = False
  config.init_from = ""
  config.init_parts = ("trunk", "head")
  config.patience = 0
  return config


def add_iso(config: ConfigDict, objective: str = "cycle") -> ConfigDict:
  """Turns a supervised experiment into ISO joint training (paper, Eq. 3 to 5, with its weights)."""
  config.method = "iso"
  config.method_options = dict(
    **config.method_options.to_dict(),
    objective=objective,
    weight=0.1,
    weight_2d=10.0,
    weight_3d=0.1,
    discriminator_options=dict(width=config.model_options.width),
  )
  return config


def balance_iso(config: ConfigDict, *, bones_m: float) -> ConfigDict:
  """Gives ISO's two players even chances (docs/iso.md); bones_m: how long all bones of a source's body are together.

  People turn about the scene's vertical, depth is lifted along the rays of a whole body, and the discriminator sees
  poses with noise of a twentieth of their size.
  """
  config.method_options.update(vertical="scene", elevation=0.0, lift="bones", size=bones_m, noise=0.05)
  return config


def lift_directly(config: ConfigDict, *, quick: bool, **model_options) -> ConfigDict:
  """Turns an experiment into plain regression of joints as Martinez et al. train: no bone term, no mirroring."""
  config.model_options = dict(MARTINEZ_MLP, **model_options)
  if quick:
    config.model_options.width = 128
  config.method_options = dict(loss="l2", bone_weight=0.0, scale=1.0)
  config.augment.flip = 0.0
  return config


def by_epochs(config: ConfigDict, frames: int, *, quick: bool, epochs: int, batch_size: int, eval_epochs: int = 1):
  """Sets batch size and steps to `epochs` passes over `frames`, logged every epoch; :quick keeps its own."""
  if not quick:
    steps = frames // batch_size
    config.update(batch_size=batch_size, num_steps=epochs * steps, log_every=steps, eval_every=eval_epochs * steps)
  return config


# Two stages of a ResNet-18, narrow, of stride 4: 64 x 64 pixels become 16 x 16 cells, which a linear layer reads.
# Deconvolutions would make 32 x 32 of them, and take most of a step on a CPU.
SMALL_IMAGE: dict[str, Any] = dict(depth=18, width=24, stop="layer2", strides=(1, 1, 1, 1), head="simple")
SMALL_IMAGE["head_options"] = dict(layers=0)


def from_images(config: ConfigDict, *, quick: bool, coupling: str = "none", readout: str = "dark") -> ConfigDict:
  """Turns an experiment into one on images of 64 x 64 that train.look and validation.look have rendered."""
  config.method = "image"
  config.method_options = dict(
    image=dict(SMALL_IMAGE), readout=readout, coupling=coupling, weight_2d=1000.0, weight_3d=1.0, scale=30.0,
    crop=dict(size=64, margin=1.25, scale=0.2, roll_rad=0.35, shift=0.1, flip=0.5, fresh=True),
  )  # fmt: skip
  config.augment.flip = 0.0
  config.num_steps = 100 if quick else 2000
  config.resident = False  # XLA's convolutions on CPUs are several times slower within a scan than in a step
  config.batch_size = 32
  config.optim.update(schedule="cosine", final_fraction=0.01, warmup_steps=20 if quick else 100)
  config.log_every, config.eval_every = (20, 100) if quick else (100, 500)
  config.eval_max_frames = 100 if quick else 1000
  return config


def rendered(look: str, *splits: str, detectors: tuple[str, ...] = (), **options) -> dict:
  """A data config of procedural people before four cameras, rendered to look like that; detectors see them if given."""
  return dict(
    dataset="synthetic_mocap", splits=splits, rig="fixed_four", fps=10.0, look=look, include=(), exclude=(),
    detectors=detectors, **options,
  )  # fmt: skip
