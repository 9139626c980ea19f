"""A lifter on detections in images of rendered people, by detectors that have not trained on what they detect in.

python -m launch.train --config=configs/synthetic_image_separate.py --workdir=W --data_dir=DIR
  --config.train.detectors="('EVEN', 'ODD')" --config.validation.detectors="('EVEN',)"
  --config.targets.lab.detectors="('EVEN',)" --config.targets.wild.detectors="('EVEN',)"

EVEN and ODD: runs of synthetic_image_2d, each without half of the sequences: --config.train.exclude, docs/images.md.
"""

from ml_collections import ConfigDict

from configs import common


def get_config(arg: str | None = None) -> ConfigDict:
  quick = common.is_quick(arg)
  config = common.base(num_steps=20000, quick=quick)
  config.codec_constants = dict(confidence_channel=1)
  config.train = common.rendered("wild", "train", detectors=("EVEN", "ODD"))
  config.validation = common.rendered("wild", "validation", detectors=("EVEN",))
  config.targets = dict(
    lab=common.rendered("lab", "target", detectors=("EVEN",)),
    wild=common.rendered("wild", "target", detectors=("EVEN",)),
  )
  return config
