"""Builds a data set: jaxpose build_data --dataset=NAME --data_dir=DIR [--manual_dir=RAW] [--option=KEY=VALUE]

  jaxpose build_data --dataset=synthetic_mocap --data_dir=data

NAME/CONFIG where a data set comes in several forms. --verify compares what was built with the published counts, and
ends with exit code 1 where a whole data set is not the published one; --fixture builds of small made-up files instead,
in the data set's own formats. Each data set's README.md under data_builders/ says what it holds, how to get its raw
files, and which options it has.
"""

import json
import signal
import sys
from typing import Any

from absl import flags, logging

from data_builders import build
from launch import app

_DATASET = flags.DEFINE_string("dataset", None, f"Data set to build: {', '.join(build.DATASETS)}.", required=True)
_DATA_DIR = flags.DEFINE_string(
  "data_dir", None, "Where built data sets go; each in a folder of its name.", required=True
)
_MANUAL_DIR = flags.DEFINE_string("manual_dir", None, "Folder (or zip) of raw files, where the data set needs them.")
_OPTION = flags.DEFINE_multi_string("option", [], "KEY=VALUE for the data set's builder, VALUE in JSON or plain text.")
_VERIFY = flags.DEFINE_bool("verify", False, "Compare with the published counts, also of a data set built before.")
_FIXTURE = flags.DEFINE_bool("fixture", False, "Build of made-up files, for a dry run; give it a data_dir of its own.")


def main() -> None:
  # A polite kill unwinds the stack, so that the unfinished folder is removed.
  signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
  logging.set_verbosity(logging.WARNING)  # TFDS's own messages would cut through the progress bar
  options = dict(_parse(option) for option in _OPTION.value)
  built = build.build(_DATASET.value, _DATA_DIR.value, _MANUAL_DIR.value, fixture=_FIXTURE.value, **options)
  print(build.table(built))
  if _VERIFY.value:  # its last word is the verdict
    text, verdict = build.verify(_DATASET.value, built)
    print(f"\n{text}")
    sys.exit(verdict == "different")
  app.following(f"jaxpose train --config=NAME:quick --workdir=W --data_dir={_DATA_DIR.value} (configs/ has the names)")


def _parse(option: str) -> tuple[str, Any]:
  key, equals, value = option.partition("=")
  if not equals or not key.isidentifier():
    raise ValueError(f"--option={option}: expected KEY=VALUE")
  try:
    return key, json.loads(value)
  except json.JSONDecodeError:
    return key, value


if __name__ == "__main__":
  app.run(main)
