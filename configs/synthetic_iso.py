"""ISO joint training (cycle) on the embedded data, ready to be adapted to its target scenario.

python -m launch.train --config=configs/synthetic_iso.py --workdir=W --data_dir=DIR

With :published instead of :quick, self-supervision is the paper's: turns about the camera's own vertical, a free lift.
The discriminator then wins, and the second head learns nothing (docs/iso.md).
"""

from ml_collections import ConfigDict

from configs import common, synthetic_baseline


def get_config(arg: str | None = None) -> ConfigDict:
  published = arg == "published"
  config = common.add_iso(synthetic_baseline.get_config(None if published else arg))
  return config if published else common.balance_iso(config, bones_m=4.25)
