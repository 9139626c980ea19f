"""Published weights into a run: python -m launch.convert --input=best_epoch.bin --config=configs/X.py --workdir=W

Reads MotionBERT's torch or safetensors files without torch. The config says everything but the sizes of the model,
which come from the file; the checkpoint, of step 0, holds it beside weights, codec and a fresh optimizer.
"""

import dataclasses

import jax
import jax.numpy as jnp
from absl import flags
from ml_collections import config_flags

from jaxpose import checkpoint, convert_motionbert, experiment, skeleton
from jaxpose import config as configs
from jaxpose.train import optim
from jaxpose.train.state import TrainState
from launch import app

_INPUT = flags.DEFINE_string("input", None, "The weights: a file of torch.save, or safetensors.")
_CONFIG = config_flags.DEFINE_config_file("config", None, "Config of the run; its model is replaced.", lock_config=True)
_WORKDIR = flags.DEFINE_string("workdir", None, "Where the run goes; a folder without checkpoints.")
_NUM_HEADS = flags.DEFINE_integer("num_heads", None, "Attention heads, where they are not the published 8.")
_SKELETON = flags.DEFINE_string("skeleton", "h36m_17", "Joint set of the weights.")


def main() -> None:
  path, workdir = _INPUT.value, _WORKDIR.value
  if checkpoint.steps(workdir):
    raise ValueError(f"--workdir={workdir} holds checkpoints of a run already; choose another")
  state = convert_motionbert.read_state(path)
  sizes = convert_motionbert.infer_options(state)
  joints = skeleton.get(_SKELETON.value)
  if sizes.pop("num_joints") != joints.num_joints:
    raise ValueError(f"{path}: weights for {state['pos_embed'].shape[1]} joints, {joints.name} has {joints.num_joints}")
  heads = _NUM_HEADS.value or convert_motionbert.infer_heads(sizes["dim_feat"])
  config = configs.from_dict(_CONFIG.value)
  options = {**config.model_options, **sizes, "num_heads": heads}
  config = dataclasses.replace(config, model="dstformer", model_options=options)
  params = convert_motionbert.from_torch_state_dict(state, **options)[1]["params"]
  method = experiment.build_method(config, codec := experiment.build_codec(config, joints))
  batch = experiment.dummy_batch(joints.num_joints, config.window)
  wanted = jax.eval_shape(method.init, jax.random.key(0), batch)["params"]
  if checkpoint.shapes(wanted) != checkpoint.shapes(params):
    raise ValueError(f"the config's method {config.method!r} has other parameters than these weights; use 'supervised'")
  tx = optim.build(config.optim, config.num_steps, method.labels)
  params = jax.tree.map(jnp.asarray, params)
  description = {"config": configs.to_dict(config), "codec": codec.to_json(), "statistics": {}}
  writer = checkpoint.Writer(workdir, description=description)
  unknown = {"mpjpe_mm": float("inf")}  # nobody has validated it: any later checkpoint is better
  writer.save(0, TrainState(jnp.zeros((), jnp.int32), params, {}, tx.init(params)), unknown)
  writer.close()
  print(f"{workdir}: {sum(x.size for x in jax.tree.leaves(params)):,} parameters, {options}")


if __name__ == "__main__":
  flags.mark_flags_as_required(["input", "config", "workdir"])
  app.run(main)
