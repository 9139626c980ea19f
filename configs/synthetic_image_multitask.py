"""Keypoints and poses from images of rendered people at once: L3d + weight_2d L2d, a lifter on the readout's keypoints.

python -m launch.train --config=configs/synthetic_image_multitask.py --workdir=W --data_dir=DIR

:quick (100 steps, 78 s of processor time) ends before there is a pose, at 398 mm on validation: it shows that all
runs. All 2000 steps have not been measured. A lifter gains by an image network that is there: --config.init_from,
docs/images.md.

--config.method_options.coupling=gt|stop|soft says what the lifter sees in training; "soft" needs readout=integral.
"""

from ml_collections import ConfigDict

from configs import common


def get_config(arg: str | None = None) -> ConfigDict:
  quick = common.is_quick(arg)
  config = common.from_images(common.base(num_steps=2000, quick=quick), quick=quick, coupling="stop")
  config.train = common.rendered("wild", "train")
  config.validation = common.rendered("wild", "validation")
  config.targets = dict(lab=common.rendered("lab", "target"), wild=common.rendered("wild", "target"))
  return config
