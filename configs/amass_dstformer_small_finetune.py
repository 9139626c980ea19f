r"""The small DSTformer of Arshad221b/2d_to_3d_human_pose_uplift, fine-tuned: a new head on the frozen trunk of a run of
configs/amass_dstformer_small.py, whose workdir is W_PRE.

python -m launch.build_data --dataset=amass_h36m --data_dir=DIR --manual_dir=RAW
python -m launch.train --config=configs/amass_dstformer_small_finetune.py --workdir=W --data_dir=DIR \
  --config.init_from=W_PRE
python -m launch.evaluate --workdir=W --data_dir=DIR --output=OUT.json

As its README describes: AdamW at 1e-3 for the head (a hidden layer of 128 with ReLU) and at 5e-4 for the LayerNorms,
all else of the trunk frozen; batches of 128, the gradients of 2 accumulated, MPJPE with a focal weight of exponent 2,
50 epochs or until 20 evaluations bring nothing better, the 3 best checkpoints kept, gradient checkpointing, no
augmentation. Its text does not say, and as in its pretraining are here: windows of 10 frames, weight decay, clipping
at 1, a constant rate.

It publishes no accuracy, so there is no number to expect. Not measured here: the data are licensed. Without init_from
the head stands on random features, which shows that the parts fit (:quick) and nothing else.
"""

from ml_collections import ConfigDict

from configs import amass_dstformer_small, common


def get_config(arg: str | None = None) -> ConfigDict:
  quick = common.is_quick(arg)
  config = amass_dstformer_small.get_config(arg)
  clips = config.eval_every * config.batch_size  # the pretraining evaluates once an epoch
  common.by_epochs(config, clips, quick=quick, epochs=50, batch_size=128)
  config.update(method="supervised", init_parts=("trunk",), patience=20, keep_best=3)
  config.model_options.update(dim_rep=128, head_activation="relu", remat="full")
  config.method_options = dict(loss="mpjpe", bone_weight=0.0, scale=1.0, focal=2.0)
  config.optim.update(learning_rate=1e-3, clip_norm=1.0, accumulate_steps=2)
  config.augment.flip = 0.0
  config.optim.rates = {"trunk/*": 0.0, "trunk/*norm*": 5e-4}
  return config
