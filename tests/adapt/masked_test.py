"""Hidden joints: hidden as a detector misses them, and reconstructed."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxpose import codec as codecs
from jaxpose.adapt import masked
from tests import helpers
from tests.adapt import tiny

close = functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("window", [1, 3])
def test_the_loss_is_that_of_hidden_joints_and_of_the_whole_prediction(window):
  lifter, variables, inputs = tiny.model(window)
  full = np.repeat(np.asarray(inputs), 2, 0)
  hidden = np.asarray(masked.hide(tiny.KEY, jnp.asarray(full[..., 0] != 0), 0, 0.3))
  assert 0.15 < hidden[..., 1:].mean() < 0.45 and not hidden[..., 0].any()
  left = masked.without(jnp.asarray(full), jnp.asarray(hidden), tiny.CODEC)
  partial = tiny.predictions(lifter, variables, left)
  error = ((np.asarray(tiny.CODEC.project(np.float32(partial))) - full) ** 2).sum(-1)
  in_2d = np.where(hidden, error, 0).sum(-1).mean()
  in_3d = ((partial - np.repeat(tiny.predictions(lifter, variables, inputs), 2, 0)) ** 2).sum((-1, -2)).mean()
  objective = masked.masked_joints(lifter, tiny.CODEC, 0.3, weight_2d=5.0, weight_3d=2.0)
  value, metrics = jax.jit(objective, static_argnames="copies")(variables, inputs, tiny.KEY, copies=2)
  close(value, 5 * in_2d + 2 * in_3d)
  close(metrics["masked_2d"], in_2d)
  assert tiny.moves(tiny.finite_gradient(objective, variables, inputs, copies=2)) == {"trunk", "head"}


@pytest.mark.parametrize("name", ["root_rms", "canonical", "root_scaled"])
def test_a_hidden_joint_enters_as_the_codec_encodes_a_missing_one(name):
  constants = {"ray_distance": 0.15, "head_root_m": 0.7} if name == "root_scaled" else None
  codec = codecs.build(name, tiny.SKELETON, constants)
  clip = helpers.clip(6)
  hidden = np.random.default_rng(0).random((6, 17)) < 0.3
  hidden[:, 0] = False
  missing = codec.encode(clip.keypoints_2d, clip.camera, np.float32(~hidden))
  close(masked.without(codec.encode(clip.keypoints_2d, clip.camera), jnp.asarray(hidden), codec), missing)


def test_missing_joints_are_neither_hidden_nor_compared():
  lifter, variables, inputs = tiny.model()
  missing = inputs.at[:, :, 9].set(0)
  assert not masked.hide(tiny.KEY, jnp.any(missing != 0, -1), 0, 0.9)[..., 9].any()
  tiny.finite_gradient(masked.masked_joints(lifter, tiny.CODEC), variables, jnp.zeros_like(inputs))


@pytest.mark.parametrize("probability", [0.0, 1.0])
def test_hiding_nothing_or_everything_is_refused(probability):
  with pytest.raises(ValueError, match=f"probability={probability} must be between 0 and 1"):
    masked.masked_joints(tiny.LIFTER, tiny.CODEC, probability)
