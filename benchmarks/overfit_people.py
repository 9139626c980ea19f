"""Can a network learn a dozen photographed people by heart, to 2 px of 192 x 256?

  python -m benchmarks.overfit_people --manual_dir=FOLDER [--steps=600] [--output=OUT.json]

FOLDER holds COCO's annotations and photographs (data_builders/coco_keypoints); the first --people of them are learnt. A
network that cannot has a wrong pixel somewhere between the file and the decoder: half a cell of a heatmap is 2 px. It
prints the mean error of the labelled joints as it falls, and ends with 1 where it stays above 2 px.
"""

import functools
import json
import sys
import tempfile
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from absl import app, flags

from data_builders import build
from jaxpose.data import crop, images, pipeline, source
from jaxpose.heatmaps import READOUTS
from jaxpose.models import heatmap

SIZE = (192, 256)
GOAL_PX = 2.0

_MANUAL_DIR = flags.DEFINE_string("manual_dir", None, "COCO's annotations and photographs", required=True)
_PEOPLE = flags.DEFINE_integer("people", 12, "How many of them.")
_STEPS = flags.DEFINE_integer("steps", 600, "Training steps, each of all people.")
_WIDTH = flags.DEFINE_integer("width", 16, "Channels of the first stage of the ResNet-18; published: 64.")
_OUTPUT = flags.DEFINE_string("output", None, "Where to write the numbers as JSON.")


def people(manual_dir: str, count: int) -> dict[str, jax.Array]:
  """Images [N, 256, 192, 3], keypoints [N, 17, 2] and whether they are labelled [N, 17], of the training crops."""
  with tempfile.TemporaryDirectory() as folder:
    built = build.build("coco_keypoints", folder, manual_dir)
    clips = source.load_clips("coco_keypoints", list(built.splits), folder)[:count]
  data = pipeline.windows(clips, allow_2d=True)
  read = images.of_clips(clips)
  batch = pipeline.gather(data, np.arange(len(clips)), 1)
  batch["images"] = np.stack([read(n) for n in range(len(clips))])
  seen = crop.random_crop(jax.tree.map(jnp.asarray, batch), None, size=SIZE)
  return {
    "images": seen["images"][:, 0], "keypoints": seen["keypoints_2d"][:, 0], "labelled": seen["confidence"][:, 0] > 0
  }  # fmt: skip


def learn(batch: dict[str, jax.Array], steps: int, width: int, readout: str = "dark") -> list[tuple[int, float]]:
  """(step, mean error in px) as it falls, the last in evaluation mode, after training on the whole batch each step."""
  read = READOUTS[readout]
  model = heatmap.create(17, readout=readout, depth=18, width=width, head_options=dict(width=4 * width))
  variables = dict(jax.jit(model.init)(jax.random.key(0), batch["images"]))
  tx = optax.adam(optax.cosine_decay_schedule(4e-3, steps))

  def error(output: Any, batch: dict[str, jax.Array]) -> jax.Array:
    away = jnp.linalg.norm(read.decode(output, SIZE)[0] - batch["keypoints"], axis=-1)
    return jnp.sum(away * batch["labelled"]) / jnp.sum(batch["labelled"])

  @functools.partial(jax.jit, donate_argnums=(0, 1))
  def update(variables, moments, batch):
    def loss(params):
      output, state = model.apply({**variables, "params": params}, batch["images"], train=True, mutable=["batch_stats"])
      values = read.loss(output, read.target(batch["keypoints"], output, SIZE))
      return jnp.sum(values * batch["labelled"]) / jnp.sum(batch["labelled"]), (state, error(output, batch))

    grads, (state, away) = jax.grad(loss, has_aux=True)(variables["params"])
    updates, moments = tx.update(grads, moments)
    return {**state, "params": optax.apply_updates(variables["params"], updates)}, moments, away

  moments, curve = tx.init(variables["params"]), []
  for step in range(steps):
    variables, moments, away = update(variables, moments, batch)
    if step % 20 == 0:
      curve.append((step, float(away)))
      print(f"step {step:4d}  {curve[-1][1]:7.2f} px", flush=True)
  curve.append((steps, float(error(jax.jit(model.apply)(variables, batch["images"]), batch))))
  return curve


def main(argv: list[str]) -> None:
  if len(argv) > 1:
    raise app.UsageError(f"unexpected arguments {argv[1:]}")
  batch = people(_MANUAL_DIR.value, _PEOPLE.value)
  start = time.perf_counter()
  curve = learn(batch, _STEPS.value, _WIDTH.value)
  seconds = time.perf_counter() - start
  count, error = len(batch["images"]), curve[-1][1]
  print(
    f"{count} people, {_STEPS.value} steps, {seconds:.0f} s: {error:.2f} px in evaluation mode; the goal is {GOAL_PX}"
  )
  if _OUTPUT.value:
    with open(_OUTPUT.value, "w") as file:
      json.dump({"people": count, "seconds": seconds, "error_px": error, "curve": curve}, file)
  if not error <= GOAL_PX:
    sys.exit(1)


if __name__ == "__main__":
  app.run(main)
