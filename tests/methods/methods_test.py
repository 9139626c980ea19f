"""Training graphs: what the losses are made of, which parts they move, and that they learn."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxpose import codec as codecs
from jaxpose import models, skeleton
from jaxpose.methods import iso, motion_terms, supervised
from jaxpose.models import discriminator
from tests import helpers

SKELETON = skeleton.get("h36m_17")
KEY = jax.random.key(0)


@functools.cache
def batch(frames=12, size=4):
  clip = helpers.clip(frames)
  fold = lambda x: jnp.asarray(x).reshape(size, frames // size, *x.shape[1:])  # noqa: E731
  return {
    "keypoints_2d": fold(clip.keypoints_2d),
    "confidence": fold(clip.confidence),
    "joints_3d": fold(clip.joints_3d),
    "valid": fold(clip.valid),
    "camera": jax.tree.map(lambda x: jnp.repeat(jnp.asarray(x)[None], size, 0), clip.camera),
  }


def build(name, dropout=0.0, **options):
  codec = codecs.build("root_rms", SKELETON)
  lifter = models.build("mlp", width=16, trunk_blocks=0, stem_norm=True, dropout=dropout)
  if name == "supervised":
    return supervised.create(lifter, codec, **options)
  return iso.create(lifter, codec, discriminator.create(width=16, blocks=0), **options)


@functools.cache
def started(name):
  """A method, its first variables, and its loss, compiled once for all tests."""
  method = build(name, **(dict(weight=0.25, weight_2d=3.0, weight_3d=0.5) if name == "iso" else {}))
  return method, jax.jit(method.init)(KEY, batch()), jax.jit(method.loss)


@pytest.mark.parametrize("name", ["supervised", "iso"])
def test_variables_go_in_and_come_out_in_one_form(name):
  method, variables, compiled = started(name)
  loss, (metrics, state) = compiled(variables, batch(), KEY)
  assert loss.shape == () and all(v.shape == () for v in metrics.values())
  assert jax.tree.map(jnp.shape, state) == jax.tree.map(
    jnp.shape, {k: v for k, v in variables.items() if k != "params"}
  )
  groups = method.labels(variables["params"])
  assert jax.tree.structure(groups) == jax.tree.structure(variables["params"])
  assert set(jax.tree.leaves(groups)) == ({"lifter"} if name == "supervised" else {"lifter", "discriminator"})
  outputs = method.infer(variables, jnp.zeros((2, 3, 17, 2)), KEY)
  assert outputs.shape == (2, 3, 17, 3)


def test_supervised_term_is_equation_2():
  codec = codecs.build("root_rms", SKELETON)
  data = batch()
  outputs = jax.random.normal(KEY, (4, 3, 17, 3))
  error = np.asarray(outputs - (data["joints_3d"] - data["joints_3d"][:, :, :1]))
  child, parent = np.transpose(SKELETON.bones)
  joints, bones = (error**2).sum(-1).mean(), ((error[..., child, :] - error[..., parent, :]) ** 2).sum(-1).mean()
  loss, metrics = supervised.term(outputs, data, codec, scale=30.0, bone_weight=0.5)
  np.testing.assert_allclose(loss, 30 * (joints + 0.5 * bones), rtol=1e-5)
  shown = error - np.asarray(outputs)[..., :1, :]  # the true root is 0, so the roots differ by the predicted one
  np.testing.assert_allclose(metrics["mpjpe_mm"], 1000 * np.linalg.norm(shown, axis=-1).mean(), rtol=1e-5)
  absolute, _ = supervised.term(outputs, data, codec, kind="l1", bone_weight=0.0)
  np.testing.assert_allclose(absolute, np.abs(error).sum(-1).mean(), rtol=1e-5)


def test_motion_terms_are_motionberts_loss_and_see_valid_frames_alone():
  """mpjpe + 0.5 n_mpjpe + 20 velocity in 2.5D image space, by NumPy; frame 1 of clip 2 of clips of 3 is not valid."""
  codec = codecs.build("image_25d", SKELETON, {"bone_length_m": 4.0})
  data, outputs = batch(), np.asarray(jax.random.normal(KEY, (4, 3, 17, 3)))
  data = {**data, "valid": data["valid"].at[2, 1].set(False)}
  target = np.asarray(codec.encode_target(data["joints_3d"], data["keypoints_2d"], data["camera"]))
  spoiled = {**data, "joints_3d": data["joints_3d"].at[2, 1].set(jnp.nan)}
  valid = np.asarray(data["valid"])
  distance = np.linalg.norm(outputs - target, axis=-1)[valid].mean()
  size = (outputs * target).sum((-2, -1)) / (outputs**2).sum((-2, -1))
  sized = np.linalg.norm(size[..., None, None] * outputs - target, axis=-1)[valid].mean()
  change = np.linalg.norm(np.diff(outputs, axis=1) - np.diff(target, axis=1), axis=-1)
  speed = change[[0, 0, 1, 1, 3, 3], [0, 1, 0, 1, 0, 1]].mean()  # both pairs of clip 2 have the frame in them
  term = functools.partial(supervised.term, codec=codec, kind="mpjpe", bone_weight=0.0)
  terms = {"n_mpjpe": 0.5, "velocity": 20.0}
  loss, metrics = term(jnp.asarray(outputs), spoiled, terms=terms)
  np.testing.assert_allclose(loss, distance + 0.5 * sized + 20 * speed, rtol=1e-5)
  np.testing.assert_allclose(metrics["supervised_velocity"], speed, rtol=1e-5)
  gradient = jax.grad(lambda x: term(x, spoiled, terms=terms)[0])(jnp.asarray(outputs))
  assert np.isfinite(gradient).all() and not np.any(gradient[2, 1]) and np.any(gradient[2, 0])


def focal_batch():
  """Two frames, one not valid; joints whose distances from the truth are 0.1 (8 of 17) and 0.3 metres."""
  data = {k: v[:1, :2] if k != "camera" else jax.tree.map(lambda x: x[:1], v) for k, v in batch().items()}
  data["valid"] = jnp.asarray([[True, False]])
  distance = jnp.where(jnp.arange(17) < 8, 0.1, 0.3)
  off = distance[None, None, :, None] * jnp.eye(3)[1][None, None, None]
  root = data["joints_3d"][:, :, :1]
  return data, data["joints_3d"] - root + jnp.where(data["valid"][..., None, None], off, 100.0), distance


@pytest.mark.parametrize(("kind", "power"), [("mpjpe", 1), ("l1", 1), ("l2", 2)])
def test_focal_weight_by_hand(kind, power):
  """Weights (2 sigmoid(e / mean e) - 1)^2 of the errors 0.1 and 0.3 (or their squares); the other frame has no say."""
  codec, (data, outputs, distance) = codecs.build("root_rms", SKELETON), focal_batch()
  error = np.asarray(distance) ** power
  weight = (2 / (1 + np.exp(-error / error.mean())) - 1) ** 2
  assert weight[0] < 0.1 and weight[-1] > 0.2
  term = functools.partial(supervised.term, codec=codec, kind=kind, bone_weight=0.5, scale=3.0)
  loss, metrics = term(outputs, data, focal=2.0)
  plain, unweighted = term(outputs, data)
  np.testing.assert_allclose(metrics["supervised_joints"], (weight * error).mean(), rtol=1e-4)
  np.testing.assert_allclose(unweighted["supervised_joints"], error.mean(), rtol=1e-4)
  np.testing.assert_array_equal(metrics["supervised_bones"], unweighted["supervised_bones"])
  np.testing.assert_allclose(plain - loss, 3 * ((1 - weight) * error).mean(), rtol=1e-3)


def test_focal_gradient_flows_through_the_weight_and_not_through_the_mean():
  """d/de of (2 s(e/m) - 1)^2 e at a constant m is w^2 + 2 w e 2 s (1 - s) / m, along y for the offset of the errors."""
  codec, (data, outputs, error) = codecs.build("root_rms", SKELETON), focal_batch()
  gradient = jax.jit(
    jax.grad(lambda x, g: supervised.term(x, data, codec, kind="mpjpe", bone_weight=0.0, focal=g)[0]), static_argnums=1
  )
  error, mean = np.asarray(error), float(error.mean())
  sigmoid = 1 / (1 + np.exp(-error / mean))
  weight = 2 * sigmoid - 1
  wanted = (weight**2 + 2 * weight * error * 2 * sigmoid * (1 - sigmoid) / mean) / 17
  found = gradient(outputs, 2.0)
  np.testing.assert_allclose(found[0, 0], wanted[:, None] * [0, 1, 0], rtol=1e-3, atol=1e-7)
  assert not np.any(found[0, 1])
  at_truth = data["joints_3d"] - data["joints_3d"][:, :, :1]
  assert np.isfinite(gradient(at_truth, 0.5)).all() and np.isfinite(gradient(outputs, 0.5)).all()


@pytest.mark.parametrize("name", motion_terms.TERMS)
def test_every_motion_term_is_zero_at_the_truth_and_pulls_toward_it(name):
  valid = jnp.ones((1, 4), bool)
  rigid = jnp.asarray(np.repeat(helpers.STANDING[None, None], 4, 1))  # bones that keep their length
  wrong = rigid + 0.1 * jax.random.normal(KEY, rigid.shape)
  value = lambda x: motion_terms.weighted(x, rigid, valid, SKELETON, {name: 2.0})[0]  # noqa: E731
  np.testing.assert_allclose(value(rigid), 0, atol=2e-3)
  assert value(wrong) > 0.01
  gradient = jax.grad(value)(wrong)
  assert np.isfinite(gradient).all() and value(wrong - 1e-3 * gradient / jnp.linalg.norm(gradient)) < value(wrong)
  alone = motion_terms.weighted(wrong[:, :1], rigid[:, :1], valid[:, :1], SKELETON, {name: 2.0})[0]
  assert np.isfinite(alone) and (alone == 0) == (name in ("velocity", "angle_velocity", "limb_variance"))


@pytest.mark.parametrize("name", ["supervised", "iso"])
def test_invalid_frames_do_not_reach_the_supervised_loss(name):
  method, variables, _ = started(name)
  data = batch()
  masked = {**data, "valid": data["valid"].at[1, 2].set(False)}
  spoiled = {**masked, "joints_3d": masked["joints_3d"].at[1, 2].set(jnp.nan)}
  value = jax.jit(jax.value_and_grad(lambda p, b: method.loss({**variables, "params": p}, b, KEY)[0]))
  (clean, grads), (dirty, dirty_grads) = (value(variables["params"], b) for b in (masked, spoiled))
  assert np.isfinite(clean) and clean == dirty
  assert all(np.isfinite(g).all() for g in jax.tree.leaves((grads, dirty_grads)))


def test_an_empty_batch_of_valid_frames_has_loss_zero():
  _, variables, compiled = started("supervised")
  data = batch()
  loss, _ = compiled(variables, {**data, "valid": jnp.zeros_like(data["valid"])}, KEY)
  assert loss == 0


@pytest.mark.parametrize(
  ("name", "options"), [("supervised", {}), ("iso", {"lift": "depth", "size": 0.3, "dropout": 0.1})]
)
def test_training_learns(name, options):
  method = build(name, scale=30.0, **options)
  data, variables = batch(), jax.jit(method.init)(KEY, batch())
  tx = optax.multi_transform({"lifter": optax.adam(3e-3), "discriminator": optax.adam(2e-4)}, method.labels)

  def step(carry, key):
    variables, opt_state = carry
    params = variables["params"]
    (_, (metrics, state)), grads = jax.value_and_grad(
      lambda p: method.loss({**variables, "params": p}, data, key), has_aux=True
    )(params)
    updates, opt_state = tx.update(grads, opt_state, params)
    return ({"params": optax.apply_updates(params, updates), **state}, opt_state), metrics["mpjpe_mm"]

  carry = variables, tx.init(variables["params"])
  _, errors = jax.jit(lambda c: jax.lax.scan(step, c, jax.random.split(KEY, 150)))(carry)
  assert np.isfinite(errors).all()
  assert errors[-20:].mean() < 0.35 * errors[0]


def test_joint_loss_is_equation_5():
  _, variables, compiled = started("iso")
  loss, (metrics, _) = compiled(variables, batch(), KEY)
  supervised_part = metrics["supervised_joints"] + metrics["supervised_bones"]
  own = metrics["generator"] + 3 * metrics["cycle_2d"] + 0.5 * metrics["cycle_3d"]
  np.testing.assert_allclose(loss, supervised_part + 0.25 * own + metrics["discriminator"], rtol=1e-5)


def test_statistics_come_from_the_real_inputs_alone():
  """Without dropout the key decides the random projections only, and the statistics do not depend on those."""
  _, variables, compiled = started("iso")
  (one, (_, first)), (other, (_, second)) = (compiled(variables, batch(), jax.random.key(i)) for i in (1, 2))
  assert one != other
  jax.tree.map(np.testing.assert_array_equal, first, second)
  assert set(first["batch_stats"]) == {"trunk", "head", "self_supervised_head"}
  moved = jax.tree.map(lambda a, b: bool(np.any(a != b)), first["batch_stats"], variables["batch_stats"])
  assert all(jax.tree.leaves(moved))


def test_each_player_has_its_own_side_of_the_one_scalar():
  """The discriminator's loss moves no part of the lifter, and nothing else moves the discriminator."""
  method, variables, _ = started("iso")
  data, close = batch(), functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6)

  def players(params):
    loss, (metrics, _) = method.loss({**variables, "params": params}, data, KEY)
    return jnp.stack([loss, metrics["discriminator"]])

  jacobian = jax.jit(jax.jacrev(players))(variables["params"])
  whole, judge = (jax.tree.map(lambda x, i=i: x[i], jacobian) for i in (0, 1))
  for part in ("trunk", "head", "self_supervised_head"):
    assert not any(np.any(g) for g in jax.tree.leaves(judge[part]))
    assert any(np.any(g) for g in jax.tree.leaves(whole[part]))
  jax.tree.map(close, whole["discriminator"], judge["discriminator"])


