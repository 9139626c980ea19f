"""Poses straight from images: 3D of a laboratory, and as many images of the wild with the keypoints alone.

python -m launch.train --config=configs/synthetic_image_end_to_end.py --workdir=W --data_dir=DIR

:quick (100 steps, 74 s of processor time): 326 mm [289, 369] on the target "lab", 1213 mm in the wild, of
which it has seen too little. All 2000 steps have not been measured.

The pose is regressed from the backbone's features, which the readout of keypoints shares.
"""

from ml_collections import ConfigDict

from configs import common


def get_config(arg: str | None = None) -> ConfigDict:
  quick = common.is_quick(arg)
  config = common.from_images(common.base(num_steps=2000, quick=quick), quick=quick, coupling="direct")
  config.train = dict(
    lab=common.rendered("lab", "train", share=0.5),
    wild=common.rendered("wild", "train", share=0.5, use_3d=False),
  )
  config.validation = common.rendered("wild", "validation")
  config.targets = dict(lab=common.rendered("lab", "target"), wild=common.rendered("wild", "target"))
  return config
