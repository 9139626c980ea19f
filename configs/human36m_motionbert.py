"""MotionBERT (Zhu et al. 2023) on Human3.6M, trained from scratch: clips of 243 frames, hourglass 2D, 2.5D protocol.

python -m launch.build_data --dataset=human36m/motionbert --data_dir=DIR --manual_dir=RAW --verify
python -m launch.train --config=configs/human36m_motionbert.py --workdir=W --data_dir=DIR
python -m launch.evaluate --workdir=W --data_dir=DIR --output=OUT.json

Published by its repository: MPJPE 39.2 mm with these sizes (configs/pose3d/MB_train_h36m.yaml, at its best epoch on the
test set), and 38.8 mm with twice the width and half the MLP ratio (--config.model_options.dim_feat=512
--config.model_options.mlp_ratio=2). By protocol h36m_25d, with a ground-truth scale: not comparable with `h36m`.
Not measured here: the data are licensed. A GPU's work; :quick shows that the parts fit.
"""

from ml_collections import ConfigDict

from configs import common
from jaxpose.models import dstformer

_CLIPS = 17_748  # of 243 frames, one every 81, in the training split
_DATA = "human36m/motionbert"


def get_config(arg: str | None = None, preset: str = "motionbert_lite", epochs: int = 120, rate: float = 5e-4):
  quick = common.is_quick(arg)
  config: ConfigDict = common.base(num_steps=0, quick=quick)
  common.by_epochs(config, _CLIPS, quick=quick, epochs=epochs, batch_size=32, eval_epochs=1)
  config.update(window=243, stride=81, protocol="h36m_25d", codec="image_25d", model="dstformer")
  config.codec_constants = dict(confidence_channel=1)
  config.model_options = dict(dstformer.PRESETS[preset])
  config.method_options = dict(loss="mpjpe", bone_weight=0.0, terms=dict(n_mpjpe=0.5, velocity=20.0))
  # 0.99 an epoch, though in every step and not in leaps.
  config.optim.update(name="adamw", learning_rate=rate, weight_decay=0.01, final_fraction=0.99**epochs)
  config.eval_max_frames = 600_000  # all: thinned out, clips would be of another frame rate
  if quick:
    config.update(window=9, stride=3, batch_size=16, num_steps=200, log_every=50, eval_every=200)
    config.model_options = dict(dstformer.PRESETS["small"], dim_in=3, maxlen=config.window)
    config.optim.learning_rate = 2e-3
  config.train = dict(dataset=_DATA, splits=("train",))
  config.validation = dict(dataset=_DATA, splits=("test",))
  config.select = "latest"  # validation is the test set: watched, and not selected on
  config.targets = dict(human36m=dict(dataset=_DATA, splits=("test",)))
  return config
