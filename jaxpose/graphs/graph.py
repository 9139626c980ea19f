"""What a model computes at inference, as a value: typed inputs and outputs, and one pure function between them.

Pixels and a camera's intrinsics go in, metres come out; codec, mirroring and adaptation are inside. A graph knows
nothing of clips or files, and whoever runs it nothing of what is inside, be it evaluation, export or a server.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jaxpose.codec import Codec
from jaxpose.geometry.camera import Camera
from jaxpose.graphs.load import Port as Port
from jaxpose.graphs.load import checked

Arrays = Mapping[str, Any]
Variables = Mapping[str, Any]

SEEN = (
  Port("keypoints_2d", ("batch", "frames", "joints", 2), unit="px", meaning="x right, y down"),
  Port("focal", ("batch", 2), unit="px", meaning="focal lengths fx, fy"),
  Port("center", ("batch", 2), unit="px", meaning="principal point cx, cy"),
  Port("size", ("batch", 2), unit="px", meaning="width and height of the image"),
  Port("confidence", ("batch", "frames", "joints"), meaning="0 for a missing joint", default=1.0),
  Port("radial", ("batch", 3), meaning="distortion k1, k2, k3", default=0.0),
  Port("tangential", ("batch", 2), meaning="distortion p1, p2; with gain 2 OpenCV's p2, p1", default=0.0),
  Port("tangential_gain", ("batch",), meaning="1 for Human3.6M's formula, 2 for OpenCV's", default=1.0),
)
PRESENT = Port("present", ("batch", "frames"), "bool", meaning="False for frames that fill a window", default=1.0)
SEED = Port("seed", ("batch", 2), "uint32", meaning="of the random numbers of a row")
POSITIONS = Port(
  "positions", ("batch", "frames", "joints", 3), unit="m", meaning="root-relative, camera axes: x right, y down"
)
_INTRINSICS = ("focal", "center", "radial", "tangential", "tangential_gain", "size")


@dataclasses.dataclass(frozen=True, eq=False)
class InferenceGraph:
  """One way to use a model. Compared by identity, so that it can be a static argument of jit.

  run(variables, arrays by port name) -> arrays by port name: pure; an optional input may be absent. parts: of the
  variables, those that it uses. oracles: further inputs, which only ground truth gives; what is exported has none.
  frames: of the windows that it takes, longest: their most; None where any number will do. count: of hypotheses, where
  it gives such. mirrored: its mean over an input and its mirror image, where that is no matter of keypoints
  (`lift.flipped`).
  """

  name: str
  inputs: tuple[Port, ...]
  outputs: tuple[Port, ...]
  run: Callable[[Variables, Arrays], dict[str, Array]]
  parts: tuple[str, ...]
  codec: Codec
  oracles: tuple[Port, ...] = ()
  frames: int | None = None
  longest: int | None = None
  count: int | None = None
  mirrored: "InferenceGraph | None" = None

  @property
  def sizes(self) -> dict[str, int]:
    """Of the named axes that are fixed."""
    fixed = {"joints": self.codec.skeleton.num_joints, "frames": self.frames, "hypotheses": self.count}
    return {name: size for name, size in fixed.items() if size is not None}

  def takes(self, name: str) -> bool:
    """Whether there is an input of that name."""
    return any(port.name == name for port in (*self.inputs, *self.oracles))


def check(graph: InferenceGraph, arrays: Arrays) -> dict[str, Any]:
  """The inputs, unless one of them does not fit its port: a ValueError then names port and axis."""
  ports = *graph.inputs, *(port._replace(default=0.0) for port in graph.oracles)
  return checked(ports, arrays, graph.sizes, graph.longest, fill=False)


def call(graph: InferenceGraph, variables: Variables, **arrays: Any) -> dict[str, Array]:
  """The graph's outputs, by a compiled program, after `check`."""
  return _compiled(variables, check(graph, arrays), graph=graph)


@functools.partial(jax.jit, static_argnames="graph")
def _compiled(variables, arrays, *, graph: InferenceGraph):
  return graph.run(variables, arrays)


def arrays_of(batch: Mapping[str, Any]) -> dict[str, Any]:
  """The inputs of a batch with a Camera; of keypoints, confidence, and whatever else it holds for a graph."""
  intrinsics = {name: getattr(batch["camera"], name) for name in _INTRINSICS}
  return {**{name: value for name, value in batch.items() if name != "camera"}, **intrinsics}


def batch_of(arrays: Arrays) -> dict[str, Any]:
  """A batch with a Camera, of the inputs: the inverse of `arrays_of`, but for where the camera stands."""
  points = jnp.asarray(arrays["keypoints_2d"])
  rows = points.shape[0]
  plain = {p.name: jnp.full((rows, *p.axes[1:]), p.default or 0.0) for p in SEEN if p.name in _INTRINSICS}
  camera = {name: jnp.asarray(arrays.get(name, plain.get(name))) for name in _INTRINSICS}
  rotation = jnp.broadcast_to(np.eye(3, dtype=np.float32)[None], (rows, 3, 3))
  rest = {name: value for name, value in arrays.items() if name not in _INTRINSICS}
  confidence = jnp.asarray(arrays["confidence"]) if "confidence" in arrays else jnp.ones(points.shape[:-1])
  stands = dict(rotation=rotation, translation=jnp.zeros((rows, 3)))
  return {**rest, "keypoints_2d": points, "confidence": confidence, "camera": Camera(**camera, **stands)}


def keys(arrays: Arrays) -> jax.Array:
  """A key for each row, of the port `seed`."""
  return jax.random.wrap_key_data(jnp.asarray(arrays["seed"]), impl="threefry2x32")


def seeds(count: int, seed: int = 0) -> np.ndarray:
  """What the port `seed` takes for rows 0 to count: a row's numbers do not depend on how many rows there are."""
  rows = jax.vmap(functools.partial(jax.random.fold_in, jax.random.key(seed)))(np.arange(count))
  return np.asarray(jax.random.key_data(rows), np.uint32)
