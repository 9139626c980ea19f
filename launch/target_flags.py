"""What to score on or to adapt to, as flags."""

from absl import flags

from jaxpose import targets
from jaxpose.config import DataConfig
from jaxpose.experiment import Trained

_DATASET = flags.DEFINE_string(
  "dataset", "", "One of the config's targets or data sets, the first when empty; or any NAME[/CONFIG], with --splits."
)
_SPLITS = flags.DEFINE_list("splits", [], "Splits of the data set; the target's own when empty.")
_RIG = flags.DEFINE_string("rig", "", "Camera rig that sees world-space motion; the target's own when empty.")
_FPS = flags.DEFINE_float("fps", None, "Frames a second; the target's own by default.")


def target(trained: Trained) -> tuple[str, DataConfig]:
  """The name and the data that the flags ask for."""
  return targets.choose(trained, _DATASET.value, _SPLITS.value, _RIG.value, _FPS.value)
