"""The DSTformer against the same network in plain PyTorch, side by side in one process: inference and training.

python -m benchmarks.dstformer_speed --output=OUT.json [--grid=27x1,81x4] [--presets=motionbert_lite] [--dtypes=float32]

A grid point is frames x clips. The sides: jaxpose; "torch", attention written out, as MotionBERT's authors have it;
"torch_sdpa", with PyTorch's fused attention; "torch_compile", torch.compile of that (by default on a GPU only). A step
is MotionBERT's: mpjpe + 0.5 n_mpjpe + 20 velocity and AdamW, PyTorch's fused one. bfloat16 is dtype="bfloat16" here and
autocast there; on a GPU, float32 products may use TF32 on both sides unless --exact is given. The sides take turns
within a round, and a ratio is the median over rounds of one round's ratio. Before that, the outputs (and the first
step's losses) for the same weights are compared; the script stops where float32 disagrees.

--attention and --remat go to `dstformer.create`. With several processes at work on a machine, ratios of the processor
time (of all threads) say more than those of the clock; there --threads=1 keeps PyTorch's threads from waiting for each
other busily, and XLA_FLAGS=--xla_cpu_multi_thread_eigen=false gives XLA one thread as well.

Operations: 2 for each multiply-add of the linear maps and the attention. For every frame and joint, with J joints, T
frames, C channels, width D, the MLP's H, representation R and L layers, these are

  L (4 (4 D D + 2 D H) + 4 D + 4 (J + T) D) + C D + D R + 3 R

four stages with qkv, projection and MLP, the fusion, and q k^T and softmax v over J in two stages, over T in two. A
training step is 3 times that, for the backward pass has two products for each of the forward's; what `remat` computes
again does not count. `xla_over_counted` is XLA's own count of the same program, elementwise operations included, over
this one. MFU is operations a second over those of a large product of matrices in the same dtype, measured in this
process; on a GPU whose data sheet is known also over that.

Memory is what a call takes beyond its arguments: as compiled for jaxpose, PyTorch's peak on a GPU.
"""

import argparse
import contextlib
import datetime
import functools
import gc
import os
import pathlib
import platform
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import optax

from benchmarks.iso_speed import alternate, save
from jaxpose import losses
from jaxpose import skeleton as skeletons
from jaxpose.methods import motion_terms
from jaxpose.models import dstformer

try:
  import torch

  from benchmarks import dstformer_torch
except ImportError:
  torch = dstformer_torch = None

LEARNING_RATE, WEIGHT_DECAY = 5e-4, 0.01
WEIGHTS = {"n_mpjpe": 0.5, "velocity": 20.0}
SKELETON = skeletons.get("h36m_17")
JOINTS = len(SKELETON.names)

# Dense operations a second by NVIDIA's data sheets, where the tensor cores' sparse numbers are twice these.
DATA_SHEETS = {
  "H200": {"bfloat16": 989e12, "float32": 67e12, "tf32": 494e12},
  "H100 80GB HBM3": {"bfloat16": 989e12, "float32": 67e12, "tf32": 494e12},
  "A100": {"bfloat16": 312e12, "float32": 19.5e12, "tf32": 156e12},
}
GRIDS = {"cpu": "27x1,81x1,81x4,243x1", "gpu": "27x64,81x64,243x1,243x16,243x64"}
SIDES = ("torch", "torch_sdpa", "torch_compile")


def operations(options: dict, frames: int, clips: int) -> int:
  """Operations of a forward pass, as the docstring counts them; `options` as of `dstformer.create`."""
  width, rep, layers = options["dim_feat"], options["dim_rep"], options["depth"]
  hidden = round(width * options["mlp_ratio"])
  stages = 4 * (4 * width * width + 2 * width * hidden)
  attention = 4 * (JOINTS + frames) * width
  ends = options["dim_in"] * width + width * rep + 3 * rep
  return 2 * clips * frames * JOINTS * (layers * (stages + 4 * width + attention) + ends)


def objective(model, params, x, targets):
  """MotionBERT's loss."""
  poses = model.apply({"params": params}, x, train=True)
  valid = jnp.ones(targets.shape[:2], bool)
  further, _ = motion_terms.weighted(poses, targets, valid, SKELETON, WEIGHTS)
  return losses.mpjpe(poses, targets).mean() + further


