"""The baseline of the embedded data: a supervised lifter on procedural people seen by four fixed cameras.

python -m launch.train --config=configs/synthetic_baseline.py --workdir=W --data_dir=DIR
"""

from ml_collections import ConfigDict

from configs import common


def get_config(arg: str | None = None) -> ConfigDict:
  config = common.base(num_steps=20000, quick=common.is_quick(arg))
  config.model_options.dropout = (
    0.5  # the paper's: procedural motion has less variety than people, and is learned by heart
  )
  source = dict(dataset="synthetic_mocap", rig="fixed_four", fps=30.0)
  config.train = dict(source, splits=("train",))
  config.validation = dict(source, splits=("validation",))
  config.targets = dict(
    new_poses=dict(source, splits=("target",)),
    new_poses_and_views=dict(source, splits=("target",), rig="high_low_close"),
  )
  return config
