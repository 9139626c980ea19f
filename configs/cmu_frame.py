"""The shipped lifter of single frames: CMU motion and procedural people, as detectors see them, from anywhere.

python -m launch.build_data --dataset=cmu_mocap --data_dir=DIR --manual_dir=RAW
python -m launch.build_data --dataset=synthetic_mocap --data_dir=DIR
python -m launch.train --config=configs/cmu_frame.py --workdir=W --data_dir=DIR
python -m launch.export_weights --workdir=W --output=jaxpose/weights/cmu_frame

jaxpose/weights/README.md says what it reaches.
"""

from ml_collections import ConfigDict

from configs import common

HELD_OUT = ("01_14", "02_02", "03_02")
# Cameras from below and from above, of wide and of long lenses, in images of 1000 pixels, that go along with who walks.
CAMERAS = dict(elevation=(-0.5, 0.8), distance=(2.5, 7.0), focal=(700.0, 1500.0), recentre="window")


def get_config(arg: str | None = None) -> ConfigDict:
  quick = common.is_quick(arg)
  config = common.base(num_steps=14000, quick=quick)
  source = dict(rig="random", fps=30.0)
  cmu = dict(source, dataset="cmu_mocap", splits=("01", "02", "03"))
  many, few = (2, 1) if quick else (8, 4)
  people = dict(source, dataset="synthetic_mocap", splits=("train",))
  config.train = dict(  # each as often as it has frames
    cmu=dict(cmu, exclude=HELD_OUT, rig_options=dict(CAMERAS, cameras_per_motion=many)),
    people=dict(people, rig_options=dict(CAMERAS, cameras_per_motion=few)),
  )
  held_out = dict(cmu, include=HELD_OUT, rig_options=dict(CAMERAS, cameras_per_motion=8))
  config.validation, config.targets = held_out, dict(held_out=held_out)
  config.eval_every = 500 if quick else 2000
  config.augment.update(noise_px=5.0, missing=0.05, detector=0.75)
  return config
