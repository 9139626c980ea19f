"""ISO on clips: joint training and adaptation of a DSTformer, with trunk and heads cut at any depth."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxpose import adaptation
from jaxpose.adapt import adapter as adapters
from jaxpose.adapt import chunk, first_order
from jaxpose.adapt.settings import AdaptConfig
from jaxpose.data import pipeline, transforms
from jaxpose.geometry import projection
from jaxpose.methods import objectives
from jaxpose.models import discriminator
from jaxpose.models import lifter as lifters
from tests import helpers
from tests.adapt import clip_models, tiny

KEY = clip_models.KEY
DEPTHS = (0, 1, clip_models.DEPTH)
QUICK = {"xla_backend_optimization_level": 0}  # what takes time is compiling
close = functools.partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-4)


@functools.cache
def batch():
  data = pipeline.windows([helpers.clip(12)], clip_models.WINDOW, clip_models.WINDOW)
  return jax.tree.map(jnp.asarray, pipeline.gather(data, np.arange(3), clip_models.WINDOW))


def test_a_training_step_reaches_every_weight_of_trunk_heads_and_discriminator():
  """With dropout and drop path, in the layers of both loops."""
  method = clip_models.method(objective="adversary", rates=0.1)
  params = clip_models.variables()["params"]

  def loss(params, batch, key):
    value, (_, state) = method.loss({"params": params}, batch, key)
    assert not state
    return value

  run = jax.jit(jax.value_and_grad(loss), compiler_options=QUICK)
  key = functools.partial(jax.random.key, impl="unsafe_rbg")
  (value, gradient), (again, _), (other, _) = (run(params, batch(), key(i)) for i in (3, 3, 4))
  assert np.isfinite(value) and value == again != other
  sizes = jax.tree.map(lambda g: float(np.abs(g).max()), gradient)
  assert all(0 < size < np.inf for size in jax.tree.leaves(sizes)), sizes


@pytest.mark.parametrize("head_depth", DEPTHS)
def test_the_self_supervised_head_has_its_own_copy_of_the_heads_layers(head_depth):
  method = clip_models.method(head_depth)
  params = jax.eval_shape(method.init, KEY, batch())["params"]
  assert set(params) == {"trunk", "head", "self_supervised_head", "discriminator"}
  assert jax.tree.map(jnp.shape, params["head"]) == jax.tree.map(jnp.shape, params["self_supervised_head"])
  counts = [{len(x) for x in jax.tree.leaves(params[part].get("layers", {}))} for part in ("trunk", "head")]
  assert counts == [{n} if n else set() for n in (clip_models.DEPTH - head_depth, head_depth)]


def test_all_frames_of_a_window_are_seen_from_one_random_viewpoint():
  """Equation 4 written out for windows of three different frames: a rotation a window."""
  judge = discriminator.create(width=8, blocks=0)
  lifter, variables, inputs = tiny.model(3)
  shapes = judge.init(KEY, inputs[..., :2])
  params = {
    **variables["params"], "self_supervised_head": variables["params"]["head"], "discriminator": shapes["params"]
  }  # fmt: skip
  statistics = {**variables["batch_stats"]}
  if "head" in statistics:
    statistics["self_supervised_head"] = statistics["head"]
  own = {"params": params, "batch_stats": statistics}
  rotation = projection.sample_rotation(jax.random.split(KEY, 4)[2], (len(inputs),))
  lift = lambda x: (lambda y: y - y[:, :, :1])(lifters.predict(lifter, variables, x))  # noqa: E731
  turn = lambda pose, matrix: jnp.einsum("nij,ntkj->ntki", matrix, pose)  # noqa: E731
  pose = lift(inputs)
  seen = tiny.CODEC.project(turn(pose, rotation))
  returned = turn(lift(seen), rotation.swapaxes(-1, -2))
  _, metrics = objectives.cycle(lifter, tiny.CODEC, judge)(own, inputs, KEY)
  close(metrics["cycle_3d"], ((returned - pose) ** 2).sum((-1, -2)).mean())
  close(metrics["cycle_2d"], ((tiny.CODEC.project(returned) - inputs) ** 2).sum((-1, -2)).mean())


def clips():
  """A clip of two windows and a tail, one shorter than a window, one of a window."""
  return [helpers.clip(frames, seed=i, sequence=f"walk {i}") for i, frames in enumerate((7, 2, clip_models.WINDOW))]


def windows(clip):
  """Frames of each window of a clip, by hand: the last one overlaps its neighbour, a short clip repeats its end."""
  count = len(clip)
  if count <= clip_models.WINDOW:
    return [np.minimum(np.arange(clip_models.WINDOW), count - 1)]
  starts = [*range(0, count - clip_models.WINDOW, clip_models.WINDOW), count - clip_models.WINDOW]
  return [np.arange(s, s + clip_models.WINDOW) for s in starts]


def encoded(clip, frames):
  """A window and its mirror image [2, T, J, C]."""
  inputs = np.asarray(clip_models.CODEC.encode(clip.keypoints_2d[frames], clip.camera))
  return np.stack([inputs, (inputs * np.float32([-1, 1]))[:, list(clip_models.SKELETON.flip)]])


def algorithm_1(trained, config):
  """Clip by clip and window by window in plain Python; Adam in NumPy on the groups, then the mean of both images."""
  settings, objective = config.resolved(), trained.method.objectives[config.objective]
  online, number, results, change = settings.mode.startswith("online"), 0, [], []
  source, groups = jax.tree.map(np.asarray, trained.variables["params"]), config.groups
  gradient = jax.jit(jax.grad(lambda p, x, k: objective({"params": p}, x, k)[0]), compiler_options=QUICK)
  infer = jax.jit(lambda p, x: trained.method.infer({"params": p}, x, KEY), compiler_options=QUICK)
  base, flip = jax.random.key(settings.seed), functools.partial(transforms.flip_pose, skeleton=clip_models.SKELETON)

  def steps(params, rows, key):
    moments = jax.tree.map(lambda x: [np.zeros_like(x), np.zeros_like(x)], params)
    for t, step_key in enumerate(jax.random.split(key, settings.num_steps), start=1):
      grads = jax.tree.map(np.asarray, gradient(params, rows, step_key))

      def adam(weight, grad, m, t=t):
        m[0], m[1] = 0.9 * m[0] + 0.1 * grad, 0.999 * m[1] + 0.001 * grad**2
        return weight - np.float32(settings.learning_rate) * (
          (m[0] / (1 - 0.9**t)) / (np.sqrt(m[1] / (1 - 0.999**t)) + 1e-8)
        )

      params = {n: jax.tree.map(adam, p, grads[n], moments[n]) if n in groups else p for n, p in params.items()}
    return params

  for clip in clips():
    params = source
    poses = np.full(clip.joints_3d.shape, np.nan, np.float32)
    for place, frames in enumerate(windows(clip)):
      both = encoded(clip, frames)
      id = adaptation._first_id(clip.name) + place if online else number
      key, _ = jax.random.split(jax.random.fold_in(base, id))
      if place % settings.every == 0:
        params = steps(params if online else source, np.stack([both[0]] * settings.copies), key)
      change.append(np.abs(infer(params, both) - infer(source, both)).max())
      straight, mirrored = np.asarray(infer(params, both))
      mean = (straight + np.asarray(flip(mirrored))) / 2
      mean[:, clip_models.SKELETON.root] = 0  # a prediction's root is the origin, whatever the model says of it
      for frame, pose in zip(frames, mean):
        if np.isnan(poses[frame]).all():  # of a frame that comes again the first prediction counts
          poses[frame] = pose
      number += 1
    results.append(poses)
  assert min(change) > 1e-3
  return results


@pytest.mark.parametrize(
  ("head_depth", "config"),
  [
    (0, AdaptConfig(mode="vanilla_lr", objective="adversary", learning_rate=1e-2, copies=2, chunk=2)),
    (
      clip_models.DEPTH,
      AdaptConfig(mode="online_skip", objective="reprojection", learning_rate=1e-2, copies=1, every=2, chunk=1),
    ),
  ],
)
def test_clips_are_adapted_to_as_algorithm_1_says(head_depth, config):
  trained = clip_models.trained(head_depth)
  own, facts = adaptation.adapt_clips(trained, clips(), config, False, devices=jax.devices()[:1])
  assert facts["instances"] == 5
  for poses, expected, clip in zip(own, algorithm_1(trained, config), clips()):
    assert poses.shape == clip.joints_3d.shape
    np.testing.assert_allclose(poses, expected, atol=2e-3)


def made(model, objective, groups=first_order.PAPER_GROUPS, copies=1):
  return first_order.adapter(
    model.method.infer, model.method.objectives[objective], optax.sgd(1e-3), num_steps=1, copies=copies, groups=groups
  )


def test_an_instance_has_its_own_trunk_and_shares_the_frozen_head():
  model, own = clip_models.trained(1), clip_models.instances(4)
  block, options = (own, np.arange(4), None), dict(keep=adapters.nothing, together=4, sharding=None)
  adapter = made(model, "reprojection", ("trunk",))
  text = adapters._alone.lower(adapter, model.variables, block, KEY, **options).as_text()
  joints, pose = model.variables["params"]["trunk"]["pos_embed"], model.variables["params"]["head"]["pose"]["kernel"]
  own_trunk, head, own_head = (_type(shape) in text for shape in ((4, *joints.shape), pose.shape, (4, *pose.shape)))
  assert own_trunk and head and not own_head


def _type(shape):
  return f"tensor<{'x'.join(map(str, shape))}xf32>"


def test_what_a_clip_stores_is_counted_when_instances_share_a_devices_memory(monkeypatch):
  model, one = clip_models.trained(1), {n: x[0] for n, x in clip_models.instances(1).items()}
  few, many = (made(model, "adversary", copies=c) for c in (1, 9))
  each = []
  monkeypatch.setattr(chunk, "fitting", lambda available, bytes_each: each.append(bytes_each) or 1)
  for adapter in (few, many):
    chunk.automatic(adapter, model.variables, one)
  weights = sum(x.nbytes for x in jax.tree.leaves(first_order.select(model.variables, first_order.PAPER_GROUPS)))
  assert weights < each[0] < each[1]  # more than its weights; a copy is projected and judged, not lifted again
  monkeypatch.undo()
  monkeypatch.setattr(chunk, "free_bytes", lambda: 10**15)
  assert chunk.automatic(few, model.variables, one) == chunk.MOST
