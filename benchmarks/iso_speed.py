"""ISO's adaptation at the paper's sizes against the same algorithm in plain PyTorch, side by side in one process:

python -m benchmarks.iso_speed --output=OUT.json [--rounds=5] [--instances=8] [--scaling=1,10,100]

Width 1024, 14.8 million moving weights, 16 random projections a step, float32, frozen batch normalisation, random
weights (speed does not depend on them). Opponents: (a) PyTorch, one instance after another, (b) torch.func.vmap over
all of them (vanilla only); without torch the ratios are left out. The sides alternate within a round; a ratio is the
median over rounds of one round's ratio. First of all, the outputs for the same weights and viewpoints are compared.

The same command on a GPU runs PyTorch on that GPU too. With several processes at work on a machine, ratios are worth
more than milliseconds, and those of the processor time (of all threads) more than those of the clock; --threads=1
keeps PyTorch's threads from waiting for each other, busily.

Bytes of a step: what must pass between memory and processor if every weight is fetched anew for each use: forward,
backward (none for the stem), then Adam reads weight and two moments and writes three; 8 numbers a weight, 4 bytes
each. Gradients of one lifted row are outer products and need none; those of several rows are 1 write and 1 read more.
"""

import argparse
import dataclasses
import datetime
import functools
import json
import pathlib
import platform
import time

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import optax

from jaxpose import codec as codecs
from jaxpose import skeleton as skeletons
from jaxpose.adapt import adapter as adapters
from jaxpose.adapt import first_order, moments
from jaxpose.adapt.settings import MODES
from jaxpose.geometry import camera as cameras
from jaxpose.geometry import projection
from jaxpose.methods import iso
from jaxpose.methods.method import Method
from jaxpose.models import discriminator, mlp

try:
  import torch

  from benchmarks import iso_torch
except ImportError:
  torch = iso_torch = None

COPIES, BASE = 16, jax.random.key(1)
OBJECTIVES = ("adversary", "cycle")


@dataclasses.dataclass(frozen=True)
class Setup:
  """The network, its variables, and instances of random poses before a camera."""

  method: Method
  variables: dict
  instances: dict[str, np.ndarray]

  def take(self, count: int) -> dict[str, np.ndarray]:
    return {name: np.resize(values, (count, *values.shape[1:])) for name, values in self.instances.items()}


def setup(width: int, frames: int = 256) -> Setup:
  skeleton = skeletons.get("h36m_17")
  codec = codecs.build("root_rms", skeleton)
  method = iso.create(mlp.create(17, width=width), codec, discriminator.create(width=width))
  lens = cameras.create((1145, 1145), (500, 500), (1000, 1000))
  joints = np.random.default_rng(0).normal(0, 0.3, (frames, 17, 3)).astype(np.float32) + np.float32([0, 0, 5])
  shown = np.asarray(cameras.project(joints, lens), np.float32)
  batch = {"keypoints_2d": shown[None], "confidence": np.ones((1, frames, 17), np.float32)}
  batch["camera"] = jax.tree.map(lambda x: jnp.asarray(x)[None], lens)
  inputs = np.asarray(codec.encode(shown, lens))[:, None]
  flipped = (inputs * np.float32([-1, 1]))[:, :, list(skeleton.flip)]
  variables = jax.jit(method.init)(jax.random.key(0), jax.tree.map(jnp.asarray, batch))
  return Setup(method, variables, {"inputs": inputs, "flipped": flipped})


@functools.cache
def optimizer(learning_rate: float, name: str = "ours"):
  """One object a setting: it is a static argument of jit."""
  return optax.adam(learning_rate) if name == "optax" else moments.adam(learning_rate)


@functools.cache
def adapter(method: Method, mode: str, objective: str, adam: str = "ours") -> adapters.Adapter:
  """One object a setting, too."""
  settings = MODES[mode]
  return first_order.adapter(
    method.infer,
    method.objectives[objective],
    optimizer(settings.learning_rate, adam),
    num_steps=settings.num_steps,
    copies=COPIES,
    carried=settings.streams,
  )


