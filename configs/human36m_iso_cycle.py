r"""ISO-Cycle as published (Zhang, Nie, Feng 2020): joint training on Human3.6M, ready to be adapted to MPI-INF-3DHP.

python -m launch.build_data --dataset=human36m/official --data_dir=DIR --manual_dir=RAW_H36M --verify
python -m launch.build_data --dataset=mpi_inf_3dhp/univ --data_dir=DIR --manual_dir=RAW_3DHP --verify
python -m launch.train --config=configs/human36m_iso_cycle.py --workdir=W --data_dir=DIR
python -m launch.evaluate --workdir=W --data_dir=DIR --output=OUT.json --dataset=mpi_inf_3dhp --checkpoint=latest
python -m launch.adapt --workdir=W --data_dir=DIR --output=OUT.json --dataset=mpi_inf_3dhp --checkpoint=latest \
  --mode=online

Published on MPI-INF-3DHP, unscaled (table 3): PCK, AUC and MPJPE of Joint 81.3 %, 46.9 %, 96.2 mm; Vanilla 82.5, 47.6,
94.1; Online 83.6, 48.2, 92.2 (human36m_iso_baseline.py: 78.9, 43.7, 103.8). Online by the other alignments (table 1):
84.5, 50.9, 88.4 scaled; 91.3, 54.0, 75.8 Procrustes. Online on 3DPW (table 2; --dataset=pw3d): PCK 82.0 %, PA-MPJPE
70.8 mm. Time and noise (tables 4 and 5): docs/recipes.md. Not measured here: the data are licensed.
"""

from ml_collections import ConfigDict

from configs import common, human36m_iso_baseline


def get_config(arg: str | None = None) -> ConfigDict:
  return common.add_iso(human36m_iso_baseline.get_config(arg))
