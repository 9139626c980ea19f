r"""ISO-Adversary as published (Zhang, Nie, Feng 2020): joint training on Human3.6M, to be adapted to MPI-INF-3DHP.

python -m launch.train --config=configs/human36m_iso_adversary.py --workdir=W --data_dir=DIR
python -m launch.adapt --workdir=W --data_dir=DIR --output=OUT.json --dataset=mpi_inf_3dhp --checkpoint=latest \
  --mode=online

Data and settings are those of human36m_iso_cycle.py. Published on MPI-INF-3DHP, unscaled (table 3): PCK, AUC and MPJPE
of Joint 80.9 %, 46.1 %, 97.0 mm; Vanilla 82.1, 47.2, 95.3; Online 83.0, 47.6, 93.1. Not measured here: the data are
licensed.
"""

from ml_collections import ConfigDict

from configs import human36m_iso_cycle


def get_config(arg: str | None = None) -> ConfigDict:
  config = human36m_iso_cycle.get_config(arg)
  config.method_options.objective = "adversary"
  return config
