"""The baseline of the open benchmark, with procedural people beside the actors: CMU 02 and 03 to subject 01.

python -m launch.build_data --dataset=cmu_mocap --data_dir=DIR --manual_dir=RAW
python -m launch.build_data --dataset=synthetic_mocap --data_dir=DIR
python -m launch.train --config=configs/cmu_people.py --workdir=W --data_dir=DIR
python -m launch.evaluate --workdir=W --data_dir=DIR --output=OUT.json --dataset=new_poses

People of both scenarios, through the cameras of the actors. Without a share each frame is drawn equally often;
`python -m benchmarks.people_share` finds the share, on other targets than those reported.
"""

from ml_collections import ConfigDict

from configs import cmu_baseline, common

SCENARIOS = {"everyday": ("train",), "both": ("train", "target")}  # splits of the simulated people


def get_config(arg: str | None = None) -> ConfigDict:
  config = cmu_baseline.get_config(arg)
  if not common.is_quick(arg):
    config.update(num_steps=15000)
  return with_people(config)


def with_people(config: ConfigDict, share: float | None = None, scenario: str = "both") -> ConfigDict:
  """A run on CMU's actors with `share` of the rows from simulated people; None for as many as they have frames."""
  actors = config.train.to_dict()
  people = dict(dataset="synthetic_mocap", splits=SCENARIOS[scenario], rig=actors["rig"], fps=actors["fps"])
  if share is not None:
    actors, people = dict(actors, share=1 - share), dict(people, share=share)
  config.train = ConfigDict(dict(actors=actors, people=people))
  return config
