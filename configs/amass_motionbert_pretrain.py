"""MotionBERT's pretraining (Zhu et al. 2023): recover 3D motion of AMASS and Human3.6M from 2D with hidden joints,
frames and errors.

python -m launch.build_data --dataset=amass_h36m --data_dir=DIR --manual_dir=RAW
python -m launch.build_data --dataset=human36m/official --data_dir=DIR --manual_dir=RAW
python -m launch.train --config=configs/amass_motionbert_pretrain.py --workdir=W --data_dir=DIR
python -m launch.train --config=configs/human36m_motionbert_finetune.py --workdir=F --data_dir=DIR --config.init_from=W

90 epochs, 5 % of the joints and 10 % of the frames hidden, keypoints that are projections of the 3D with errors and
confidences like a detector's. Each data set is drawn as often as it has clips, as published. There, 2D clips
(PoseTrack, InstaVariety) join after 30 epochs, in batches apart: add any data set of clips to config.train below, with
use_3d=False, start_step=config.num_steps // 3. Published for what follows: 37.5 mm on Human3.6M after fine-tuning,
against 39.2 mm from scratch; for the pretraining itself no number. Not measured here: the data are licensed.

The published run sees AMASS by orthographic cameras, takes every data set of AMASS (here the recommended training split
alone), and hides the same frames in all clips of a batch.
"""

from ml_collections import ConfigDict

from configs import common
from jaxpose.models import dstformer

# For the steps of 90 epochs: one every 81 frames of AMASS's recommended split at 60 Hz, roughly, and of Human3.6M's.
_CLIPS = 60_000 + 17_748
_DATA = dict(dataset="amass_h36m", rig="random")


def get_config(arg: str | None = None) -> ConfigDict:
  quick = common.is_quick(arg)
  config = common.base(num_steps=0, quick=quick)
  common.by_epochs(config, _CLIPS, quick=quick, epochs=90, batch_size=64, eval_epochs=1)
  config.update(window=243, stride=81, codec="image_25d", model="dstformer", method="masked")
  config.codec_constants = dict(confidence_channel=1)
  config.model_options = dict(dstformer.PRESETS["motionbert"])
  config.method_options = dict(joints=0.05, frames=0.1, noise=True, terms=dict(n_mpjpe=0.5, velocity=20.0))
  config.optim.update(name="adamw", learning_rate=5e-4, weight_decay=0.01, final_fraction=0.99**90)
  config.eval_max_frames = 2_000_000  # all: thinned out, clips would be of another frame rate
  if quick:
    config.update(window=9, stride=3, batch_size=16, num_steps=200, log_every=50, eval_every=200)
    config.model_options = dict(dstformer.PRESETS["small"], dim_in=3, maxlen=config.window)
    config.optim.learning_rate = 2e-3
  config.train = dict(
    amass=dict(_DATA, splits=("train",)), human36m=dict(dataset="human36m/official", splits=common.H36M_TRAIN)
  )
  config.validation = dict(_DATA, splits=("validation",))
  config.targets = dict(amass=dict(_DATA, splits=("test",)))
  return config
