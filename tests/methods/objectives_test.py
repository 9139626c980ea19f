"""Self-supervised losses against what they mean, computed another way."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxpose import codec as codecs
from jaxpose import skeleton
from jaxpose.geometry import camera as cameras
from jaxpose.geometry import projection
from jaxpose.methods import iso, objectives
from jaxpose.models import discriminator, mlp
from jaxpose.models import lifter as lifters
from tests import helpers

SKELETON = skeleton.get("h36m_17")
CODEC = codecs.build("root_rms", SKELETON)
LIFTER = mlp.create(width=16, trunk_blocks=0, head_blocks=0, stem_norm=True)
JUDGE = discriminator.create(width=16, blocks=1)
KEY = jax.random.key(3)
close = functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6)


@functools.cache
def data():
  clip = helpers.clip(6)
  inputs = CODEC.encode(clip.keypoints_2d, clip.camera)[:, None]
  camera = jax.tree.map(lambda x: jnp.asarray(x)[None], clip.camera)
  one = {"keypoints_2d": jnp.asarray(clip.keypoints_2d)[None], "confidence": jnp.ones((1, 6, 17)), "camera": camera}
  return jax.jit(iso.create(LIFTER, CODEC, JUDGE).init)(KEY, one), inputs


def lift(variables, inputs):
  features, _ = lifters.apply(LIFTER.trunk, variables, "trunk", inputs)
  outputs, _ = lifters.apply(LIFTER.head, variables, "self_supervised_head", features)
  return outputs - outputs[:, :, :1]


def judge(variables, poses):
  return np.asarray(JUDGE.apply(lifters.part(variables, "discriminator"), poses), np.float64)


def test_cycle_is_equation_4_written_out():
  variables, inputs = data()
  key = jax.random.split(KEY, 5)[2]
  rotation = projection.sample_rotation(key, (6,))[:, None]
  pose = lift(variables, inputs)
  y = CODEC.project(projection.rotate(pose, rotation))
  returned = projection.rotate(lift(variables, y), jnp.swapaxes(rotation, -1, -2))
  log = lambda x: np.log(1 / (1 + np.exp(-x)))  # noqa: E731
  generator = -log(judge(variables, y)).mean()
  real_and_fake = -log(judge(variables, inputs)).mean() - np.log(1 - 1 / (1 + np.exp(-judge(variables, y)))).mean()
  in_2d = ((CODEC.project(returned) - inputs) ** 2).sum((-1, -2)).mean()
  in_3d = ((returned - pose) ** 2).sum((-1, -2)).mean()
  value, metrics = jax.jit(objectives.cycle(LIFTER, CODEC, JUDGE))(variables, inputs, KEY)
  close(value, generator + 10 * in_2d + 0.1 * in_3d + real_and_fake)
  close(metrics["cycle_2d"], in_2d)
  value, metrics = jax.jit(objectives.adversary(LIFTER, CODEC, JUDGE))(variables, inputs, KEY)
  close(value, generator + real_and_fake)
  assert "cycle_2d" not in metrics


def test_a_step_down_the_scalar_is_a_step_of_the_game():
  """The discriminator learns to tell, the lifter to deceive: opposite signs of the gradient through D(fake)."""
  variables, inputs = data()
  terms = objectives.random_projection(LIFTER, CODEC, JUDGE)
  whole = objectives.both_players(terms)

  @jax.jit
  def players(params):
    generator, judging, _ = terms({**variables, "params": params}, inputs, KEY)
    return jnp.stack([generator, judging])

  params = variables["params"]
  both = jax.jit(jax.grad(lambda p: whole({**variables, "params": p}, inputs, KEY)[0]))(params)
  jacobian = jax.jit(jax.jacrev(players))(params)
  generator, judging = (jax.tree.map(lambda x, i=i: x[i], jacobian) for i in (0, 1))
  for part, own in (("trunk", generator), ("self_supervised_head", generator), ("discriminator", judging)):
    jax.tree.map(close, both[part], own[part])
  nothing = jax.tree.leaves((generator["discriminator"], judging["trunk"], both["head"]))
  assert max(np.abs(g).max() for g in nothing) < 1e-15

  def move(part):
    return players({**params, part: jax.tree.map(lambda w, g: w - 1e-3 * g, params[part], both[part])})

  before, judged, deceived = players(params), move("discriminator"), move("self_supervised_head")
  assert judged[1] < before[1] and judged[0] > before[0]
  assert deceived[0] < before[0]


@pytest.mark.parametrize(("name", "size"), [("root_rms", 0.3), ("canonical", 0.25), ("root_scaled", None)])
def test_a_depth_lift_without_rotation_gives_back_the_input(name, size):
  constants = {"ray_distance": 0.15, "head_root_m": 0.7} if name == "root_scaled" else None
  codec = codecs.build(name, SKELETON, constants)
  clip = helpers.clip(6)
  inputs = codec.encode(clip.keypoints_2d, clip.camera)
  outputs = 0.2 * jax.random.normal(KEY, (6, 17, 3))
  pose = objectives.lifting(codec, "depth", size)(outputs, inputs)
  close(codec.project(pose), inputs, atol=2e-6)
  assert np.abs(pose[..., 2]).max() > 0.1 and not pose[:, 0].any()
  if size:
    close(jnp.sqrt((pose[..., :2] ** 2).mean((-1, -2))), size, rtol=0.1)


def test_wrong_lifts_are_explained():
  with pytest.raises(ValueError, match="lift='rays', expected 'free', 'depth' or 'bones'"):
    objectives.lifting(CODEC, "rays")
  with pytest.raises(ValueError, match="codec 'root_rms' and size=None: it needs a size"):
    objectives.lifting(CODEC, "depth")
  with pytest.raises(ValueError, match="codec 'screen' and size=0.3"):
    objectives.lifting(codecs.build("screen", SKELETON), "depth", 0.3)
  with pytest.raises(ValueError, match="size=0.3 is for lift='depth'"):
    objectives.lifting(CODEC, "free", 0.3)
  with pytest.raises(ValueError, match="lift='bones' with codec 'root_rms' and size=None: it needs a size"):
    objectives.lifting(CODEC, "bones")
  with pytest.raises(ValueError, match="vertical='world', expected 'camera' or 'scene'"):
    objectives.adversary(LIFTER, CODEC, JUDGE, vertical="world")


@pytest.mark.parametrize("name", ["root_rms", "canonical"])
def test_a_lift_by_bones_gives_back_the_input_and_a_whole_body(name):
  codec = codecs.build(name, SKELETON)
  clip = helpers.clip(6)
  inputs = codec.encode(clip.keypoints_2d, clip.camera)
  outputs = jnp.asarray([0.1, 1.0, 5.0] * 2)[:, None, None] * jax.random.normal(KEY, (6, 17, 3))
  pose = np.asarray(objectives.lifting(codec, "bones", 4.0)(outputs, inputs))
  close(codec.project(pose), inputs, atol=2e-5)
  child, parent = np.transpose(SKELETON.bones)
  close(np.linalg.norm(pose[:, child] - pose[:, parent], axis=-1).sum(-1), 4.0, rtol=0.15)
  assert not pose[:, 0].any()


@pytest.mark.parametrize("frames", [1, 3])
def test_upright_is_the_way_from_the_feet_to_the_chest(frames):
  turn = np.asarray(projection.sample_rotation(KEY, (4,)))
  standing = np.broadcast_to(helpers.STANDING, (4, frames, 17, 3))
  up = objectives.upright(jnp.asarray(standing @ np.swapaxes(turn, -1, -2)[:, None], jnp.float32), SKELETON)
  feet = standing[:, :, [SKELETON.index("left_ankle"), SKELETON.index("right_ankle")]].mean(2)
  expected = np.einsum("nij,ntj->nti", turn, standing[:, :, SKELETON.index("thorax")] - feet)
  close(up, expected / np.linalg.norm(expected, axis=-1, keepdims=True), atol=1e-5)
  more = np.concatenate([standing, 9 * standing[..., [1, 2, 0]]], 1).astype(np.float32)
  valid = jnp.arange(2 * frames) < frames
  close(
    objectives.upright(jnp.asarray(more), SKELETON, jnp.tile(valid, (4, 1)))[:, :1],
    objectives.upright(jnp.asarray(standing), SKELETON)[:, :1],
  )


def test_the_scenes_vertical_is_taken_or_else_that_of_the_poses():
  variables, inputs = data()
  run = jax.jit(
    lambda up, vertical: objectives.random_projection(
      LIFTER, CODEC, JUDGE, weight_2d=1.0, vertical=vertical, lift="depth", size=0.3
    )(variables, inputs, KEY, up=up)[0],
    static_argnums=1,
  )
  level = jnp.broadcast_to(jnp.asarray([0.0, -1.0, 0.0]), (6, 1, 3))
  leaning = jnp.broadcast_to(jnp.asarray([0.0, -0.8, -0.6]), (6, 1, 3))
  close(run(level, "scene"), run(leaning, "camera"))
  assert abs(run(leaning, "scene") - run(level, "scene")) > 1e-3
  features, _ = lifters.apply(LIFTER.trunk, variables, "trunk", inputs)
  outputs, _ = lifters.apply(LIFTER.head, variables, "self_supervised_head", features)
  poses = objectives.lifting(CODEC, "depth", 0.3)(outputs, inputs)
  close(run(None, "scene"), run(objectives.upright(poses, SKELETON), "scene"))


def test_noise_is_on_what_the_discriminator_sees():
  variables, inputs = data()
  at = functools.partial(objectives.random_projection, LIFTER, CODEC, JUDGE)
  seen = [at(noise=noise)(variables, inputs, KEY)[1] for noise in (0.0, 1e-6, 0.5)]
  close(seen[0], seen[1], rtol=1e-3)
  assert abs(seen[2] - seen[0]) > 1e-3


def test_frames_of_a_window_turn_together():
  """A window of one repeated frame has one projection, so its accuracy and losses are those of the single frame."""
  variables, inputs = data()
  objective = jax.jit(objectives.cycle(LIFTER, CODEC, JUDGE))
  close(objective(variables, jnp.repeat(inputs, 4, 1), KEY)[0], objective(variables, inputs, KEY)[0])


def test_reprojection_moves_the_trunk_under_the_supervised_head():
  variables, inputs = data()
  pose = LIFTER.apply(lifters.parts(variables, "trunk", "head"), inputs)
  error = ((CODEC.project(pose) - inputs) ** 2).sum((-1, -2)).mean()
  objective = objectives.reprojection(LIFTER, CODEC, weight=10.0)
  value, metrics = objective(variables, inputs, KEY)
  close(value, 10 * error)
  close(metrics["reprojection"], error)
  moved = jax.grad(lambda p: objective({**variables, "params": p}, inputs, KEY)[0])(variables["params"])
  assert {name for name, part in moved.items() if any(np.any(g) for g in jax.tree.leaves(part))} == {"trunk", "head"}


def test_a_missing_joint_is_compared_with_nothing():
  variables, inputs = data()
  clip, confidence = helpers.clip(6), np.ones((6, 17), np.float32)
  confidence[:, [5, 13]] = 0
  missing = CODEC.encode(clip.keypoints_2d, clip.camera, confidence)[:, None]
  pose = np.asarray(LIFTER.apply(lifters.parts(variables, "trunk", "head"), missing), np.float64)
  seen = [j for j in range(17) if j not in (5, 13)]
  pose = pose - pose[:, :, :1]
  rays = (pose[..., :2] / np.maximum(5 + pose[..., 2:], 0.5))[:, :, seen]  # before the codec's camera, at 5 m
  rays /= np.sqrt((rays**2).mean((-1, -2), keepdims=True))
  expected = ((rays - np.asarray(missing)[:, :, seen]) ** 2).sum((-1, -2)).mean()
  close(objectives.reprojection(LIFTER, CODEC, weight=1.0)(variables, missing, KEY)[0], expected)
  cycle = objectives.cycle(LIFTER, CODEC, JUDGE)
  gradient = jax.jit(jax.value_and_grad(lambda p: cycle({**variables, "params": p}, jnp.zeros_like(inputs), KEY)[0]))
  value, grads = gradient(variables["params"])
  assert np.isfinite(value) and all(np.isfinite(g).all() for g in jax.tree.leaves(grads))


@pytest.mark.parametrize("missing", [(), (3, 6), (0,), (0, 9, 10)])
def test_the_true_pose_has_no_reprojection_loss_whatever_joints_are_missing(monkeypatch, missing):
  lens = helpers.clip(6).camera
  pose = helpers.STANDING + np.random.default_rng(0).normal(0, 0.05, (6, 17, 3))
  pose = (pose - pose[:, :1] + [0, 0, 5]).astype(np.float32)  # on the axis, at the codec's depth
  confidence = np.ones((6, 17), np.float32)
  confidence[:, missing] = 0
  lens = lens._replace(radial=np.zeros(3, np.float32), tangential=np.zeros(2, np.float32))
  inputs = CODEC.encode(cameras.project(jnp.asarray(pose), lens), lens, jnp.asarray(confidence))[:, None]
  monkeypatch.setattr(objectives, "_predict", lambda *_: jnp.asarray(pose - pose[:, :1])[:, None])
  value, _ = objectives.reprojection(LIFTER, CODEC)({}, inputs, KEY)
  assert value < 1e-8
  monkeypatch.setattr(
    objectives,
    "_predict",
    lambda *_: jnp.asarray(pose - pose[:, :1])[:, None] * np.float32([1.05, 1, 1]).reshape(1, 1, 1, 3),
  )
  assert objectives.reprojection(LIFTER, CODEC)({}, inputs, KEY)[0] > 1e-4


def test_frames_without_any_joint_take_no_part():
  variables, inputs = data()
  more = jnp.concatenate([inputs, jnp.zeros_like(inputs[:2])])
  still = dict(azimuth=0.0, elevation=0.0)  # no draw that depends on the number of rows
  for own in (
    objectives.reprojection(LIFTER, CODEC),
    objectives.cycle(LIFTER, CODEC, JUDGE, **still),
  ):
    gradient = jax.jit(jax.value_and_grad(lambda p, x, own=own: own({**variables, "params": p}, x, KEY)[0]))
    jax.tree.map(close, gradient(variables["params"], more), gradient(variables["params"], inputs))


def test_copies_are_rows_written_out():
  """Also the gradients: a row that is lifted and judged once counts as often as its copies."""
  variables, inputs = data()
  rows, written_out = inputs[:2], jnp.tile(inputs[:2], (3, 1, 1, 1))
  for own in (objectives.cycle(LIFTER, CODEC, JUDGE), objectives.reprojection(LIFTER, CODEC)):
    gradient = jax.jit(
      jax.value_and_grad(lambda p, x, n, own=own: own({**variables, "params": p}, x, KEY, copies=n)[0]),
      static_argnums=2,
    )
    jax.tree.map(close, gradient(variables["params"], rows, 3), gradient(variables["params"], written_out, 1))
