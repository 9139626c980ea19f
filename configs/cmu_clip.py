"""The shipped lifter of clips: as cmu_frame, by a small DSTformer that sees 9 frames, 0.3 seconds, at once.

python -m launch.train --config=configs/cmu_clip.py --workdir=W --data_dir=DIR
python -m launch.export_weights --workdir=W --output=jaxpose/weights/cmu_clip

jaxpose/weights/README.md says what it reaches.
"""

from ml_collections import ConfigDict

from configs import cmu_frame, common
from configs.cmu_dstformer_finetune import MODEL


def get_config(arg: str | None = None) -> ConfigDict:
  config, quick = cmu_frame.get_config(arg), common.is_quick(arg)
  config.update(num_steps=3000, batch_size=16, window=9, stride=3, overlap=4, pad_short=True)
  config.model, config.model_options = "dstformer", dict(MODEL)
  config.method_options = dict(loss="mpjpe", bone_weight=0.0, terms=dict(n_mpjpe=0.5, velocity=2.0))
  config.optim.update(name="adamw", learning_rate=1e-3, weight_decay=0.01, schedule="cosine", warmup_steps=200)
  config.update(log_every=100, eval_every=1000, eval_max_frames=1_000_000)  # thinned out, clips would be slower
  if quick:
    config.update(num_steps=100, log_every=50, eval_every=100)
    config.model_options.update(dim_feat=16, dim_rep=16, num_heads=2, depth=1)
    config.optim.warmup_steps = 10
  return config
