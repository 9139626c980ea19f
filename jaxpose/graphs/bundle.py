"""A graph as a folder that runs without this library: signature, program, weights, an example, recipe and a loader.

The program is a cache: JAX reads it for about six months, on CPUs, GPUs and TPUs. Weights and recipe last, and
`refresh` makes it anew from them. Weights are arguments of the program, so that its size does not depend on theirs.
"""

import hashlib
import importlib.metadata
import io
import json
import os
import pathlib
import shutil
import warnings
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import export

from jaxpose import adaptation, evaluate, experiment, keypoints, lifting, placing, safetensors_file, weights, whole_file
from jaxpose.adapt import settings
from jaxpose.adapt.settings import AdaptConfig
from jaxpose.data.clip import Clip
from jaxpose.experiment import Trained
from jaxpose.graphs import adapted, lift, load
from jaxpose.graphs import graph as graphs
from jaxpose.graphs.graph import InferenceGraph
from jaxpose.keypoints import sample
from jaxpose.models import lifter as lifters

PLATFORMS = ("cpu", "cuda", "tpu")
NAMES = ("lift", "adapted", "stream", "hypotheses")
TOLERANCE_M = 1e-5  # of the example, on another machine or JAX
_EXAMPLE, _RECIPE, _LOADER = "example.npz", "recipe.json", "load.py"


class Recipe(NamedTuple):
  """Which graph of a run: its name, whether it averages over the mirrored input, and how it adapts."""

  graph: str = "lift"
  flip: bool = True
  adapt: AdaptConfig | None = None


def recipe(graph: str = "lift", flip: bool = True, adapt: AdaptConfig | None = None) -> Recipe:
  """A checked Recipe; graphs that adapt do so as recommended unless told otherwise."""
  if graph not in NAMES:
    raise ValueError(f"graph={graph!r}, expected one of {', '.join(NAMES)}")
  mode = {"adapted": "vanilla", "stream": "online"}.get(graph)
  if adapt is not None and adapt.mode != mode:
    raise ValueError(f"graph {graph!r} with mode {adapt.mode!r}; 'adapted' has vanilla, 'stream' online, others none")
  return Recipe(graph, flip, settings.RECOMMENDED[mode] if mode and adapt is None else adapt)


def build(trained: Trained, chosen: Recipe) -> InferenceGraph:
  """The graph of a run that a recipe names. Raises ValueError where the run's method has none such."""
  if chosen.adapt is None:
    graph = trained.method.graphs.get(chosen.graph)
    if graph is None:
      has = ", ".join(n for n in NAMES if n in (*trained.method.graphs, "adapted", "stream"))
      raise ValueError(f"method {trained.method.name!r} has no graph {chosen.graph!r}; it has {has}")
    return lift.flipped(graph) if chosen.flip and chosen.graph == "lift" else graph
  adaptation.check_adaptable(trained, chosen.adapt)
  first = chosen.adapt.optimizer != "gauss_newton"
  known = adaptation.known(trained, chosen.adapt, [""])
  options: dict[str, Any] = dict(
    parts=tuple(trained.variables["params"]) if first else trained.method.graphs["lift"].parts,
    window=trained.config.window,
    known=None if known is None else jax.tree.map(lambda x: x[0], known),
    random=first,
  )
  made = adaptation.build(trained, chosen.adapt)
  if chosen.graph == "adapted":
    return adapted.adapted(trained.codec, made, **options)
  return adapted.stream(trained.codec, made, trained.variables, **options)


def write(folder: str | os.PathLike, trained: Trained, chosen: Recipe) -> int:
  """Writes the graph that a recipe names, and returns the bytes of its program. The folder comes whole or not at all.

  Raises ValueError where the run has no such graph, and FileExistsError for a folder that holds anything else.
  """
  folder = pathlib.Path(folder)
  if folder.exists() and not (folder / load.SIGNATURE).is_file() and (not folder.is_dir() or any(folder.iterdir())):
    raise FileExistsError(f"{folder} exists and is no exported graph; give another --output, as NAME.jaxpose")
  graph = build(trained, chosen)
  variables = lifters.parts(trained.variables, *graph.parts)
  arrays = example(graph)
  described = {"run": {**experiment.describe(trained), "step": trained.step}, **_told(chosen)}
  files = {
    load.PROGRAM: program(graph, variables),
    _RECIPE: (json.dumps(described, indent=1) + "\n").encode(),
    _EXAMPLE: _npz(arrays, graphs.call(graph, variables, **load.checked(graph.inputs, arrays, graph.sizes))),
  }
  temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
  try:
    for name, content in files.items():
      whole_file.write(temporary / name, content)
    safetensors_file.write(temporary / load.WEIGHTS, weights.named(variables))
    shutil.copyfile(load.__file__, temporary / _LOADER)
    signature = _signature(graph, {n: _digest(temporary / n) for n in (*files, load.WEIGHTS)})
    whole_file.write(temporary / load.SIGNATURE, (json.dumps(signature, indent=1) + "\n").encode())
    if folder.exists():
      shutil.rmtree(folder)
    temporary.rename(folder)
  except BaseException:
    shutil.rmtree(temporary, ignore_errors=True)
    raise
  return len(files[load.PROGRAM])


def refresh(folder: str | os.PathLike) -> int:
  """Writes a folder's program anew, with this JAX, from its recipe and its weights; `write` says what it returns.

  Raises ValueError for a recipe or weights that are damaged.
  """
  trained, chosen = read(folder)
  return write(folder, trained, chosen)


