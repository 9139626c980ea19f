"""Scores the shards of one adaptation, as if it had been done in one piece:

jaxpose adapt --workdir=W --data_dir=DIR --output=OUT.json --mode=vanilla --shard=0/20     and 1/20 to 19/20, anywhere
jaxpose collect --inputs='OUT-*.npz' --output=OUT.json
"""

import glob
import pathlib

from absl import flags

from jaxpose import report, shards
from launch import app

_INPUTS = flags.DEFINE_string("inputs", None, "The shards' files, as a pattern in quotes.", required=True)
_OUTPUT = flags.DEFINE_string("output", None, "The report to write, JSON.", required=True)
_WORKDIR = flags.DEFINE_string("workdir", "", "The run, if it is no longer where the shards had it.")
_DATA_DIR = flags.DEFINE_string("data_dir", "", "The data sets, if they are no longer where the shards had them.")


def main() -> None:
  files = [pathlib.Path(name) for name in glob.glob(_INPUTS.value)]
  if not files:
    raise ValueError(f"no file matches --inputs={_INPUTS.value}; jaxpose adapt --shard=i/n writes them")
  result = shards.collect(files, _WORKDIR.value, _DATA_DIR.value)
  report.write_json(_OUTPUT.value, result)
  print(report.table({result["fingerprint"]["adaptation"]["mode"]: result}))
  print(report.summary(result))
  app.following(f"jaxpose compare {_OUTPUT.value} PLAIN.json")


if __name__ == "__main__":
  app.run(main)
