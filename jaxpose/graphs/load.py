"""Runs a program that `launch.export` wrote, with jax, numpy and flatbuffers alone; a copy lies in every such folder.

  from load import load
  lift = load("NAME.jaxpose")
  lift(keypoints_2d=..., focal=..., center=..., size=...)["positions"]

What goes in and out stands in `lift.signature`. Python that runs on JAX: a folder whose files changed after they were
written is refused, but whoever writes a folder anew may write any program into it. Take them from whom you trust.
"""

import hashlib
import json
import math
import os
import pathlib
import re
import zlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

FORMAT = 1
SIGNATURE, PROGRAM, WEIGHTS = "signature.json", "graph.bin", "weights.safetensors"
CALLS = ("shape_assertion", "cu_threefry2x32_ffi")  # that a program may make outside of itself
_FIELDS = {"sha256": dict, "sizes": dict, "longest": int | None, "inputs": list, "outputs": list, "written_with": dict}
_TYPES = {"F32": "<f4", "I32": "<i4", "U32": "<u4", "BOOL": "?"}
_REFRESH = "python -m launch.export --refresh --output={folder} writes its program anew, with jaxpose"


class Port(NamedTuple):
  """An array that goes in or out. axes: names, whose sizes agree over all ports, and fixed sizes; unit: "1" for none.

  default: what an input that is not given is filled with; None where it must be given.
  """

  name: str
  axes: tuple[str | int, ...]
  dtype: str = "float32"
  unit: str = "1"
  meaning: str = ""
  default: float | None = None

  @property
  def optional(self) -> bool:
    return self.default is not None


def checked(
  ports: Iterable[Port],
  arrays: Mapping[str, Any],
  sizes: Mapping[str, int],
  longest: int | None = None,
  fill: bool = True,
) -> dict[str, Any]:
  """The inputs by name, with defaults in place of those not given where `fill` asks for it.

  sizes: of the axes that are fixed; longest: how many frames there may be. Raises ValueError, naming port and axis, for
  a name that is no port's, a missing array, another dtype, rank or size, and for numbers that are not finite.
  """
  ports, sizes = list(ports), dict(sizes)
  known = ", ".join(f"{p.name}{'=' if p.optional else ''}" for p in ports)
  for name in arrays:
    if name not in [p.name for p in ports]:
      raise ValueError(f"there is no input {name!r}; there are {known}")
  given: dict[str, Any] = {}
  for port in ports:
    if port.name in arrays:
      given[port.name] = _array(port, arrays[port.name], sizes)
    elif not port.optional:
      raise ValueError(f"input {port.name!r} is missing ({port.meaning}); the inputs are {known}")
  if longest is not None and sizes.get("frames", 0) > longest:
    raise ValueError(f"axis 'frames' has size {sizes['frames']}, and at most {longest} go in; cut it into windows")
  for port in ports:
    if fill and port.name not in given:
      shape = [sizes[a] if isinstance(a, str) else a for a in port.axes]
      given[port.name] = np.full(shape, port.default, port.dtype)
  return given


def _array(port: Port, array: Any, sizes: dict[str, int]) -> Any:
  """The array, after its axes' names were given their sizes in `sizes`."""
  array = array if hasattr(array, "dtype") and hasattr(array, "shape") else np.asarray(array)
  axes = ", ".join(map(str, port.axes))
  if str(array.dtype) != port.dtype:
    raise ValueError(f"input {port.name!r} has dtype {array.dtype}, expected {port.dtype}")
  if len(array.shape) != len(port.axes):
    raise ValueError(f"input {port.name!r} has shape {tuple(array.shape)}, expected the axes [{axes}]")
  for place, (axis, size) in enumerate(zip(port.axes, array.shape)):
    wanted = sizes.setdefault(axis, size) if isinstance(axis, str) else axis
    if size != wanted or size < 1:
      name = f"{axis!r} (axis {place})" if isinstance(axis, str) else f"{place}"
      raise ValueError(f"input {port.name!r}: axis {name} has size {size}, expected {max(wanted, 1)}, of [{axes}]")
  if isinstance(array, np.ndarray) and array.dtype.kind == "f" and not np.isfinite(array).all():
    place = tuple(np.argwhere(~np.isfinite(array))[0].tolist())
    raise ValueError(f"input {port.name!r} holds NaN or infinity at {place}; give a missing joint confidence 0")
  return array


def load(folder: str | os.PathLike) -> Callable[..., dict[str, np.ndarray]]:
  """The program in a folder: arrays by the names of its inputs -> {name of an output: array}.

  It is compiled anew for every size of batch and frames, at the first call. Raises ValueError for a folder in which
  something is missing, has changed, or disagrees, before anything runs, and for a program older or newer than this JAX
  reads.
  """
  folder = pathlib.Path(folder)
  signature = _signature(folder)
  for name, wanted in signature["sha256"].items():
    if hashlib.sha256(_bytes(folder / name)).hexdigest() != wanted:
      raise ValueError(f"{folder / name} is not the file that was written; copy or export the folder again")
  inputs, outputs = (_ports(signature[name], folder) for name in ("inputs", "outputs"))
  weights = _weights(folder / WEIGHTS)
  exported = _program(folder, signature)
  _check_program(folder, exported, weights, inputs, signature["sizes"], {port.name for port in outputs})
  call, weights = jax.jit(exported.call), jax.device_put(weights)

  def run(**arrays: Any) -> dict[str, np.ndarray]:
    results = call(weights, checked(inputs, arrays, signature["sizes"], signature["longest"]))
    return {name: np.asarray(value) for name, value in results.items()}

  run.__dict__.update(signature=signature)
  return run