def step(params, moments, x, targets, *, model, tx):
  """One training step: new parameters, new moments, loss."""
  loss, grads = jax.value_and_grad(functools.partial(objective, model))(params, x, targets)
  updates, moments = tx.update(grads, moments, params)
  return optax.apply_updates(params, updates), moments, loss


def batch(options: dict, frames: int, clips: int) -> tuple[np.ndarray, np.ndarray]:
  """Random inputs [B, T, J, C] and targets [B, T, J, 3]: speed does not depend on what they are."""
  rng = np.random.default_rng(0)
  x = rng.normal(0, 0.5, (clips, frames, JOINTS, options["dim_in"]))
  return x.astype(np.float32), rng.normal(0, 0.3, (clips, frames, JOINTS, 3)).astype(np.float32)


def variables(model, options: dict) -> dict:
  """Random values for all: initial ones are constants in fusion, norms and biases, which would hide differences."""
  shapes = jax.eval_shape(model.init, jax.random.key(0), batch(options, 2, 1)[0])
  rng = np.random.default_rng(1)

  def draw(path, leaf):
    return rng.normal("scale" in jax.tree_util.keystr(path), 0.03, leaf.shape).astype(np.float32)

  return jax.tree_util.tree_map_with_path(draw, shapes)


def lower(model, kind: str, x, targets):
  """The program of jaxpose's side, not compiled, without arrays."""
  shapes = jax.eval_shape(model.init, jax.random.key(0), x)
  if kind == "inference":
    return jax.jit(model.apply).lower(shapes, x)
  tx = optax.adamw(LEARNING_RATE, weight_decay=WEIGHT_DECAY)
  bound = functools.partial(step, model=model, tx=tx)
  return jax.jit(bound, donate_argnums=(0, 1)).lower(
    shapes["params"], jax.eval_shape(tx.init, shapes["params"]), x, targets
  )


def compiled(model, kind: str, x, targets) -> tuple[jax.stages.Compiled, dict]:
  """The program, and seconds to trace and to compile it, by the clock and of the processor."""
  clock = lambda: np.array([time.perf_counter(), time.process_time()])  # noqa: E731
  began = clock()
  lowered = lower(model, kind, x, targets)
  traced = clock()
  program = lowered.compile()
  ended = clock()
  seconds = dict(zip(("compile_s", "compile_cpu_s"), (ended - traced).tolist()))
  return program, {"trace_s": float((traced - began)[0]), **seconds}


def ours(program, weights: dict, kind: str, x, targets) -> Callable[[], jax.Array]:
  """A function that runs the program once and gives its poses, or its loss."""
  x, targets, params = jnp.asarray(x), jnp.asarray(targets), jax.tree.map(jnp.array, weights["params"])
  if kind == "inference":
    return lambda: program({"params": params}, x)
  state = [params, jax.jit(optax.adamw(LEARNING_RATE, weight_decay=WEIGHT_DECAY).init)(params)]

  def run():
    *state[:], loss = program(*state, x, targets)
    return loss

  return run


def theirs(weights: dict, side: str, kind: str, heads: int, dtype: str, x, targets) -> Callable[[], "torch.Tensor"]:
  """`ours` in PyTorch, on a GPU if there is one."""
  device = "cuda" if torch.cuda.is_available() else "cpu"
  net = dstformer_torch.load(weights, num_heads=heads, fused=side != "torch", device=device)
  x, targets = torch.from_numpy(x).to(device), torch.from_numpy(targets).to(device)
  call = torch.compile(net, dynamic=False) if side == "torch_compile" else net
  if kind == "inference":
    return functools.partial(dstformer_torch.inference(call, dtype), x)
  return functools.partial(dstformer_torch.training(call, dtype, LEARNING_RATE, WEIGHT_DECAY), x, targets)


def wait(output) -> None:
  """Until the device has finished."""
  if isinstance(output, jax.Array):
    output.block_until_ready()
  elif output.is_cuda:
    torch.cuda.synchronize()


def repeated(run: Callable, calls: int) -> None:
  for _ in range(calls):
    output = run()
  wait(output)


def seconds_of(run: Callable) -> float:
  began = time.perf_counter()
  repeated(run, 1)
  return time.perf_counter() - began


def to_numpy(output) -> np.ndarray:
  return np.asarray(output if isinstance(output, jax.Array) else output.detach().cpu().numpy(), np.float64)