def read(folder: str | os.PathLike) -> tuple[Trained, Recipe]:
  """The run, as far as its graph needs it, and the recipe of a folder."""
  folder = pathlib.Path(folder)
  try:
    stored = json.loads((folder / _RECIPE).read_text(encoding="utf-8"))
    adapt: dict[str, Any] = {**stored["adapt"], "groups": tuple(stored["adapt"]["groups"])} if stored["adapt"] else {}
    chosen = recipe(stored["graph"], stored["flip"], AdaptConfig(**adapt) if adapt else None)
    described, step = stored["run"], int(stored["run"]["step"])
  except (ValueError, KeyError, TypeError) as error:
    raise ValueError(f"{folder / _RECIPE} is no recipe of a graph ({error}); export it again") from error
  restore = weights.restoring(folder / load.WEIGHTS, partial=True)
  return experiment.assemble(described, step, restore), chosen


def predict(
  folder: str | os.PathLike, clips: Sequence[Clip], *, window: int = 1, overlap: int = 0, batch_size: int = 4096
) -> list[np.ndarray]:
  """`evaluate.predict` by the program in a folder: metres [T, J, 3] a clip, of a graph with `positions`, seed 0.

  The view is mirrored where that was exported with it.
  """
  run = load.load(folder)
  names = {port["name"] for port in run.signature["inputs"]}  # pyrefly: ignore[missing-attribute]
  rows = evaluate.cut(clips, window, overlap=overlap)
  arrays = {**graphs.arrays_of(rows.batch), "seed": graphs.seeds(len(rows.clip))}
  taken = {name: np.asarray(x) for name, x in arrays.items() if name in names}
  poses = evaluate.in_batches(lambda batch: run(**batch)["positions"], taken, max(1, batch_size // window))
  return evaluate.scatter(clips, rows, poses, overlap)


def program(graph: InferenceGraph, variables: Any) -> bytes:
  """The program (weights, arrays) -> outputs, for any number of rows, and of frames unless fixed; deflated."""

  def function(named, arrays):
    return graph.run(weights.nested(named), arrays)

  named = {name: jax.ShapeDtypeStruct(x.shape, x.dtype) for name, x in weights.named(variables).items()}
  arrays = symbolic(graph)
  with warnings.catch_warnings():
    warnings.filterwarnings("ignore", ".*donated.*")
    return zlib.compress(bytes(export.export(jax.jit(function), platforms=PLATFORMS)(named, arrays).serialize()), 9)


def symbolic(graph: InferenceGraph) -> dict[str, jax.ShapeDtypeStruct]:
  """Shapes of a graph's inputs, of any number of rows, and of frames unless fixed."""
  names = {axis for port in graph.inputs for axis in port.axes if isinstance(axis, str)}
  scope = export.SymbolicScope([] if graph.longest is None else [f"frames <= {graph.longest}"])
  sizes = {**{n: export.symbolic_shape(n, scope=scope)[0] for n in sorted(names)}, **graph.sizes}
  shapes = {port.name: [sizes[a] if isinstance(a, str) else a for a in port.axes] for port in graph.inputs}
  return {port.name: jax.ShapeDtypeStruct(shapes[port.name], jnp.dtype(port.dtype)) for port in graph.inputs}


def example(graph: InferenceGraph, count: int = 3) -> dict[str, np.ndarray]:
  """Inputs for a graph: the first rows of the bundled keypoints."""
  facts = {"image_size": sample.SIZE, "fps": sample.FPS, "frames": sample.FRAMES}
  tracks = lifting.mapped_to(keypoints.read(sample.FILES["alphapose"], **facts), graph.codec.skeleton)
  _, clips = lifting.cut(tracks, placing.assumed_camera(sample.SIZE))
  rows = evaluate.cut([max(clips, key=len)], graph.frames or 1)
  chosen = rows._replace(batch=jax.tree.map(lambda x: x[:count], rows.batch), clip=rows.clip[:count])
  arrays = evaluate.inputs_of(graph, chosen)
  if graph.takes("begin"):
    arrays["begin"] = np.ones(len(chosen.clip), bool)
  return arrays


def _told(chosen: Recipe) -> dict[str, Any]:
  adapt = None if chosen.adapt is None else json.loads(chosen.adapt.key())
  return {"graph": chosen.graph, "flip": chosen.flip, "adapt": adapt}


def describe(graph: InferenceGraph) -> dict[str, Any]:
  """What whoever runs a program must know: ports, sizes, joints and codec."""
  skeleton = graph.codec.skeleton
  return {
    "graph": graph.name,
    "inputs": [port._asdict() for port in graph.inputs],
    "outputs": [port._asdict() for port in graph.outputs],
    "sizes": graph.sizes,
    "longest": graph.longest,
    "joints": {"set": skeleton.name, "names": list(skeleton.names), "parents": list(skeleton.parents)},
    "codec": graph.codec.to_json(),
  }


def _signature(graph: InferenceGraph, hashes: Mapping[str, str]) -> dict[str, Any]:
  signature = {
    "format": load.FORMAT,
    **describe(graph),
    "tolerance_m": TOLERANCE_M,
    "platforms": list(PLATFORMS),
    "written_with": {name: importlib.metadata.version(name) for name in ("jax", "jaxlib", "jaxpose")},
    "sha256": dict(sorted(hashes.items())),
  }
  signature = json.loads(json.dumps(signature))  # tuples as JSON has them
  return {**signature, "digest": load.digest(signature)}


def _digest(path: pathlib.Path) -> str:
  return hashlib.sha256(path.read_bytes()).hexdigest()


def _npz(inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> bytes:
  buffer = io.BytesIO()
  named: dict[str, Any] = {f"inputs/{n}": np.asarray(x) for n, x in inputs.items()}
  named |= {f"outputs/{n}": np.asarray(x) for n, x in outputs.items()}
  np.savez(buffer, **named)
  return buffer.getvalue()
