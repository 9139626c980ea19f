"""Pretraining of a small DSTformer for CMU: 3D of simulated motion, and the 2D of CMU's source clips without labels.

python -m launch.build_data --dataset=cmu_mocap --data_dir=DIR --manual_dir=RAW
python -m launch.build_data --dataset=synthetic_mocap --data_dir=DIR
python -m launch.train --config=configs/cmu_dstformer_pretrain.py --workdir=W --data_dir=DIR
python -m launch.train --config=configs/cmu_dstformer_finetune.py --workdir=W_FT --data_dir=DIR --config.init_from=W

MotionBERT's scheme with what is free: motion capture of others gives 3D, the domain itself gives 2D from a third of the
steps on; joints and frames are hidden. It sees no label of the source. docs/dstformer.md has the results.
"""

from ml_collections import ConfigDict

from configs import cmu_dstformer_finetune, common


def get_config(arg: str | None = None) -> ConfigDict:
  quick = common.is_quick(arg)
  config = cmu_dstformer_finetune.get_config(arg)
  config.num_steps = 200 if quick else 3000
  config.method = "masked"
  config.method_options.update(joints=0.05, frames=0.1)
  source = config.train.to_dict()
  source.update(fraction=1.0, use_3d=False, start_step=config.num_steps // 3)
  people = dict(dataset="synthetic_mocap", splits=("train",), rig="random", fps=30.0)
  config.train = dict(people=dict(people, rig_options=dict(cameras_per_motion=4)), source=source)
  return config
