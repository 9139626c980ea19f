"""Learning from images: keypoints alone, keypoints and poses together, or poses straight from the image.

  weight_2d L2d(readout of the image) + weight_3d L3d(pose)

`coupling` says what the pose comes of: "none" (there is none), "gt" the true keypoints, "stop" those of the readout
without a gradient to the image network, "soft" with one, "direct" the image's features without any keypoints between.
At inference "gt", "stop" and "soft" lift the readout's keypoints alike. What is not labelled has no loss: frames of
clips without joints_3d ("labelled" is False) teach keypoints alone, missing joints nothing.
"""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxpose import heatmaps
from jaxpose.codec import Codec
from jaxpose.graphs import picture
from jaxpose.heatmaps import Readout
from jaxpose.methods import method, objectives, supervised
from jaxpose.methods.method import Batch, Method, Metrics, Variables
from jaxpose.models import heatmap
from jaxpose.models import lifter as lifters
from jaxpose.models.heatmap import Direct, ImageModel
from jaxpose.models.lifter import Lifter
from jaxpose.synthetic import images
from jaxpose.synthetic.images import Crop

COUPLINGS = ("none", "gt", "stop", "soft", "direct")
_DIFFERENTIABLE = ("integral", "direct")  # readouts whose keypoints have a gradient
_LEAST = 0.01  # confidence of a joint: an image network looks for every joint, so none counts as missing


def create(
  lifter: Lifter,
  codec: Codec,
  *,
  image: Mapping[str, Any] | None = None,
  crop: Mapping[str, Any] | None = None,
  readout: str = "dark",
  coupling: str = "none",
  weight_2d: float = 1.0,
  weight_3d: float = 1.0,
  loss: str = "l2",
  bone_weight: float = 0.0,
  scale: float = 1.0,
) -> Method:
  """An image network, its readout, and by `coupling` a lifter on it; parameters are {"image"} and {"trunk", "head"}.

  image: options of `models.heatmap.create`; crop: of `synthetic.images.Crop`, which is how training and evaluation see
  people that are rendered. A batch with "images" [B, T, S, S, 3] is taken as it is. loss, bone_weight, scale: of the
  pose, as in `supervised.term`. Graphs: "image", from pixels; "detect", and with a pose "lift", from scenes.

  The lifter's own options are the config's model_options; "direct" has none, and its parts are {"image", "pose"}.
  """
  supervised.check(loss)
  if coupling not in COUPLINGS:
    raise ValueError(f"coupling={coupling!r}; known are {', '.join(COUPLINGS)}")
  if coupling == "soft" and readout not in _DIFFERENTIABLE:
    raise ValueError(
      f"coupling='soft' needs keypoints with a gradient: a readout of {_DIFFERENTIABLE}, not {readout!r}"
    )
  seen = images.crop(**(crop or {}))
  network = heatmap.create(codec.skeleton.num_joints, readout=readout, size=(seen.size, seen.size), **(image or {}))
  pose = {"none": None, "direct": Direct(channels=codec.skeleton.num_joints, dim=3)}.get(coupling, lifter)
  parts = ("image", *{"none": (), "direct": ("pose",)}.get(coupling, ("trunk", "head")))
  shared: dict[str, Any] = dict(network=network, pose=pose, codec=codec)
  read = heatmaps.get(readout)
  see = functools.partial(_see, network=network, read=read)
  lift = None if pose is None else functools.partial(_pose, pose=pose, codec=codec)
  graph = picture.of_images(codec, see, lift, parts, read.spread is not None)
  rendered = picture.rendered(graph, seen, "detect")
  return Method(
    name="image",
    codec=codec,
    init=functools.partial(_init, crop=seen, **shared),
    loss=functools.partial(
      _loss, crop=seen, read=read, coupling=coupling, weight_2d=weight_2d, weight_3d=weight_3d,
      options=dict(kind=loss, bone_weight=bone_weight, scale=scale), **shared,
    ),
    graphs={"image": graph, "detect": rendered, **({} if lift is None else {"lift": rendered})},
    labels=method.labels,
  )  # fmt: skip


def _init(
  key: jax.Array, batch: Batch, *, network: ImageModel, pose: Lifter | Direct | None, codec: Codec, crop: Crop
) -> Variables:
  picture_key, pose_key = jax.random.split(key)
  blank = jnp.zeros((1, crop.size, crop.size, 3))
  made = {"image": dict(network.init(picture_key, blank))}
  if isinstance(pose, Direct):
    features = jax.eval_shape(lambda v: _apply(network, v, blank, False)[1], made["image"])
    made["pose"] = dict(pose.init(pose_key, jnp.zeros(features.shape)))
  merged = _by_collection(made)
  if isinstance(pose, Lifter):
    for name, tree in pose.init(pose_key, method.encode(codec, batch)).items():
      merged[name] = {**merged.get(name, {}), **tree}
  return merged