def ours(run: Setup, mode: str, objective: str, count: int, adam: str = "ours", chunk: int = 16, together: int = 1):
  """Poses [N, 2, J, 3] of instances and their mirror images."""
  settings, made = MODES[mode], adapter(run.method, mode, objective, adam)
  instances, ids = run.take(count), np.arange(count)
  if settings.streams:
    outputs = adapters.online(made, run.variables, [instances], [ids], BASE, every=settings.every)[0][0]
  else:
    outputs = adapters.alone(made, run.variables, instances, ids, BASE, chunk=chunk, together=together)[0]
  return np.stack([outputs["inputs"][:, 0], outputs["flipped"][:, 0]], 1)


@functools.cache
def viewpoints(count: int, steps: int) -> np.ndarray:
  """The rotations [N, T, copies, 3, 3] that jaxpose draws for the instances."""

  def of(id):
    key, _ = jax.random.split(jax.random.fold_in(BASE, id))
    draw = lambda k: projection.sample_rotation(jax.random.split(k, 4)[2], (COPIES,))  # noqa: E731
    return jax.vmap(draw)(jax.random.split(key, steps))

  return np.asarray(jax.jit(jax.vmap(of))(np.arange(count)))


def theirs(run: Setup, net, mode: str, objective: str, count: int, batched: bool = False) -> np.ndarray:
  """`ours`, in PyTorch."""
  settings, device = MODES[mode], next(net.parameters()).device
  both = torch.from_numpy(np.stack([x[:, 0] for x in run.take(count).values()], 1)).to(device)
  rotations = torch.from_numpy(np.array(viewpoints(count, settings.num_steps))).to(device)
  arguments = net, both, rotations, settings.learning_rate, run.method.codec.constants["depth_m"], objective == "cycle"
  if settings.streams:
    return iso_torch.online(*arguments, every=settings.every).cpu().numpy()
  return (iso_torch.vanilla_vmap if batched else iso_torch.vanilla)(*arguments).cpu().numpy()


def alternate(sides: dict, rounds: int, clock=time.perf_counter) -> dict[str, list[float]]:
  """Seconds of every side in every round, the sides taking turns; each has run once before.

  A `clock` that returns an array measures several things at once.
  """
  seconds = {name: [] for name in sides}
  for _ in range(rounds):
    for name, run in sides.items():
      began = clock()
      run()
      seconds[name].append(clock() - began)
  return seconds


def compare(tried: Setup, net, mode: str, objective: str, count: int, rounds: int, batched: bool) -> dict:
  """One row of the table: milliseconds an instance of every side, ratios, and how far the outputs differ."""
  sides = {"jaxpose": functools.partial(ours, tried, mode, objective, count)}
  if net is not None:
    sides["torch"] = functools.partial(theirs, tried, net, mode, objective, count)
    if batched and not MODES[mode].streams:
      sides["torch_vmap"] = functools.partial(theirs, tried, net, mode, objective, count, True)
  outputs = {name: run() for name, run in sides.items()}
  both = alternate(sides, rounds, lambda: np.array([time.perf_counter(), time.process_time()]))
  seconds, busy = ({name: [t[i] for t in taken] for name, taken in both.items()} for i in (0, 1))
  row = {"mode": mode, "objective": objective, "instances": count}
  row["ms_per_instance"] = {name: 1e3 * float(np.median(s)) / count for name, s in seconds.items()}
  row["cpu_ms_per_instance"] = {name: 1e3 * float(np.median(s)) / count for name, s in busy.items()}
  row["fastest_ms"] = {name: 1e3 * min(s) / count for name, s in seconds.items()}
  for name in list(sides)[1:]:
    ratios = np.divide(seconds[name], seconds["jaxpose"])
    row[f"{name}_over_jaxpose"] = {"median": np.median(ratios), "least": ratios.min(), "most": ratios.max()}
    row[f"{name}_fastest_over_fastest"] = min(seconds[name]) / min(seconds["jaxpose"])
    row[f"{name}_difference_mm"] = 1e3 * np.abs(outputs[name] - outputs["jaxpose"]).max()
  unadapted = tried.method.infer(tried.variables, jnp.asarray(tried.take(count)["inputs"]), BASE)[:, 0]
  row["moved_mm"] = 1e3 * np.abs(outputs["jaxpose"][:, 0] - unadapted).max()
  return row


