"""Learning from images: what has a gradient, what is not labelled, what devices and mirrors change (nothing)."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxpose import codec as codecs
from jaxpose import distributed, evaluate
from jaxpose import skeleton as skeletons
from jaxpose.config import OptimConfig
from jaxpose.data import pipeline
from jaxpose.graphs import graph as graphs
from jaxpose.methods import image
from jaxpose.models import mlp
from jaxpose.synthetic import images
from jaxpose.train import optim, rates, state, step
from tests import helpers

H36M = skeletons.get("h36m_17")
CODEC = codecs.build("canonical", H36M)
KEY = jax.random.key(1)
NETWORK = dict(depth=18, width=4, stop="layer2", head_options=dict(width=4, layers=2))
SIZE = 16


@functools.cache
def method(coupling, **options):
  lifter = mlp.create(17, width=8, trunk_blocks=1, head_blocks=0, dropout=0.0)
  return image.create(lifter, CODEC, coupling=coupling, image=NETWORK, crop=dict(size=SIZE), **options)


@functools.cache
def clips(count=8):
  return images.pictured([helpers.clip(count)], "lab")


@functools.cache
def seen(count=8):
  """A batch with its pictures, so that no test but one need render."""
  batch = jax.tree.map(jnp.asarray, pipeline.gather(pipeline.windows(clips(count)), np.arange(count), 1))
  rendered = images.render(batch, None, images.Crop(size=SIZE), H36M)
  rendered.pop("turn")
  return rendered


@functools.cache
def variables(coupling, **options):
  made = method(coupling, **options).init(KEY, seen())
  # A head begins near 0, where all keypoints agree: other weights tell more.
  return jax.tree.map(lambda x: x + 0.1 * jax.random.normal(KEY, x.shape), made)


def gradient(coupling, batch, **options):
  own, these = method(coupling, **options), variables(coupling, **options)
  rest = {c: x for c, x in these.items() if c != "params"}
  return jax.jit(jax.grad(lambda p: own.loss({"params": p, **rest}, batch, KEY)[0]))(these["params"])


def size_of(tree):
  return sum(float(jnp.abs(x).sum()) for x in jax.tree.leaves(tree))


@pytest.mark.parametrize(
  "coupling, readout, reaches", [("gt", "dark", False), ("stop", "integral", False), ("soft", "integral", True)]
)
def test_the_coupling_says_whether_poses_teach_the_image_network(coupling, readout, reaches):
  found = gradient(coupling, seen(), readout=readout, weight_2d=0.0)
  assert (size_of(found["image"]) > 0) is reaches
  assert size_of(found["trunk"]) > 0 and size_of(found["head"]) > 0


def test_a_pose_straight_from_the_features_teaches_the_backbone_alone():
  found = gradient("direct", seen(), weight_2d=0.0)
  assert size_of(found["image"]["backbone"]) > 0 and size_of(found["pose"]) > 0
  assert size_of(found["image"]["head"]) == 0


@functools.cache
def loss_of(coupling):
  return jax.jit(method(coupling).loss)


def test_what_is_not_labelled_has_no_loss():
  batch = seen()
  labelled = jnp.arange(8)[:, None] < 4
  half = {**batch, "labelled": labelled}
  other = {**half, "joints_3d": jnp.where(labelled[..., None, None], batch["joints_3d"], batch["joints_3d"] * 1.5)}
  loss = loss_of("stop")(variables("stop"), half, KEY)[0]
  assert loss == loss_of("stop")(variables("stop"), other, KEY)[0]
  other = {**half, "joints_3d": batch["joints_3d"] * jnp.array([1.5, 1, 1])[None, None, None]}
  assert loss != loss_of("stop")(variables("stop"), other, KEY)[0]
  missing = {**batch, "confidence": batch["confidence"].at[:, :, 3].set(0)}
  moved = {**missing, "keypoints_2d": batch["keypoints_2d"].at[:, :, 3].add(5)}
  first, second = (loss_of("none")(variables("none"), b, KEY)[0] for b in (missing, moved))
  assert first == second != loss_of("none")(variables("none"), batch, KEY)[0]


def test_one_device_is_eight():
  """Batch normalisation under a sharded batch is that of the whole batch, in the loss and in what is remembered."""
  own = method("stop")
  tx = optim.build(OptimConfig(), 10, own.labels)
  results = []
  for devices in (jax.devices()[:1], jax.devices()):
    mesh = distributed.make_mesh(devices)
    these = variables("stop")
    begin = state.TrainState(
      jnp.zeros((), jnp.int32), these["params"], {"batch_stats": these["batch_stats"]}, tx.init(these["params"])
    )
    begin = jax.device_put(begin, distributed.replicated(mesh))
    batch = jax.device_put(seen(), distributed.over_data(mesh))
    one = jax.jit(functools.partial(step.train_step, method=own, tx=tx, base_key=KEY))
    results.append(jax.device_get(one(begin, batch)))
  (alone, told), (shared, also) = results
  np.testing.assert_allclose(told["loss"], also["loss"], rtol=1e-5)
  assert len(jax.devices()) == 8
  for a, b in zip(jax.tree.leaves(alone.model_state), jax.tree.leaves(shared.model_state)):
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
  before = variables("stop")["batch_stats"]["image"]
  assert size_of(jax.tree.map(lambda a, b: a - b, before, alone.model_state["batch_stats"]["image"])) > 0


def test_an_image_graph_knows_a_mirrored_image():
  """What it says of the mirrored picture is the mirror image of what it says, keypoints and poses."""
  graph = method("stop").graphs["image"].mirrored
  batch = seen()
  lens = {"focal": batch["camera"].focal, "center": batch["camera"].center}
  found = graphs.call(graph, variables("stop"), images=batch["images"], **lens)
  other = graphs.call(graph, variables("stop"), images=batch["images"][..., ::-1, :], **lens)
  order = np.array(H36M.flip)
  points = np.asarray(other["keypoints_2d"])[..., order, :]
  np.testing.assert_allclose(SIZE - points[..., 0], found["keypoints_2d"][..., 0], atol=1e-3)
  np.testing.assert_allclose(points[..., 1], found["keypoints_2d"][..., 1], atol=1e-3)
  np.testing.assert_allclose(np.asarray(other["positions"])[..., order, :] * [-1, 1, 1], found["positions"], atol=1e-3)


def test_scenes_are_rendered_and_their_camera_has_the_answer():
  """The graph of scenes is that of images between a crop and its undoing."""
  own, these = method("stop"), variables("stop")
  rows = evaluate.cut(clips())
  found = graphs.call(own.graphs["detect"], these, **evaluate.inputs_of(own.graphs["detect"], rows))
  crop = images.cropped(jax.tree.map(jnp.asarray, rows.batch), None, images.Crop(size=SIZE))
  lens = {"focal": crop["camera"].focal, "center": crop["camera"].center}
  inner = graphs.call(own.graphs["image"], these, images=seen()["images"], **lens)
  back = images.uncropped(inner["keypoints_2d"], crop["camera"], crop["turn"], rows.batch["camera"])
  np.testing.assert_allclose(found["keypoints_2d"], back, atol=0.1)  # of 1000 pixels
  turned = np.einsum("bji,btnj->btni", crop["turn"], inner["positions"])
  # Two programs round differently, and a ray at a body's edge then meets it or not.
  np.testing.assert_allclose(found["positions"], turned, atol=2e-3)
  np.testing.assert_allclose(found["confidence"], inner["confidence"], atol=1e-3)


def test_a_frozen_image_network_rests_with_its_statistics():
  own = rates.freeze(method("stop"), OptimConfig(rates={"image/*": 0.0}))
  these = variables("stop")
  _, (_, after) = jax.jit(own.loss)(these, seen(), KEY)
  for a, b in zip(jax.tree.leaves(these["batch_stats"]["image"]), jax.tree.leaves(after["batch_stats"]["image"])):
    np.testing.assert_array_equal(a, b)


def test_bad_options_are_one_clear_error():
  lifter = mlp.create(17, width=8)
  with pytest.raises(ValueError, match="coupling='hard'; known are none, gt, stop, soft, direct"):
    image.create(lifter, CODEC, coupling="hard")
  with pytest.raises(ValueError, match="coupling='soft' needs keypoints with a gradient"):
    image.create(lifter, CODEC, coupling="soft", readout="dark")
  with pytest.raises(ValueError, match="a crop has no option 'roll'"):
    image.create(lifter, CODEC, crop=dict(roll=1))
