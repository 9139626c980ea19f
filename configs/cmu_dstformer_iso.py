"""ISO joint training (cycle) of a small DSTformer on CMU subjects 02 and 03, ready to be adapted to subject 01.

python -m launch.build_data --dataset=cmu_mocap --data_dir=DIR --manual_dir=RAW
python -m launch.train --config=configs/cmu_dstformer_iso.py --workdir=W --data_dir=DIR
python -m launch.adapt --workdir=W --data_dir=DIR --output=OUT.json --mode=vanilla --recommended --dataset=new_poses
"""

from ml_collections import ConfigDict

from configs import cmu_baseline, common
from configs.cmu_dstformer_finetune import MODEL


def get_config(arg: str | None = None) -> ConfigDict:
  config, quick = common.add_iso(cmu_baseline.get_config(arg)), common.is_quick(arg)
  config.update(window=9, stride=3, batch_size=16, model="dstformer", eval_max_frames=1_000_000)  # at full frame rate
  config.model_options = dict(MODEL, head_depth=1)  # one layer is the trunk's, each head has one of its own
  config.method_options.discriminator_options.width = 256
  config.optim.update(name="adamw", weight_decay=0.01, schedule="cosine", warmup_steps=200)
  config.update(num_steps=8000, log_every=200, eval_every=2000)
  if quick:
    config.update(num_steps=100, log_every=50, eval_every=100)
    config.model_options.update(dim_feat=16, dim_rep=16, num_heads=2)
    config.optim.warmup_steps = 10
  return config