def bandwidth() -> float:
  """Bytes a second of b + 2 c written over b (a triad: 3 numbers an entry), best of ten."""
  run = jax.jit(lambda b, c: b + 2 * c, donate_argnums=0)
  b, c = jnp.ones(1 << 26), jnp.ones(1 << 26)
  seconds = []
  for _ in range(11):
    began = time.perf_counter()
    b = jax.block_until_ready(run(b, c))
    seconds.append(time.perf_counter() - began)
  return 3 * c.nbytes / min(seconds[1:])


def moving(run: Setup) -> dict:
  """The parts that adapt."""
  return first_order.select(run.variables, first_order.PAPER_GROUPS)


def nbytes(tree) -> int:
  return sum(leaf.nbytes for leaf in jax.tree.leaves(tree))


def step_bytes(run: Setup, objective: str) -> float:
  """Least bytes of a middle step of one instance, as the docstring counts them."""
  sizes = {name: nbytes(part) for name, part in moving(run).items()}
  dense = {"discriminator"} | (set(sizes) if objective == "cycle" else set())
  return sum(size * (10 if name in dense else 8) for name, size in sizes.items())


def peak_bytes(run: Setup, size: int, together: int) -> int:
  """Temporary memory of a compiled chunk of vanilla adaptation."""
  block = run.take(size), np.arange(size), None
  options = dict(keep=adapters.nothing, together=together, sharding=None)
  made = adapter(run.method, "vanilla", "adversary")
  compiled = adapters._alone.lower(made, run.variables, block, BASE, **options).compile()
  return compiled.memory_analysis().temp_size_in_bytes


def chunks(tried: Setup, sizes: list[int], rounds: int) -> list[dict]:
  """Vanilla adaptation by chunk size, in both arrangements."""
  rows = []
  for side_by_side in (False, True):
    for size in sizes:
      together = size if side_by_side else 1
      run = functools.partial(ours, tried, "vanilla", "adversary", size, chunk=size, together=together)
      run()
      seconds = min(alternate({"": run}, rounds)[""])
      rows.append(
        {
          "side_by_side": side_by_side, "chunk": size, "instances_per_second": size / seconds,
          "temporary_mb": peak_bytes(tried, size, together) / 1e6,
        }
      )  # fmt: skip
      print(json.dumps(rows[-1]), flush=True)
  return rows


def scaling(tried: Setup, counts: list[int], size: int) -> list[dict]:
  """Seconds to adapt to ever more instances, vanilla_lr."""
  rows = []
  for count in counts:
    run = functools.partial(ours, tried, "vanilla_lr", "adversary", chunk=min(size, count))
    run(count=min(count, 2 * size))  # compiles; thousands of instances need not run twice for that
    seconds = alternate({"": functools.partial(run, count=count)}, 2 if count <= 100 else 1)[""]
    rows.append({"instances": count, "seconds": min(seconds)})
    print(json.dumps(rows[-1]), flush=True)
  return rows


def against_optax(tried: Setup, count: int, rounds: int) -> dict:
  """Vanilla adaptation with optax's Adam, against the one that has fewer operations."""
  names = ("ours", "optax")
  sides = {name: functools.partial(ours, tried, "vanilla", "adversary", count, name) for name in names}
  outputs = {name: run() for name, run in sides.items()}
  seconds = alternate(sides, rounds)
  return {
    name: {
      "ms_per_instance": 1e3 * float(np.median(seconds[name])) / count,
      "speed_over_ours": float(np.median(np.divide(seconds["ours"], seconds[name]))),
      "difference_mm": 1e3 * float(np.abs(outputs[name] - outputs["ours"]).max()),
    }
    for name in names
  }


