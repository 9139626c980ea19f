"""Martinez et al. 2017 on Human3.6M, 2D by stacked hourglasses fine-tuned on it.

python -m launch.build_data --dataset=human36m/sh_ft_h36m --data_dir=DIR --manual_dir=RAW --verify
python -m launch.train --config=configs/human36m_martinez_sh.py --workdir=W --data_dir=DIR
python -m launch.evaluate --workdir=W --data_dir=DIR --output=OUT.json --checkpoint=latest --noflip

Published: 62.9 mm (P1), 47.7 mm (P2), Martinez et al. 2017, tables 2 and 3. Not measured here: the data are licensed.
The hourglass finds 16 joints; the nose is missing in training and in the test, as in theirs.
"""

from ml_collections import ConfigDict

from configs import human36m_martinez_gt


def get_config(arg: str | None = None) -> ConfigDict:
  return human36m_martinez_gt.get_config(arg, dataset="human36m/sh_ft_h36m")
