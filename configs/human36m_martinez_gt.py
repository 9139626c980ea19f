"""Martinez et al. 2017 on Human3.6M, ground-truth 2D: the field's simple baseline.

python -m launch.build_data --dataset=human36m/official --data_dir=DIR --manual_dir=RAW --verify
python -m launch.train --config=configs/human36m_martinez_gt.py --workdir=W --data_dir=DIR
python -m launch.evaluate --workdir=W --data_dir=DIR --output=OUT.json --checkpoint=latest --noflip

Published: 45.5 mm (P1), 37.1 mm (P2), Martinez et al. 2017, tables 2 and 3; their repository promises about 56 mm after
one epoch (--config.num_steps=24371 --config.eval_every=24371). Not measured here: the data are licensed. Their network
sees 16 joints, without the nose, and this one all 17; docs/recipes.md says what else differs.
"""

from ml_collections import ConfigDict

from configs import common


def get_config(arg: str | None = None, dataset: str = "human36m/official") -> ConfigDict:
  quick = common.is_quick(arg)
  config = common.lift_directly(common.base(num_steps=0, quick=quick), quick=quick)
  common.by_epochs(config, common.H36M_TRAIN_FRAMES, quick=quick, epochs=200, batch_size=64, eval_epochs=10)
  config.protocol = "h36m"
  config.codec = "zscore"
  # 0.96 every 100,000 steps; no weight's incoming norm grows past 1.
  config.optim.update(learning_rate=1e-3, final_fraction=0.96 ** (config.num_steps / 100_000), max_norm=1.0)
  config.train = dict(dataset=dataset, splits=common.H36M_TRAIN)
  config.validation = dict(dataset=dataset, splits=common.H36M_TEST)
  config.select = "latest"  # validation is the test set: watched, and not selected on
  config.targets = dict(human36m=dict(dataset=dataset, splits=common.H36M_TEST))
  return config
