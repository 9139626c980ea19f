"""The baseline of the open cross-scenario benchmark: CMU subjects 02 and 03 to subject 01.

python -m launch.build_data --dataset=cmu_mocap --data_dir=DIR --manual_dir=RAW
python -m launch.train --config=configs/cmu_baseline.py --workdir=W --data_dir=DIR
python -m launch.evaluate --workdir=W --data_dir=DIR --output=OUT.json --dataset=new_poses
"""

from ml_collections import ConfigDict

from configs import common


def get_config(arg: str | None = None) -> ConfigDict:
  config = common.base(num_steps=50000, quick=common.is_quick(arg))
  source = dict(dataset="cmu_mocap", splits=("02", "03"), rig="h36m", fps=30.0)
  held_out = ("02_02", "03_02")
  config.train = dict(source, exclude=held_out)
  config.validation = dict(source, include=held_out)
  config.targets = dict(
    new_poses=dict(source, splits=("01",)),
    new_poses_and_views=dict(source, splits=("01",), rig="mpi_inf_3dhp_test"),
  )
  return config
