"""The ISO paper's table for two trained runs, a supervised baseline and a joint one, on one of their targets:

jaxpose four_rows --baseline=W1 --joint=W2 --data_dir=DIR --output_dir=OUT [--dataset=NAME] [--stride=N]
  jaxpose four_rows --baseline=run --joint=iso --data_dir=data --output_dir=table
"""

import os

from absl import flags

from jaxpose import experiment, four_rows, report
from launch import app

_BASELINE = flags.DEFINE_string("baseline", None, "Workdir of the supervised run.", required=True)
_JOINT = flags.DEFINE_string("joint", None, "Workdir of the run of ISO joint training.", required=True)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Where launch.build_data put the data sets.", required=True)
_OUTPUT_DIR = flags.DEFINE_string("output_dir", None, "Where results.json and the pictures go.", required=True)
_DATASET = flags.DEFINE_string("dataset", "", "One of the config's targets; the first when empty.")
_PROTOCOL = flags.DEFINE_string("protocol", "", "Evaluation protocol; the config's own when empty.")
_STRIDE = flags.DEFINE_integer("stride", 1, "Adapt to and score every n-th frame of a clip.", lower_bound=1)


def main() -> None:
  table = four_rows.rows(experiment.load(_BASELINE.value), experiment.load(_JOINT.value))
  clips, predictions, reports = four_rows.run(table, _DATA_DIR.value, _DATASET.value, _STRIDE.value, _PROTOCOL.value)
  report.write_json(os.path.join(_OUTPUT_DIR.value, "results.json"), reports)
  four_rows.pictures(_OUTPUT_DIR.value, clips, predictions, reports)
  print(four_rows.text(reports))
  print(report.summary(next(iter(reports.values()))))
  app.following(f"open {os.path.join(_OUTPUT_DIR.value, 'gallery.png')}")


if __name__ == "__main__":
  app.run(main)
