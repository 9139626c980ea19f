"""Keypoints from images of rendered people: a narrow ResNet and SimpleBaseline's head, 64 x 64 pixels.

python -m launch.train --config=configs/synthetic_image_2d.py --workdir=W --data_dir=DIR

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
