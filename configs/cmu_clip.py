"""The shipped lifter of clips: cmu_frame's recipe for a small DSTformer on 9 frames of people as detectors see them.

python -m launch.build_data --dataset=cmu_mocap --data_dir=DIR --manual_dir=RAW
python -m launch.build_data --dataset=synthetic_mocap --data_dir=DIR
python -m launch.train --config=configs/cmu_clip.py --workdir=W --data_dir=DIR
python -m launch.export_weights --workdir=W --output=jaxpose/weights/cmu_clip

Half an hour on two cores; 64.8 mm on the held-out motions as detectors see them, where cmu_frame has 91.8.
jaxpose/weights/README.md says what it reaches.
"""

from ml_collections import ConfigDict

from configs import cmu_frame
from jaxpose.models import dstformer


def get_config(arg: str | None = None) -> ConfigDict:
  config, quick = cmu_frame.get_config(arg), arg == "quick"
  config.update(num_steps=8000, batch_size=16, window=9, stride=4, overlap=4)
  config.model, config.model_options = "dstformer", dict(dstformer.PRESETS["small"], maxlen=config.window)
  config.method_options = dict(loss="mpjpe", bone_weight=0.0, terms=dict(n_mpjpe=0.5, velocity=2.0))
  config.optim.update(name="adamw", learning_rate=1e-3, weight_decay=0.01, schedule="cosine", warmup_steps=200)
  if quick:
    config.update(num_steps=100, log_every=50, eval_every=100)
    config.model_options.update(dim_feat=16, dim_rep=16, num_heads=2, depth=1)
    config.optim.warmup_steps = 10
  return config
