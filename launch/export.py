"""Writes what a run computes at inference as a folder that runs with jax, numpy and flatbuffers alone, or as ONNX:

jaxpose export --workdir=W --output=NAME.jaxpose [--graph=lift|adapted|stream|hypotheses]
jaxpose export --workdir=W --output=NAME.onnx [--graph=lift|hypotheses]
jaxpose export --output=NAME.jaxpose --refresh
  jaxpose export --workdir=cmu_frame --output=lift.jaxpose
"""

from absl import flags

from jaxpose import pose_lifter
from jaxpose.graphs import bundle
from jaxpose.graphs.onnx import write as onnx_file
from launch import app

_WORKDIR = flags.DEFINE_string("workdir", "", "The run, as launch.train wrote it, or shipped weights by name.")
_OUTPUT = flags.DEFINE_string("output", None, "The folder or .onnx to write; with --refresh anew.", required=True)
_GRAPH = flags.DEFINE_enum("graph", "lift", bundle.NAMES, "What of the run; adapted and stream adapt as recommended.")
_FLIP = flags.DEFINE_bool("flip", True, "Average with the prediction for the mirrored input (lift).")
_CHECKPOINT = flags.DEFINE_string("checkpoint", "best", "best, latest, or a step.")
_REFRESH = flags.DEFINE_bool("refresh", False, "Make the program of an exported folder anew, of its recipe.")


def main() -> None:
  if _REFRESH.value == bool(_WORKDIR.value):
    raise ValueError("give either --workdir=W, to export a run, or --refresh, to write an exported folder anew")
  if _REFRESH.value:
    size = bundle.refresh(_OUTPUT.value)
  else:
    chosen = bundle.recipe(_GRAPH.value, _FLIP.value)
    trained = pose_lifter.load(_WORKDIR.value, _CHECKPOINT.value).trained
    if _OUTPUT.value.endswith(".onnx"):
      print(f"wrote {_OUTPUT.value}: {onnx_file.write(_OUTPUT.value, trained, chosen) / 1000:.0f} kB")
      app.following(f"onnxruntime.InferenceSession({_OUTPUT.value!r}), in Python")
      return
    size = bundle.write(_OUTPUT.value, trained, chosen)
  print(f"wrote {_OUTPUT.value}: program of {size / 1000:.0f} kB, for {', '.join(bundle.PLATFORMS)}")
  app.following(f"from load import load; load({_OUTPUT.value!r}), in Python with that folder on sys.path")


if __name__ == "__main__":
  app.run(main)