def start(sides: dict[str, Callable]) -> tuple[dict, dict, dict, dict]:
  """Builds and runs each side once: functions, first outputs, PyTorch's peak megabytes, and why a side is missing."""
  runs, outputs, peaks, missing = {}, {}, {}, {}
  for name, build in sides.items():
    on_gpu = name != "jaxpose" and torch.cuda.is_available()
    try:
      run = build()
      if on_gpu:
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
      outputs[name] = to_numpy(run())
    except Exception as error:  # no compiler, no memory: the other sides are still worth measuring
      if name == "jaxpose":
        raise
      missing[name] = f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"
      continue
    runs[name] = run
    if on_gpu:
      peaks[name] = (torch.cuda.max_memory_allocated() - before) / 1e6
  return runs, outputs, peaks, missing


def differences(outputs: dict[str, np.ndarray], dtype: str, where: str) -> dict[str, float]:
  """Largest difference of each side's output from jaxpose's, over jaxpose's largest; an error if float32 disagrees."""
  reference = outputs["jaxpose"]
  relative = {
    k: float(np.abs(v - reference).max() / np.abs(reference).max()) for k, v in outputs.items() if k != "jaxpose"
  }
  for name, difference in relative.items():
    if dtype == "float32" and not difference < 1e-2:  # a TF32 product has 1e-3
      raise ValueError(f"{where}: {name} differs from jaxpose by {difference:.2g} of the largest; nothing is measured")
  return relative


def measure(options: dict, kind: str, dtype: str, frames: int, clips: int, flags, peak: dict[str, float]) -> dict:
  """One row of the table."""
  model = dstformer.create(**options, dtype=dtype, attention=flags.attention, remat=flags.remat)
  x, targets = batch(options, frames, clips)
  weights = variables(model, options)
  program, row = compiled(model, kind, x, targets)
  sides = {"jaxpose": functools.partial(ours, program, weights, kind, x, targets)}
  for name in flags.sides:
    sides[name] = functools.partial(theirs, weights, name, kind, options["num_heads"], dtype, x, targets)
  runs, outputs, peaks, missing = start(sides)
  row["difference"] = differences(outputs, dtype, f"{kind}, {dtype}, {frames}x{clips}")
  repeated(runs["jaxpose"], 1)  # the second call may still allocate
  # Long enough for the clock, and the same number for all.
  calls = int(np.clip(np.ceil(flags.block_s / max(seconds_of(run) for run in runs.values())), 1, 200))
  blocks = {name: functools.partial(repeated, run, calls) for name, run in runs.items()}
  both = alternate(blocks, flags.rounds, lambda: np.array([time.perf_counter(), time.process_time()]))
  wall, busy = ({name: [t[i] / calls for t in taken] for name, taken in both.items()} for i in (0, 1))
  row["calls"] = calls
  row["ms"] = {name: 1e3 * np.median(s) for name, s in wall.items()}
  row["fastest_ms"] = {name: 1e3 * min(s) for name, s in wall.items()}
  row["cpu_ms"] = {name: 1e3 * np.median(s) for name, s in busy.items()}
  row["clips_per_s" if kind == "inference" else "steps_per_s"] = {
    name: (clips if kind == "inference" else 1) / np.median(s) for name, s in wall.items()
  }
  for name in list(runs)[1:]:
    ratios = np.divide(wall[name], wall["jaxpose"])
    row[f"{name}_over_jaxpose"] = {"median": np.median(ratios), "least": ratios.min(), "most": ratios.max()}
    row[f"{name}_over_jaxpose_cpu"] = np.median(np.divide(busy[name], busy["jaxpose"]))
  count = operations(options, frames, clips) * (1 if kind == "inference" else 3)
  row["gflop"] = count / 1e9
  row["flop_per_s"] = {name: count / np.median(s) for name, s in wall.items()}
  for limit, rate in peak.items():
    row[f"mfu_{limit}"] = {name: count / np.median(s) / rate for name, s in wall.items()}
  memory = program.memory_analysis()
  row["temporary_mb"] = {"jaxpose": memory.temp_size_in_bytes / 1e6, **peaks}
  row["missing"] = missing
  return row


def product_rate(dtype: str) -> float:
  """Operations a second of a product of square matrices, best of five."""
  size = 8192 if jax.default_backend() == "gpu" else 2048
  a = jnp.ones((size, size), dtype)
  run = jax.jit(lambda a: a @ a)
  jax.block_until_ready(run(a))
  return 2 * size**3 / min(alternate({"": lambda: run(a).block_until_ready()}, 5)[""])