def digest(signature: Mapping[str, Any]) -> str:
  """SHA-256 of what a signature says, but for this number itself."""
  signed = {name: value for name, value in signature.items() if name != "digest"}
  return hashlib.sha256(json.dumps(signed, sort_keys=True).encode()).hexdigest()


def _signature(folder: pathlib.Path) -> dict[str, Any]:
  path = folder / SIGNATURE
  try:
    signature = json.loads(_bytes(path))
  except ValueError as error:
    raise ValueError(f"{path} is no JSON ({error}); copy or export the folder again") from error
  if not isinstance(signature, dict) or signature.get("format") != FORMAT:
    version = signature.get("format") if isinstance(signature, dict) else type(signature).__name__
    raise ValueError(
      f"{path} has format {version!r}, expected {FORMAT}; export the folder again, or use its own load.py"
    )
  for name, kind in _FIELDS.items():
    if name not in signature or not isinstance(signature[name], kind):
      raise ValueError(f"{path} lacks {name!r}, a {getattr(kind, '__name__', kind)}; copy or export the folder again")
  if signature.get("digest") != digest(signature):
    raise ValueError(f"{path} is not what was written; copy or export the folder again")
  for name in (PROGRAM, WEIGHTS):
    if name not in signature["sha256"]:
      raise ValueError(f"{path} names no hash of {name}; export the folder again")
  for name in signature["sha256"]:
    if pathlib.PurePath(name).name != name:
      raise ValueError(f"{path} names {name!r}, which is outside of its folder")
  return signature


def _bytes(path: pathlib.Path) -> bytes:
  try:
    return path.read_bytes()
  except OSError as error:
    raise ValueError(f"{path} cannot be read ({error.strerror}); copy or export the folder again") from error


def _ports(described: list[Any], folder: pathlib.Path) -> list[Port]:
  try:
    ports = [Port(*(port[name] for name in Port._fields)) for port in described]
    return [port._replace(axes=tuple(port.axes)) for port in ports]
  except (TypeError, KeyError, ValueError) as error:
    raise ValueError(f"{folder / SIGNATURE} describes no port by {described!r} ({error})") from error


def _weights(path: pathlib.Path) -> dict[str, np.ndarray]:
  """The tensors of a safetensors file: eight bytes of length, a JSON header of places, then the numbers."""
  content = _bytes(path)
  try:
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    tensors = {}
    for name, entry in header.items():
      if name != "__metadata__":
        (start, stop), shape, kind = entry["data_offsets"], entry["shape"], np.dtype(_TYPES[entry["dtype"]])
        if not 0 <= start <= stop <= len(content) - 8 - size or stop - start != kind.itemsize * math.prod(shape):
          raise ValueError(f"{name!r} lies outside of the file, or has another shape")
        tensors[name] = np.frombuffer(content, kind, math.prod(shape), 8 + size + start).reshape(shape)
    return tensors
  except (ValueError, KeyError, TypeError, AttributeError) as error:
    raise ValueError(f"{path} is no readable safetensors file ({error}); copy or export the folder again") from error


def _program(folder: pathlib.Path, signature: Mapping[str, Any]) -> Any:
  try:
    import flatbuffers as flatbuffers  # jax.export asks for it in words that name no remedy here
  except ImportError as error:
    raise ValueError("running an exported program needs flatbuffers: pip install flatbuffers") from error
  from jax import export

  try:
    exported = export.deserialize(bytearray(zlib.decompress(_bytes(folder / PROGRAM))))
    exported.mlir_module()  # a program of a newer JAX fails here and not before
    return exported
  except Exception as error:  # of any type: the format is JAX's own
    raise ValueError(
      f"{folder / PROGRAM} was written with {signature['written_with']} and cannot be read by JAX {jax.__version__} "
      f"({type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}). JAX reads programs of the last "
      f"six months; {_REFRESH.format(folder=folder)}"
    ) from error


def _check_program(
  folder: pathlib.Path, exported: Any, weights: Mapping[str, np.ndarray], inputs: list[Port], sizes, outputs: set[str]
) -> None:
  """Raises ValueError unless the program takes these weights and inputs, and calls nothing outside of itself."""
  (takes, arrays), _ = jax.tree_util.tree_unflatten(exported.in_tree, exported.in_avals)
  described = {n: (tuple(x.shape), str(x.dtype)) for n, x in takes.items()}
  stored = {n: (x.shape, str(x.dtype)) for n, x in weights.items()}
  if described != stored:
    differing = sorted(n for n in described.keys() | stored.keys() if described.get(n) != stored.get(n))
    raise ValueError(
      f"{folder / WEIGHTS}: {differing[0]!r} is {stored.get(differing[0])}, and the program takes "
      f"{described.get(differing[0])}; export the folder again"
    )
  shown = {n: ([d if isinstance(d, int) else "" for d in x.shape], str(x.dtype)) for n, x in arrays.items()}
  wanted = {p.name: ([a if isinstance(a, int) else sizes.get(a, "") for a in p.axes], p.dtype) for p in inputs}
  if shown != wanted or set(jax.tree_util.tree_unflatten(exported.out_tree, exported.out_avals)) != outputs:
    raise ValueError(f"{folder / SIGNATURE} describes other inputs or outputs than the program has; export it again")
  called = set(re.findall(r'custom_call\s*@"?([\w.$-]+)', exported.mlir_module()))
  if unknown := called - set(CALLS):
    raise ValueError(f"{folder / PROGRAM} calls {', '.join(sorted(unknown))}, and may call {', '.join(CALLS)} alone")
