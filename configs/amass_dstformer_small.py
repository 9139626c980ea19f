"""The small DSTformer of Arshad221b/2d_to_3d_human_pose_uplift, pretrained on AMASS: 64 channels, 10 frames.

python -m launch.build_data --dataset=amass_h36m --data_dir=DIR --manual_dir=RAW
python -m launch.train --config=configs/amass_dstformer_small.py --workdir=W --data_dir=DIR
python -m launch.evaluate --workdir=W --data_dir=DIR --output=OUT.json
python -m launch.train --config=configs/amass_dstformer_small_finetune.py --workdir=F --data_dir=DIR
  --config.init_from=W

From that repository: AdamW at 1e-3 with weight decay 1e-4, gradients clipped at 1, batches of 32 over 4 accumulated
steps, 201 epochs or until 20 evaluations bring nothing better, MPJPE, and normal noise of unit variance in place of
15 % of the frames and 15 % of the joints. It publishes no error. Not measured here: the data are licensed.
"""

from ml_collections import ConfigDict

from configs import common
from jaxpose.models import dstformer

_CLIPS = 480_000  # of 10 frames, one every 10, of AMASS's recommended training split at 60 Hz, roughly
_DATA = dict(dataset="amass_h36m", rig="random")


def get_config(arg: str | None = None) -> ConfigDict:
  quick = common.is_quick(arg)
  config = common.base(num_steps=0, quick=quick)
  common.by_epochs(config, _CLIPS, quick=quick, epochs=201, batch_size=32, eval_epochs=1)
  config.update(window=10, stride=10, codec="root_rms", model="dstformer", method="masked", patience=20)
  config.model_options = dict(dstformer.PRESETS["small"])
  config.method_options = dict(joints=0.15, frames=0.15, fill="noise", fill_std=1.0)
  config.optim.update(name="adamw", learning_rate=1e-3, weight_decay=1e-4, schedule="constant", clip_norm=1.0)
  config.optim.accumulate_steps = 4
  config.augment.flip = 0.0  # it augments nothing
  config.eval_max_frames = 2_000_000  # all: thinned out, clips would be of another frame rate
  if quick:
    config.update(num_steps=200, batch_size=16, log_every=50, eval_every=200)
  config.train = dict(_DATA, splits=("train",))
  config.validation = dict(_DATA, splits=("validation",))
  config.targets = dict(amass=dict(_DATA, splits=("test",)))
  return config