def peaks(dtype: str, exact: bool) -> dict[str, float]:
  """What MFU is measured against: the measured rate, and the data sheet's where the device is known."""
  known = {"measured": product_rate(dtype)}
  kind = jax.devices()[0].device_kind
  sheet = next((rates for name, rates in DATA_SHEETS.items() if name in kind), None)
  if sheet:
    known["data_sheet"] = sheet["tf32" if dtype == "float32" and not exact else dtype]
  return known


def count_check(options: dict, frames: int, clips: int) -> dict[str, float]:
  """XLA's count of the programs' operations over `operations`; without scan, whose body XLA counts once."""
  model = dstformer.create(**options, unroll=options["depth"], remat="none", attention="xla")
  x, targets = batch(options, frames, clips)
  counted = operations(options, frames, clips)
  ratios = {}
  for kind, times in (("inference", 1), ("training", 3)):
    analysis = lower(model, kind, x, targets).cost_analysis() or {}
    if "flops" in analysis:
      ratios[kind] = analysis["flops"] / (times * counted)
  return ratios


def full_size(name: str, flags) -> dict:
  """How long a training step of a preset at its full length takes to compile, in this process, from nothing."""
  options = sizes(name)
  model = dstformer.create(**options, attention=flags.attention, remat=flags.remat)
  program, seconds = compiled(model, "training", *batch(options, options["maxlen"], 1))
  megabytes = program.memory_analysis().temp_size_in_bytes / 1e6
  return {"preset": name, "frames": options["maxlen"], "clips": 1, **seconds, "temporary_mb": megabytes}


def sizes(preset: str) -> dict:
  if preset not in dstformer.PRESETS:
    raise ValueError(f"presets has {preset!r}, expected some of {', '.join(dstformer.PRESETS)}")
  return dict(dstformer.PRESETS[preset])


def table(rows: list[dict]) -> str:
  """Milliseconds a call, ratios and MFU as Markdown."""
  sides = list(dict.fromkeys(name for row in rows for name in row["ms"]))
  head = ["preset", "kind", "dtype", "frames x clips", *(f"{s}, ms" for s in sides)]
  head += [f"{s} over jaxpose" for s in sides[1:]] + ["... processor time", "MFU, jaxpose", "largest difference"]
  lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
  for row in rows:
    cells = [row["preset"], row["kind"], row["dtype"], f"{row['frames']} x {row['clips']}"]
    cells += [f"{row['ms'][s]:.1f}" if s in row["ms"] else "" for s in sides]
    ratios = [row.get(f"{s}_over_jaxpose") for s in sides[1:]]
    cells += [f"{r['median']:.2f} [{r['least']:.2f}, {r['most']:.2f}]" if r else "" for r in ratios]
    shares = [row[f"{s}_over_jaxpose_cpu"] for s in sides[1:] if f"{s}_over_jaxpose_cpu" in row]
    cells += [", ".join(f"{s:.2f}" for s in shares), f"{100 * row['mfu_measured']['jaxpose']:.0f} %"]
    cells.append(f"{max(row['difference'].values(), default=0):.1e}")
    lines.append("| " + " | ".join(cells) + " |")
  return "\n".join(lines)


