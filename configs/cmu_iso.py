"""ISO joint training (cycle) on CMU subjects 02 and 03, ready to be adapted to subject 01.

python -m launch.train --config=configs/cmu_iso.py --workdir=W --data_dir=DIR
python -m launch.adapt --workdir=W --data_dir=DIR --output=OUT.json --mode=online --dataset=new_poses
"""

from ml_collections import ConfigDict

from configs import cmu_baseline, common


def get_config(arg: str | None = None) -> ConfigDict:
  return common.add_iso(cmu_baseline.get_config(arg))