def _apply(network: ImageModel, variables: Variables, pictures: Array, train: bool) -> tuple[Any, Array, Variables]:
  """The head's output, the features [N, H, W, C] that it is of, and the new running statistics."""

  def both(module: ImageModel, pictures: Array) -> tuple[Any, Array]:
    mean, deviation = (np.array(x, np.float32).reshape(1, 1, 1, 3) for x in (heatmap.MEAN, heatmap.DEVIATION))
    features = list(module.backbone((pictures - mean) / deviation, train).values())[-1]
    return module.head(features, train), features

  changing = [c for c in variables if c != "params"]
  (output, features), state = network.apply(variables, pictures, mutable=changing, method=both)
  return output, features, dict(state)


def _see(
  variables: Variables, pictures: Float[Array, "N H W 3"], *, network: ImageModel, read: Readout
) -> tuple[Array, Array, dict[str, Array]]:
  """Keypoints [N, J, 2] in pixels, confidence [N, J], and features, with the keypoints' spread where there is one."""
  weights, size = lifters.part(variables, "image"), (pictures.shape[2], pictures.shape[1])
  output, features, _ = _apply(network, weights, pictures, False)
  keypoints, confidence = read.decode(output, size)
  more = {"features": features}
  if read.spread is not None:
    more["spread"] = read.spread(output, size)
  return keypoints, jnp.maximum(confidence, _LEAST), more


def _pose(
  variables: Variables, batch: Batch, more: Mapping[str, Array], *, pose: Lifter | Direct, codec: Codec
) -> Array:
  """Outputs [B, T, J, 3] of the codec."""
  if isinstance(pose, Lifter):
    return lifters.predict(pose, variables, method.encode(codec, batch))
  features = more["features"]
  points, _ = lifters.apply(pose, variables, "pose", features.reshape(-1, *features.shape[2:]))
  return (points - 0.5).reshape(*features.shape[:2], *points.shape[1:])


def _loss(
  variables: Variables,
  batch: Batch,
  key: jax.Array,
  *,
  network: ImageModel,
  pose: Lifter | Direct | None,
  codec: Codec,
  crop: Crop,
  read: Readout,
  coupling: str,
  weight_2d: float,
  weight_3d: float,
  options: Mapping[str, Any],
) -> tuple[Array, tuple[Metrics, Variables]]:
  render_key, dropout_key = jax.random.split(key)
  seen = batch if "images" in batch else images.render(dict(batch), render_key, crop, codec.skeleton)
  shape = seen["keypoints_2d"].shape
  flat = lambda x: jnp.asarray(x).reshape(-1, *x.shape[2:])  # noqa: E731
  pictures, keypoints = flat(seen["images"]), flat(seen["keypoints_2d"])
  size = pictures.shape[2], pictures.shape[1]
  weights = lifters.part(variables, "image")
  output, features, image_state = _apply(network, weights, pictures, True)
  state = {"image": image_state}

  labelled = flat(seen["valid"])[:, None] & (flat(seen["confidence"]) > 0)
  keypoints = jnp.where(labelled[..., None], keypoints, 0)
  in_2d = objectives.masked_mean(read.loss(output, read.target(keypoints, output, size)), labelled)
  read_out, certain = read.decode(output, size)
  error = jnp.linalg.norm(jax.lax.stop_gradient(read_out) - keypoints, axis=-1)
  metrics = {"keypoint_error_px": objectives.masked_mean(error, labelled), "supervised_2d": in_2d}
  total = weight_2d * in_2d
  if pose is not None:
    observed = _observed(seen, read_out.reshape(shape), certain.reshape(shape[:-1]), coupling)
    if coupling == "direct":
      assert isinstance(pose, Direct)
      points, more = lifters.apply(pose, variables, "pose", features, True, dropout_key)
      outputs, state["pose"] = (points - 0.5).reshape(*shape[:-1], 3), more
    else:
      assert isinstance(pose, Lifter)
      parts = lifters.parts(variables, "trunk", "head")
      changing = [c for c in parts if c != "params"]
      outputs, more = pose.apply(
        parts, method.encode(codec, observed), train=True, rngs={"dropout": dropout_key}, mutable=changing
      )
      state |= {part: {c: tree[part] for c, tree in more.items() if part in tree} for part in ("trunk", "head")}
    with_3d = seen["valid"] & seen["labelled"] if "labelled" in seen else seen["valid"]
    stopped = {**observed, "keypoints_2d": jax.lax.stop_gradient(observed["keypoints_2d"]), "valid": with_3d}
    in_3d, more = supervised.term(outputs, stopped, codec, **options)
    metrics |= more
    total = total + weight_3d * in_3d
  kept = _by_collection(state)
  return total, (metrics, {c: {**variables[c], **kept.get(c, {})} for c in variables if c != "params"})


def _observed(seen: Batch, points: Array, certain: Array, coupling: str) -> dict[str, Any]:
  """The batch with the keypoints that the pose is lifted from."""
  if coupling == "gt":
    return dict(seen)
  if coupling != "soft":
    points = jax.lax.stop_gradient(points)
  confidence = jnp.maximum(jax.lax.stop_gradient(certain), _LEAST)
  return {**seen, "keypoints_2d": points, "confidence": confidence}


def _by_collection(parts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
  """{part: {collection: tree}} as {collection: {part: tree}}."""
  names = dict.fromkeys(c for tree in parts.values() for c in tree)
  return {c: {part: tree[c] for part, tree in parts.items() if c in tree} for c in names}
