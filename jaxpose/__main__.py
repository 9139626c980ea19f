"""The command `jaxpose`: each script of launch/ as a subcommand, from any folder.

jaxpose lift --sample --output=OUT        what python -m launch.lift --sample --output=OUT is in a checkout
"""

import pathlib
import runpy
import sys

import jaxpose

COMMANDS = {
  "lift": "a detector's keypoints, or a video, to poses in 3D, and files of them",
  "detect": "a video to a file of its people's keypoints",
  "quickstart": "train, adapt and compare on embedded data, in minutes",
  "reference": "data to numbers to one page, compared with stored ones",
  "build_data": "build a data set",
  "train": "train a lifter: --config=cmu_baseline:quick, or a file of your own",
  "evaluate": "score a trained run by a protocol",
  "adapt": "adapt a trained run to unlabelled targets, and score it",
  "collect": "the shards of one adaptation, scored",
  "four_rows": "the table of the ISO paper for two runs",
  "compare": "two reports side by side, if they may be compared",
  "convert": "published weights into a run",
  "export": "a model as a folder that runs without this library",
  "export_weights": "a trained run as two small files",
}
# Scripts import launch, configs and data_builders. An installation carries these folders in here, where they are in
# nobody's way; a checkout has them beside jaxpose. Either is put before all else for this process alone.
_INSTALLED = pathlib.Path(__file__).parent / "_checkout"
_ROOT = _INSTALLED if _INSTALLED.is_dir() else pathlib.Path(__file__).parents[1]


def main() -> None:
  """Runs the subcommand that the first argument names; lists them where there is none."""
  name = sys.argv[1] if len(sys.argv) > 1 else "--help"
  if name == "--version":
    print(f"jaxpose {jaxpose.__version__}")
  elif name in ("--help", "-h", "help"):
    print(_listed())
  elif name in COMMANDS:
    sys.path.insert(0, str(_ROOT))
    del sys.argv[1]
    runpy.run_module(f"launch.{name}", run_name="__main__", alter_sys=True)
  else:
    print(f"error: no subcommand {name!r}\n{_listed()}", file=sys.stderr)
    sys.exit(2)


def _listed() -> str:
  width = max(map(len, COMMANDS))
  lines = [f"  {name:{width}}  {meaning}" for name, meaning in COMMANDS.items()]
  return "\n".join(
    ["usage: jaxpose SUBCOMMAND --flag=value ...", *lines, "jaxpose SUBCOMMAND --helpshort has the flags"]
  )


if __name__ == "__main__":
  main()