def plot(result: dict, path: pathlib.Path) -> None:
  """Operations a second of every side, beside that of a large product of matrices: comparable between sizes."""
  matplotlib.use("Agg")
  import matplotlib.pyplot as plt

  kinds = [kind for kind in ("inference", "training") if any(row["kind"] == kind for row in result["rows"])]
  figure, panels = plt.subplots(1, len(kinds), figsize=(5.5 * len(kinds), 3.8), layout="constrained", squeeze=False)
  for panel, kind in zip(panels[0], kinds):
    rows = [row for row in result["rows"] if row["kind"] == kind]
    sides = list(dict.fromkeys(name for row in rows for name in row["flop_per_s"]))
    for i, side in enumerate(sides):
      heights = [row["flop_per_s"].get(side, np.nan) / 1e9 for row in rows]
      panel.bar(np.arange(len(rows)) + 0.2 * (i - (len(sides) - 1) / 2), heights, 0.18, label=side)
    limits = [result["peaks"][row["dtype"]]["measured"] / 1e9 for row in rows]
    panel.hlines(limits, np.arange(len(rows)) - 0.4, np.arange(len(rows)) + 0.4, "gray", "dashed", label="product")
    labels = [f"{row['preset']}\n{row['dtype']}\n{row['frames']} x {row['clips']}" for row in rows]
    panel.set_xticks(range(len(rows)), labels, fontsize=6)
    panel.set(ylabel="GFLOP/s", title=f"{kind}, {result['device']}")
  figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=5)
  figure.savefig(path, dpi=120)
  plt.close(figure)


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
  names = lambda text: [name for name in text.split(",") if name]  # noqa: E731
  grid = lambda text: [tuple(map(int, point.split("x"))) for point in names(text)]  # noqa: E731
  backend = "cpu" if jax.default_backend() == "cpu" else "gpu"
  parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument("--output", type=pathlib.Path, required=True, help="the JSON to write; the plot goes beside it")
  parser.add_argument("--grid", type=grid, default=GRIDS[backend], help="frames x clips, with commas between")
  parser.add_argument("--presets", type=names, default="motionbert_lite" + ",motionbert" * (backend == "gpu"))
  parser.add_argument("--dtypes", type=names, default="float32" + ",bfloat16" * (backend == "gpu"))
  parser.add_argument("--kinds", type=names, default="inference,training")
  parser.add_argument("--sides", type=names, default=",".join(SIDES[: 3 if backend == "gpu" else 2]), help="PyTorch's")
  parser.add_argument("--rounds", type=int, default=5)
  parser.add_argument("--block_s", type=float, default=0.2, help="seconds of calls between two looks at the clock")
  parser.add_argument("--threads", type=int, default=0, help="PyTorch's threads on the CPU; 0 leaves its default")
  parser.add_argument(
    "--attention", choices=("xla", "cudnn"), help="jaxpose's attention; the default is its own choice"
  )
  parser.add_argument("--remat", default="dots", choices=tuple(dstformer.REMAT))
  parser.add_argument("--exact", action="store_true", help="no TF32 in float32 products, on either side")
  parser.add_argument(
    "--full_size", default="motionbert", help="the preset whose compile time is taken; empty for none"
  )
  return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
  os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # PyTorch needs memory of the GPU too
  flags = arguments(argv)
  if unknown := [name for name in flags.sides if name not in SIDES]:
    raise ValueError(f"sides has {unknown[0]!r}, expected some of {', '.join(SIDES)}")
  result: dict = {"rows": []}
  if torch is None:
    result["without"] = dict.fromkeys(flags.sides, "torch is not installed")
    flags.sides = []
  else:
    if torch.cuda.is_available() and not flags.exact:
      torch.set_float32_matmul_precision("high")
    if flags.threads:
      torch.set_num_threads(flags.threads)
  device = jax.devices()[0]
  result |= {
    "device": f"{device.platform} {device.device_kind}", "date": datetime.date.today().isoformat(),
    "versions": {
      "python": platform.python_version(), "jax": jax.__version__, "torch": getattr(torch, "__version__", None),
    },
    "settings": {
      "rounds": flags.rounds, "attention": flags.attention, "remat": flags.remat, "exact": flags.exact,
      "torch_threads": torch and torch.get_num_threads(), "XLA_FLAGS": os.environ.get("XLA_FLAGS", ""),
    },
  }  # fmt: skip
  with jax.default_matmul_precision("highest") if flags.exact else contextlib.nullcontext():
    if flags.full_size:
      result["full_size"] = full_size(flags.full_size, flags)
      print(result["full_size"], flush=True)
    result["peaks"] = {dtype: peaks(dtype, flags.exact) for dtype in flags.dtypes}
    result["xla_over_counted"] = {name: count_check(sizes(name), *flags.grid[0]) for name in flags.presets}
    for preset in flags.presets:
      for dtype in flags.dtypes:
        for frames, clips in flags.grid:
          for kind in flags.kinds:
            what = {"preset": preset, "kind": kind, "dtype": dtype, "frames": frames, "clips": clips}
            row = measure(sizes(preset), kind, dtype, frames, clips, flags, result["peaks"][dtype])
            result["rows"].append(what | row)
            print(table(result["rows"][-1:]).splitlines()[-1], row["missing"] or "", flush=True)
            save(result, flags.output)
            gc.collect()
            if torch is not None and torch.cuda.is_available():
              torch.cuda.empty_cache()
  print(table(result["rows"]))
  plot(result, flags.output.with_suffix(".png"))


if __name__ == "__main__":
  main()
