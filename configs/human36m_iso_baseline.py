"""ISO's Baseline (Zhang, Nie, Feng 2020): its network trained on Human3.6M by labels alone, for MPI-INF-3DHP and 3DPW.

python -m launch.build_data --dataset=human36m/official --data_dir=DIR --manual_dir=RAW_H36M --verify
python -m launch.build_data --dataset=mpi_inf_3dhp/univ --data_dir=DIR --manual_dir=RAW_3DHP --verify
python -m launch.train --config=configs/human36m_iso_baseline.py --workdir=W --data_dir=DIR
python -m launch.evaluate --workdir=W --data_dir=DIR --output=OUT.json --dataset=mpi_inf_3dhp --checkpoint=latest

Published on MPI-INF-3DHP, unscaled (table 3): PCK 78.9 %, AUC 43.7 %, MPJPE 103.8 mm. Not measured here: the data are
licensed. The paper names neither its normalisation (here that of Drover 2018 and Chen 2019, whose projection and cycle
it takes over) nor the pace of its decay (here Martinez': 0.96 every 100,000 steps).
"""

from ml_collections import ConfigDict

from configs import common

_JOINTS = 17


def get_config(arg: str | None = None) -> ConfigDict:
  quick = common.is_quick(arg)
  config = common.base(num_steps=0, quick=quick)
  common.by_epochs(config, common.H36M_TRAIN_FRAMES, quick=quick, epochs=200, batch_size=64, eval_epochs=10)
  config.protocol = "h36m"
  config.codec = "root_scaled"
  config.model_options.update(width=128 if quick else 1024, dropout=0.5)
  # Eq. 2 sums over joints and over bones, where the library takes means.
  config.method_options.update(scale=float(_JOINTS), bone_weight=(_JOINTS - 1) / _JOINTS)
  config.optim.update(learning_rate=2e-4, final_fraction=0.96 ** (config.num_steps / 100_000))
  source = dict(dataset="human36m/official", skeleton="h36m_17")
  config.train = dict(source, splits=common.H36M_TRAIN)
  config.validation = dict(source, splits=common.H36M_TEST)
  config.select = "latest"  # validation is the test set: watched, and not selected on
  config.targets = dict(
    mpi_inf_3dhp=dict(dataset="mpi_inf_3dhp/univ", splits=("test",), skeleton="h36m_17", protocol="mpi_inf_3dhp"),
    pw3d=dict(dataset="pw3d/h36m_17", splits=("test",), protocol="pw3d_14"),
    human36m=dict(source, splits=common.H36M_TEST),
  )
  return config
