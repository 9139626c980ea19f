"""MPI-INF-3DHP, trained and tested on its own people: one frame at a time, ground-truth 2D, universal skeleton.

python -m launch.build_data --dataset=mpi_inf_3dhp/univ --data_dir=DIR --manual_dir=RAW --verify
python -m launch.train --config=configs/mpi_inf_3dhp.py --workdir=W --data_dir=DIR
python -m launch.evaluate --workdir=W --data_dir=DIR --output=OUT.json --checkpoint=latest

For orientation, with 81 frames and a transformer: P-STMO-S has MPJPE 32.2 mm, PCK 97.9, AUC 75.8 (Shan et al. 2022) by
this protocol on these annotations. Not measured here: the data are licensed.
"""

from ml_collections import ConfigDict

from configs import common
from jaxpose import skeleton

_FRAMES = 1_052_736  # of the eight video cameras


def get_config(arg: str | None = None) -> ConfigDict:
  quick = common.is_quick(arg)
  config = common.base(num_steps=0, quick=quick)
  common.lift_directly(config, quick=quick, root=skeleton.get("mpi_inf_3dhp_17").root)
  common.by_epochs(config, _FRAMES, quick=quick, epochs=50, batch_size=1024, eval_epochs=5)
  config.protocol = "mpi_inf_3dhp"
  config.codec = "screen"
  config.augment.flip = 0.5
  data = dict(dataset="mpi_inf_3dhp/univ")
  config.train = dict(data, splits=("train",))
  config.validation = dict(data, splits=("test",))
  config.select = "latest"  # validation is the test set: watched, and not selected on
  config.targets = dict(mpi_inf_3dhp=dict(data, splits=("test",)))
  return config
