r"""MotionBERT (Zhu et al. 2023), its published pretrained weights fine-tuned on Human3.6M.

python -m launch.build_data --dataset=human36m/motionbert --data_dir=DIR --manual_dir=RAW --verify
python -m launch.convert --input=latest_epoch.bin --config=configs/human36m_motionbert_finetune.py --workdir=W
python -m launch.train --config=configs/human36m_motionbert_finetune.py --workdir=W --data_dir=DIR
python -m launch.evaluate --workdir=W --data_dir=DIR --output=OUT.json

latest_epoch.bin is checkpoint/pretrain/MB_release of MotionBERT's repository. launch.convert writes it as step 0 of the
run, from which launch.train goes on; without it the same command would train from scratch. Published there: MPJPE 37.2
mm (configs/pose3d/MB_ft_h36m.yaml), 37.5 mm in the paper, by protocol h36m_25d. Not measured here: the data are
licensed. To score the authors' own fine-tuned weights, convert best_epoch.bin of FT_MB_release_MB_ft_h36m and leave out
the training.
"""

from ml_collections import ConfigDict

from configs import human36m_motionbert


def get_config(arg: str | None = None) -> ConfigDict:
  return human36m_motionbert.get_config(arg, preset="motionbert", epochs=60, rate=2e-4)
