"""A small DSTformer on a tenth of the labelled clips of CMU subjects 02 and 03, to subject 01: clips of 9 frames.

python -m launch.build_data --dataset=cmu_mocap --data_dir=DIR --manual_dir=RAW
python -m launch.train --config=configs/cmu_dstformer_pretrain.py --workdir=W_PRE --data_dir=DIR
python -m launch.train --config=configs/cmu_dstformer_finetune.py --workdir=W --data_dir=DIR --config.init_from=W_PRE
python -m launch.evaluate --workdir=W --data_dir=DIR --output=OUT.json --dataset=new_poses

Without init_from it trains from scratch; --config.train.fraction=1.0 takes all clips, another --config.train.seed
another tenth. docs/dstformer.md has the results over three seeds.
"""

from ml_collections import ConfigDict

from configs import cmu_baseline, common

# The preset `small` with half its hidden units: minutes of work for a CPU core.
MODEL = dict(dim_in=2, dim_feat=64, dim_rep=64, depth=2, num_heads=4, mlp_ratio=2, maxlen=9)


def get_config(arg: str | None = None) -> ConfigDict:
  quick = common.is_quick(arg)
  config = cmu_baseline.get_config(arg)
  config.update(num_steps=2000, batch_size=16, window=9, stride=1, overlap=4)
  config.model, config.model_options = "dstformer", dict(MODEL)
  config.method_options = dict(loss="mpjpe", bone_weight=0.0, terms=dict(n_mpjpe=0.5, velocity=2.0))
  config.optim.update(name="adamw", learning_rate=1e-3, weight_decay=0.01, schedule="cosine", warmup_steps=200)
  config.update(log_every=200, eval_every=1000, eval_max_frames=1_000_000)  # thinned out, clips would be slower
  config.train.fraction = 0.1
  config.train.seed = 0
  if quick:
    config.update(num_steps=100, log_every=50, eval_every=100)
    config.model_options.update(dim_feat=16, dim_rep=16, num_heads=2, depth=1)
    config.optim.warmup_steps = 10
  return config
