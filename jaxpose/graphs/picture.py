"""The graph of an image network, from pixels to keypoints and poses; and that of scenes, by way of pictures of them."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxpose.codec import Codec
from jaxpose.data import transforms
from jaxpose.geometry.rotation import einsum
from jaxpose.graphs import graph as graphs
from jaxpose.graphs import lift
from jaxpose.graphs.graph import Arrays, InferenceGraph, Port, Variables
from jaxpose.synthetic import images
from jaxpose.synthetic.images import Crop

IMAGES = Port("images", ("batch", "frames", "height", "width", 3), meaning="of one person, RGB, 0 to 1")
KEYPOINTS = Port("keypoints_2d", ("batch", "frames", "joints", 2), unit="px", meaning="of the image, x right, y down")
CONFIDENCE = Port("confidence", ("batch", "frames", "joints"), meaning="0 to 1")
SPREAD = Port("spread", ("batch", "frames", "joints"), unit="px", meaning="standard deviation of a keypoint")
SCENE = (
  Port("body", ("batch", "frames", 17, 3), unit="m", meaning="h36m_17, camera axes: what is rendered"),
  Port("look", ("batch", "frames"), "int32", meaning="an index of appearance.NAMES"),
)
_LENS = graphs.SEEN[1:3]  # focal, center
_CHUNK = 64  # pictures at once

# see(variables, images [N, S, S, 3]) -> (keypoints [N, J, 2] px, confidence [N, J], more {name: [N, ...]})
See = Callable[[Variables, Any], tuple[Any, Any, dict[str, Any]]]
# pose(variables, batch, more) -> outputs [B, T, J, 3] of the codec
Pose = Callable[[Variables, dict[str, Any], dict[str, Any]], Any]


def of_images(codec: Codec, see: See, pose: Pose | None, parts: tuple[str, ...], spread: bool) -> InferenceGraph:
  """Pixels of a person's crop in; keypoints and confidences out, and with `pose` positions, which takes the lens too.

  spread: whether `see` gives that of each keypoint. Positions are in the axes of the crop's camera.
  """
  skeleton = codec.skeleton

  def run(variables: Variables, arrays: Arrays) -> dict[str, Any]:
    pictures = jnp.asarray(arrays["images"])
    rows, frames, height, width, _ = pictures.shape
    keypoints, confidence, more = see(variables, pictures.reshape(-1, height, width, 3))
    apart = lambda x: x.reshape(rows, frames, *x.shape[1:])  # noqa: E731
    result = {"keypoints_2d": apart(keypoints), "confidence": apart(confidence)}
    if spread:
      result["spread"] = apart(more["spread"])
    if pose is None:
      return result
    size = jnp.broadcast_to(np.array([[width, height]], np.float32), (rows, 2))
    batch = graphs.batch_of({**result, "focal": arrays["focal"], "center": arrays["center"], "size": size})
    positions = lift.decode(codec, pose(variables, batch, jax.tree.map(apart, more)), batch)
    return {**result, "positions": positions}

  def both(variables: Variables, arrays: Arrays) -> dict[str, Any]:
    width = arrays["images"].shape[-2]
    mirrored = {**arrays, "images": jnp.asarray(arrays["images"])[..., ::-1, :]}
    if pose is not None:
      center = jnp.asarray(arrays["center"])
      mirrored["center"] = jnp.stack([width - center[:, 0], center[:, 1]], -1)
    one, other = run(variables, arrays), run(variables, mirrored)
    order = np.array(skeleton.flip)
    back = {name: x[..., order] for name, x in other.items() if name in ("confidence", "spread")}
    points = other["keypoints_2d"][..., order, :]
    back["keypoints_2d"] = jnp.stack([width - points[..., 0], points[..., 1]], -1)
    if pose is not None:
      back["positions"] = transforms.flip_pose(other["positions"], skeleton)
    return {name: (one[name] + back[name]) / 2 for name in one}

  outputs = (KEYPOINTS, CONFIDENCE, *((SPREAD,) if spread else ()), *((graphs.POSITIONS,) if pose else ()))
  inputs = (IMAGES, *(_LENS if pose else ()))
  graph = InferenceGraph("image", inputs, outputs, run, parts, codec)
  return dataclasses.replace(graph, mirrored=dataclasses.replace(graph, run=both))


def rendered(graph: InferenceGraph, crop: Crop, name: str) -> InferenceGraph:
  """`graph` on pictures of scenes, cropped by their keypoints' box: keypoints and positions of the camera that was.

  A frame looks the same whenever it is seen. The box is of the given keypoints, as top-down detectors are scored with
  the boxes of the ground truth.
  """
  inner = dataclasses.replace(graph, mirrored=None)
  made = InferenceGraph(
    name, (*graphs.SEEN, *SCENE), graph.outputs, functools.partial(_run, graph=inner, crop=crop), graph.parts,
    graph.codec, frames=1,
  )  # fmt: skip
  if graph.mirrored is None:
    return made
  both = dataclasses.replace(made, run=functools.partial(_run, graph=graph.mirrored, crop=crop))
  return dataclasses.replace(made, mirrored=both)


def _run(variables: Variables, arrays: Arrays, *, graph: InferenceGraph, crop: Crop) -> dict[str, Any]:
  rows = len(arrays["keypoints_2d"])
  chunk = min(_CHUNK, rows)
  count = -(-rows // chunk)
  index = np.minimum(np.arange(count * chunk), rows - 1).reshape(count, chunk)
  result = jax.lax.map(
    lambda part: _chunk(variables, part, graph=graph, crop=crop),
    jax.tree.map(lambda x: jnp.asarray(x)[index], dict(arrays)),
  )
  return jax.tree.map(lambda x: x.reshape(count * chunk, *x.shape[2:])[:rows], result)


def _chunk(variables: Variables, arrays: Arrays, *, graph: InferenceGraph, crop: Crop) -> dict[str, Any]:
  batch = graphs.batch_of(arrays)
  seen = images.render(batch, None, crop, graph.codec.skeleton)
  lens = {port.name: getattr(seen["camera"], port.name) for port in _LENS if graph.takes(port.name)}
  result = graph.run(variables, {"images": seen["images"], **lens})
  result["keypoints_2d"] = images.uncropped(result["keypoints_2d"], seen["camera"], seen["turn"], batch["camera"])
  if "spread" in result:
    result["spread"] = result["spread"] * (batch["camera"].focal / seen["camera"].focal).mean(-1)[:, None, None]
  if "positions" in result:
    result["positions"] = einsum("bji,btkj->btki", seen["turn"], result["positions"])
  return result
