"""What invalid and missing data must not touch: ISO's game, and pretraining's comparison with the clean input."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxpose import codec as codecs
from jaxpose import models, skeleton
from jaxpose.methods import iso, masked, supervised
from jaxpose.models import discriminator
from tests import helpers

SKELETON = skeleton.get("h36m_17")
KEY = jax.random.key(0)
CODEC = codecs.build("root_rms", SKELETON)


def batch(frames=3):
  clips = [helpers.clip(frames, seed=i) for i in range(2)]
  stacked = {
    name: jnp.stack([jnp.asarray(getattr(c, name)) for c in clips])
    for name in ("keypoints_2d", "confidence", "joints_3d", "valid")
  }
  return stacked | {"camera": jax.tree.map(lambda x: jnp.stack([jnp.asarray(x)] * 2), clips[0].camera)}


def lifter():
  """Without normalisation: a batch's statistics are over all rows, whatever is valid."""
  return models.build("mlp", width=16, trunk_blocks=0, head_blocks=0, stem_norm=False, dropout=0.0)


@pytest.mark.parametrize("objective", ["adversary", "cycle"])
def test_isos_game_does_not_see_invalid_frames(objective):
  """Of another image of that frame, the same loss and the same gradient of both players; of a valid one, others."""
  method = iso.create(lifter(), CODEC, discriminator.create(width=16, blocks=0), objective=objective)
  data = batch()
  variables = jax.jit(method.init)(KEY, data)
  value = jax.jit(jax.value_and_grad(lambda p, b: method.loss({**variables, "params": p}, b, KEY)[0]))
  changed = {**data, "keypoints_2d": data["keypoints_2d"].at[1, 2].add(40 * np.eye(17, 2, dtype=np.float32))}
  invalid = {"valid": data["valid"].at[1, 2].set(False)}
  for mark, same in ((invalid, True), ({}, False)):
    one, other = (value(variables["params"], {**b, **mark}) for b in (data, changed))
    equal = [np.allclose(a, b, rtol=1e-5, atol=1e-6) for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other))]
    assert all(equal) if same else not any(equal[:2])


def test_pretraining_compares_with_the_keypoints_before_the_noise(monkeypatch):
  """No joint hidden, no 3D: the projection's error to the clean input, though the network saw a noisy one."""
  method = masked.create(lifter(), CODEC, joints=0.0, frames=0.0, noise=True, noise_options=dict(std=0.05))
  data = {**batch(), "labelled": jnp.zeros((2, 3), bool)}
  variables = jax.tree.map(lambda x: x + 0.05, jax.jit(method.init)(KEY, data))
  compared = []
  error = masked.projection_error

  def seen(outputs, inputs, confidence, codec):
    compared.append((inputs, confidence))
    return error(outputs, inputs, confidence, codec)

  monkeypatch.setattr(masked, "projection_error", seen)
  method.loss(variables, data, KEY)
  (inputs, confidence), clean = compared[0], CODEC.encode(data["keypoints_2d"], data["camera"], data["confidence"])
  np.testing.assert_array_equal(inputs, clean)
  np.testing.assert_array_equal(confidence, data["confidence"])


def test_scale_multiplies_motion_terms_too():
  data, outputs = batch(), 0.3 * jax.random.normal(KEY, (2, 3, 17, 3))
  options = dict(kind="mpjpe", bone_weight=0.5, terms=dict(velocity=2.0, n_mpjpe=1.0))
  once, thrice = (supervised.term(outputs, data, CODEC, scale=s, **options)[0] for s in (1.0, 3.0))
  np.testing.assert_allclose(thrice, 3 * once, rtol=1e-6)
