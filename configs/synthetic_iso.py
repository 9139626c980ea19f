"""ISO joint training (cycle) on the embedded data, ready to be adapted to its target scenario.

python -m launch.train --config=configs/synthetic_iso.py --workdir=W --data_dir=DIR
"""

from ml_collections import ConfigDict

from configs import common, synthetic_baseline


def get_config(arg: str | None = None) -> ConfigDict:
  return common.add_iso(synthetic_baseline.get_config(arg))
