"""Published weights into a run: jaxpose convert --input=best_epoch.bin --config=NAME|FILE.py --workdir=W

  jaxpose convert --input=best_epoch.bin --config=human36m_motionbert --workdir=motionbert

Reads MotionBERT's torch or safetensors files, without torch. The run is evaluated and fine-tuned like any other.
"""

from absl import flags
from ml_collections import config_flags

from jaxpose import config as configs
from jaxpose import convert_run, skeleton
from launch import app

_INPUT = flags.DEFINE_string("input", None, "The weights: a file of torch.save, or safetensors.", required=True)
_CONFIG = config_flags.DEFINE_config_file(
  "config", None, "Config of the run, by its name or a file; its model is replaced.", lock_config=True
)
_WORKDIR = flags.DEFINE_string("workdir", None, "Where the run goes; a folder without checkpoints.", required=True)
_NUM_HEADS = flags.DEFINE_integer("num_heads", None, "Attention heads, where they are not as published.")
_SKELETON = flags.DEFINE_string("skeleton", "h36m_17", "Joint set of the weights.")


def main() -> None:
  config, joints = configs.from_dict(_CONFIG.value), skeleton.get(_SKELETON.value)
  written = convert_run.write_motionbert(_INPUT.value, _WORKDIR.value, config, joints, _NUM_HEADS.value)
  print(f"{_WORKDIR.value}: {written.model} {written.model_options}, codec {written.codec}, step 0")
  app.following(f"jaxpose evaluate --workdir={_WORKDIR.value} --data_dir=DIR --output=OUT.json")


if __name__ == "__main__":
  flags.mark_flag_as_required("config")
  app.run(main)
