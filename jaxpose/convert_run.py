"""Published weights as a run's first checkpoint, so that they are evaluated, adapted and fine-tuned like any run."""

import dataclasses

import jax
import jax.numpy as jnp

from jaxpose import checkpoint, convert_motionbert, experiment
from jaxpose import config as configs
from jaxpose.config import Config
from jaxpose.skeleton import Skeleton
from jaxpose.train import optim
from jaxpose.train.state import TrainState


def write_motionbert(path: str, workdir: str, config: Config, joints: Skeleton, num_heads: int | None = None) -> Config:
  """Writes MotionBERT's weights at `path` as the checkpoint of step 0 under `workdir`, and returns its config.

  The config says everything but the model's sizes, which come from the file; with it go the codec and a fresh state
  of its optimizer. Raises ValueError for weights of another joint set, method or number of input channels, and for a
  workdir that holds a run already.
  """
  if checkpoint.steps(workdir):
    raise ValueError(f"{workdir!r} holds checkpoints of a run already; choose another workdir")
  state = convert_motionbert.read_state(path)
  sizes = convert_motionbert.infer_options(state)
  if (count := sizes.pop("num_joints")) != joints.num_joints:
    raise ValueError(f"{path}: weights for {count} joints, but {joints.name} has {joints.num_joints}")
  heads = num_heads or convert_motionbert.infer_heads(sizes["dim_feat"])
  options = {**config.model_options, **sizes, "num_heads": heads}
  config = dataclasses.replace(config, model="dstformer", model_options=options)
  codec = experiment.build_codec(config, joints)
  if codec.channels != sizes["dim_in"]:
    raise ValueError(
      f"{path}: weights for {sizes['dim_in']} input channels, but codec {config.codec!r} gives {codec.channels}; "
      "weights for x, y and confidence need codec_constants=dict(confidence_channel=1) in the config, others do not"
    )
  method = experiment.build_method(config, codec)
  _, variables = convert_motionbert.from_torch_state_dict(state, num_joints=joints.num_joints, **options)
  params = jax.tree.map(jnp.asarray, variables["params"])
  batch = experiment.dummy_batch(joints.num_joints, config.window)
  wanted = jax.eval_shape(method.init, jax.random.key(0), batch)
  if set(wanted) != {"params"} or checkpoint.shapes(wanted["params"]) != checkpoint.shapes(params):
    raise ValueError(f"method {config.method!r} has other parameters than these weights; use method 'supervised'")
  tx = optim.build(config.optim, config.num_steps, method.labels)
  # No training set is known, and nobody has validated these weights here: any later checkpoint is better.
  description = {"config": configs.to_dict(config), "codec": codec.to_json(), "statistics": {}}
  writer = checkpoint.Writer(workdir, description=description, keep_best=config.keep_best)
  writer.save(0, TrainState(jnp.zeros((), jnp.int32), params, {}, tx.init(params)), {"mpjpe_mm": float("inf")})
  writer.close()
  return config
