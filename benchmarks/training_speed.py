"""How far a resident training step is from the machine's two limits:

python -m benchmarks.training_speed --output=OUT.json

Counts of a step: operations are 6 a weight, row and pass (forward 2, backward 4);
bytes are what Adam must read and write, 7 float32 numbers a weight (gradient read, parameter and two moments read and
written). The limits are measured in the same process: a large matrix product, and a sum of two large arrays.
"""

import functools
import json
import pathlib
import time

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags

from jaxpose import config as configs
from jaxpose import experiment, skeleton
from jaxpose.data import pipeline
from jaxpose.data.clip import Clip
from jaxpose.geometry import camera
from jaxpose.train import optim
from jaxpose.train import state as states
from jaxpose.train import step as steps

_OUTPUT = flags.DEFINE_string("output", None, "The JSON to write.", required=True)
_STEPS = flags.DEFINE_integer("steps", 100, "Steps of a measurement; the best of three counts.")
ROWS = 64


def best_of_three(function, *arguments) -> float:
  """Seconds of one call, compiled before."""
  jax.block_until_ready(function(*arguments))
  seconds = []
  for _ in range(3):
    began = time.perf_counter()
    jax.block_until_ready(function(*arguments))
    seconds.append(time.perf_counter() - began)
  return min(seconds)


def limits() -> dict[str, float]:
  """Measured operations a second of a 2048 x 2048 float32 product, and bytes a second of b + 2 c over 64 Mi numbers."""
  a = jnp.ones((2048, 2048))
  flops = 2 * 2048**3 / best_of_three(jax.jit(lambda a: a @ a), a)
  b = jnp.ones(1 << 26)
  seconds = best_of_three(jax.jit(lambda b, c: b + 2 * c), b, 2 * b)
  return {"flop_per_s": flops, "bytes_per_s": 3 * b.nbytes / seconds}


def people(frames: int = 4096) -> Clip:
  """Random poses before a camera: speed does not depend on what they are."""
  lens = camera.create((1145, 1145), (500, 500), (1000, 1000))
  joints = np.random.default_rng(0).normal(0, 0.3, (frames, 17, 3)).astype(np.float32) + np.float32([0, 0, 5])
  shown = np.asarray(camera.project(joints, lens), np.float32)
  ones = np.ones((frames, 17), np.float32)
  return Clip(shown, ones, joints, np.ones(frames, bool), lens, skeleton.get("h36m_17"), 30.0)


def measure(method: str, width: int, limit: dict[str, float]) -> dict:
  """Seconds of a step, and what its counted operations and bytes would take at the machine's limits."""
  data_config = dict(dataset="random", splits=("train",))
  options = {} if method == "supervised" else {"discriminator_options": {"width": width}}
  config = configs.from_dict(
    dict(
      train=data_config, validation=data_config, targets=dict(target=data_config), num_steps=1000, codec="canonical",
      batch_size=ROWS, method=method, method_options=options, model_options=dict(width=width, dropout=0.1),
    )
  )  # fmt: skip
  clips = [people()]
  codec = experiment.build_codec(config, clips[0].skeleton, clips)
  built = experiment.build_method(config, codec)
  tx = optim.build(config.optim, config.num_steps, built.labels)
  data = jax.device_put(pipeline.windows(clips))
  first = pipeline.gather(data, np.arange(1), 1)
  state = jax.jit(functools.partial(states.create, method=built, tx=tx))(jax.random.key(0), first)
  static = dict(length=1, method=built, tx=tx, base_key=jax.random.key(1))
  index = jnp.asarray(pipeline.order(4096, 0, _STEPS.value * ROWS, 0).reshape(_STEPS.value, ROWS))
  seconds = best_of_three(jax.jit(functools.partial(steps.resident_steps, **static)), state, data, index) / _STEPS.value
  sizes = {name: sum(x.size for x in jax.tree.leaves(part)) for name, part in state.params.items()}
  # Passes: the trunk and the second head lift the input and its projection; the discriminator judges three times.
  passes = dict.fromkeys(sizes, 1)
  if method == "iso":
    passes.update(trunk=2, self_supervised_head=2, discriminator=3)
  flop = 6 * ROWS * sum(passes[name] * size for name, size in sizes.items())
  moved = 7 * 4 * sum(sizes.values())
  floor = max(flop / limit["flop_per_s"], moved / limit["bytes_per_s"])
  return {
    "method": method, "width": width, "rows": ROWS, "ms_per_step": 1e3 * seconds, "gflop": flop / 1e9,
    "megabytes": moved / 1e6, "ms_at_flop_limit": 1e3 * flop / limit["flop_per_s"],
    "ms_at_byte_limit": 1e3 * moved / limit["bytes_per_s"], "share_of_limit": floor / seconds,
  }  # fmt: skip


def main(argv) -> None:
  del argv
  limit = limits()
  rows = [measure(method, width, limit) for width in (256, 1024) for method in ("supervised", "iso")]
  device = jax.devices()[0]
  result = {"device": f"{device.platform} {device.device_kind}", "jax": jax.__version__, "limits": limit, "rows": rows}
  path = pathlib.Path(_OUTPUT.value)
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_text(json.dumps(result, indent=1) + "\n")
  for row in rows:
    print("  ".join(f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items()))


if __name__ == "__main__":
  app.run(main)
