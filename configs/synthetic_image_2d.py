"""Keypoints from images of rendered people: a narrow ResNet and SimpleBaseline's head, 64 x 64 pixels.

python -m launch.train --config=configs/synthetic_image_2d.py --workdir=W --data_dir=DIR

:quick (100 steps, 63 s of processor time in all): within a tenth of the box are 65 % of the joints of validation, in
the wild, and 42 % [35, 48] of the target "lab", other motions. All 2000 steps have not been measured.

For folds, name the sequences to leave out: --config.train.exclude="('train_??[02468]_*',)"; docs/images.md.
"""

from ml_collections import ConfigDict

from configs import common


def get_config(arg: str | None = None) -> ConfigDict:
  quick = common.is_quick(arg)
  config = common.from_images(common.base(num_steps=2000, quick=quick), quick=quick)
  config.train = common.rendered("wild", "train")
  config.validation = common.rendered("wild", "validation")
  config.targets = dict(
    lab=common.rendered("lab", "target"),
    wild=common.rendered("wild", "target"),
  )
  return config