def test_infer_uses_the_supervised_head_and_no_randomness():
  method, variables, _ = started("iso")
  inputs = jax.random.normal(KEY, (3, 1, 17, 2))
  outputs = method.infer(variables, inputs, KEY)
  np.testing.assert_array_equal(outputs, method.infer(variables, inputs, jax.random.key(7)))
  changed = {**variables, "params": {**variables["params"], "self_supervised_head": None, "discriminator": None}}
  np.testing.assert_array_equal(outputs, method.infer(changed, inputs, KEY))


def test_unknown_options_are_named():
  codec, lifter = codecs.build("root_rms", SKELETON), models.build("mlp", width=16)
  with pytest.raises(ValueError, match="loss='l3', expected one of l2, l1, mpjpe"):
    supervised.create(lifter, codec, loss="l3")
  with pytest.raises(ValueError, match="focal=-1.0, expected an exponent of at least 0"):
    iso.create(lifter, codec, discriminator.create(width=16), focal=-1.0)
  with pytest.raises(ValueError, match="terms has 'speed', expected some of n_mpjpe, limb_length"):
    supervised.create(lifter, codec, terms={"speed": 1.0})
  with pytest.raises(ValueError, match="objective='cycles', expected 'adversary' or 'cycle'"):
    iso.create(lifter, codec, discriminator.create(width=16), objective="cycles")