def plot(result: dict, path: pathlib.Path) -> None:
  matplotlib.use("Agg")
  import matplotlib.pyplot as plt

  figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.5), layout="constrained")
  rows, sides = result["modes"], list(result["modes"][0]["ms_per_instance"])
  for i, side in enumerate(sides):
    heights = [row["ms_per_instance"].get(side, np.nan) for row in rows]
    left.bar(np.arange(len(rows)) + 0.27 * (i - (len(sides) - 1) / 2), heights, 0.25, label=side)
  left.set_xticks(range(len(rows)), [f"{row['mode']}\n{row['objective']}" for row in rows], fontsize=6)
  left.set(yscale="log", ylabel="ms an instance", title=result["device"])
  left.legend()
  right.loglog([row["instances"] for row in result["scaling"]], [row["seconds"] for row in result["scaling"]], "o-")
  right.set(xlabel="instances", ylabel="seconds", title="vanilla_lr, adversary")
  figure.savefig(path, dpi=120)


def arguments() -> argparse.Namespace:
  numbers = lambda text: [int(n) for n in text.split(",") if n]  # noqa: E731
  parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument("--output", type=pathlib.Path, required=True, help="the JSON to write; the plot goes beside it")
  parser.add_argument("--modes", default="vanilla,vanilla_lr,online,online_skip")
  parser.add_argument("--objectives", default=",".join(OBJECTIVES))
  parser.add_argument("--instances", type=int, default=16, help="instances of a measurement")
  parser.add_argument("--rounds", type=int, default=5)
  parser.add_argument("--chunks", type=numbers, default=[1, 4, 16], help="chunk sizes to compare; empty for none")
  parser.add_argument("--scaling", type=numbers, default=[1, 10, 100], help="numbers of instances; 10,000 on a GPU")
  parser.add_argument("--vmap", action=argparse.BooleanOptionalAction, default=True, help="torch.func.vmap too")
  parser.add_argument("--threads", type=int, default=0, help="PyTorch's threads; 0 leaves its default")
  parser.add_argument("--width", type=int, default=1024, help="a small one tries the script out")
  return parser.parse_args()


def main() -> None:
  flags = arguments()
  made, net = setup(flags.width), None
  if torch is not None:
    if flags.threads:
      torch.set_num_threads(flags.threads)
    on_gpu = jax.default_backend() == "gpu" and torch.cuda.is_available()
    net = iso_torch.load(made.variables).to("cuda" if on_gpu else "cpu")
  device = jax.devices()[0]
  result = {
    "device": f"{device.platform} {device.device_kind}", "date": datetime.date.today().isoformat(),
    "versions": {
      "python": platform.python_version(), "jax": jax.__version__, "torch": getattr(torch, "__version__", None),
    },
    "settings": {"width": flags.width, "copies": COPIES, "instances": flags.instances, "rounds": flags.rounds},
    "moving_weights": nbytes(moving(made)) // 4, "bytes_per_s": bandwidth(),
  }  # fmt: skip
  result["modes"] = []
  for mode in flags.modes.split(","):
    for objective in flags.objectives.split(","):
      row = compare(made, net, mode, objective, flags.instances, flags.rounds, flags.vmap)
      if mode in ("vanilla", "online"):
        least = MODES[mode].num_steps * step_bytes(made, objective)
        row["mb_moved"], row["ms_at_bandwidth"] = least / 1e6, 1e3 * least / result["bytes_per_s"]
        row["share_of_bandwidth"] = row["ms_at_bandwidth"] / row["ms_per_instance"]["jaxpose"]
      result["modes"].append(row)
      print(json.dumps(row, default=float), flush=True)
      save(result, flags.output)
  if flags.chunks:
    result["moments"] = against_optax(made, flags.instances, flags.rounds)
    print(json.dumps(result["moments"]), flush=True)
  result["chunks"] = chunks(made, flags.chunks, min(flags.rounds, 3))
  result["scaling"] = scaling(made, flags.scaling, max([*flags.chunks, 64]))
  save(result, flags.output)
  plot(result, flags.output.with_suffix(".png"))


def save(result: dict, path: pathlib.Path) -> None:
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_text(json.dumps(result, indent=1, default=float) + "\n")


if __name__ == "__main__":
  main()
