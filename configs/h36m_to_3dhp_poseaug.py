"""Human3.6M to MPI-INF-3DHP as PoseAug (Gong et al. 2021) sets it up: 16 joints, ground-truth 2D, no adaptation.

python -m launch.build_data --dataset=human36m/official --data_dir=DIR --manual_dir=RAW_H36M --verify
python -m launch.build_data --dataset=mpi_inf_3dhp/univ --data_dir=DIR --manual_dir=RAW_3DHP --verify
python -m launch.train --config=configs/h36m_to_3dhp_poseaug.py --workdir=W --data_dir=DIR
python -m launch.evaluate --workdir=W --data_dir=DIR --output=OUT.json --checkpoint=latest --dataset=mpi_inf_3dhp

Published, before their augmentation (the row SimpleBaseline): MPJPE 81.2 mm, PCK 85.9, AUC 54.0, in PoseDA's README.
Not measured here: the data are licensed. The row is averaged with the mirrored prediction, as launch.evaluate does.
"""

from ml_collections import ConfigDict

from configs import common


def get_config(arg: str | None = None) -> ConfigDict:
  quick = common.is_quick(arg)
  config = common.lift_directly(common.base(num_steps=0, quick=quick), quick=quick, trunk_blocks=4, dropout=0.25)
  common.by_epochs(config, common.H36M_TRAIN_FRAMES, quick=quick, epochs=50, batch_size=1024, eval_epochs=5)
  config.codec = "screen"
  config.method_options.scale = 1 / 3  # the mean over coordinates, which the clipping of gradients sees
  config.optim.update(learning_rate=1e-3, schedule="constant", clip_norm=1.0)
  source = dict(dataset="human36m/official", skeleton="h36m_16")
  config.train = dict(source, splits=common.H36M_TRAIN)
  config.validation = dict(source, splits=common.H36M_TEST)
  config.select = "latest"  # validation is the test set: watched, and not selected on
  config.targets = dict(
    mpi_inf_3dhp=dict(dataset="mpi_inf_3dhp/univ", splits=("test",), skeleton="h36m_16", protocol="mpi_inf_3dhp_16"),
    human36m=dict(source, splits=common.H36M_TEST, protocol="generic"),
  )
  return config
