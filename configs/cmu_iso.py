"""ISO joint training (cycle) on CMU subjects 02 and 03, ready to be adapted to subject 01.

python -m launch.train --config=configs/cmu_iso.py --workdir=W --data_dir=DIR
python -m launch.adapt --workdir=W --data_dir=DIR --output=OUT.json --mode=online --dataset=new_poses

With :published instead of :quick, self-supervision is the paper's: turns about the camera's own vertical, a free lift.
The discriminator then wins, and the second head learns nothing (docs/iso.md).
"""

from ml_collections import ConfigDict

from configs import cmu_baseline, common


def get_config(arg: str | None = None) -> ConfigDict:
  published = arg == "published"
  config = common.add_iso(cmu_baseline.get_config(None if published else arg))
  return config if published else common.balance_iso(config, bones_m=3.95)
