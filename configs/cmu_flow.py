"""A lifter of many hypotheses, by flow matching, on the open cross-scenario benchmark: CMU subjects 02 and 03 to 01.

python -m launch.train --config=configs/cmu_flow.py --workdir=W --data_dir=DIR
python -m launch.evaluate --workdir=W --data_dir=DIR --output=OUT.json --dataset=new_poses --protocol=many

Data and network are those of cmu_baseline. No number is promised yet:
python -m benchmarks.flow_study trains it over seeds, beside the baseline, with and without guidance.
"""

from ml_collections import ConfigDict

from configs import cmu_baseline


def get_config(arg: str | None = None) -> ConfigDict:
  config = cmu_baseline.get_config(arg)
  config.method = "flow"
  config.method_options = dict(std=0.25, count=20, steps=3, solver="midpoint", rule="mean")
  return config
