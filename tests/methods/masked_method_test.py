"""Pretraining on corrupted input: what is hidden, what is learnt from which frames, and that inference sees it all."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxpose import codec as codecs
from jaxpose import losses, models, skeleton
from jaxpose.data import pipeline
from jaxpose.geometry import camera as cameras
from jaxpose.methods import masked, supervised
from jaxpose.models import dstformer
from tests import helpers

SKELETON = skeleton.get("h36m_17")
KEY = jax.random.key(0)
RMS = codecs.build("root_rms", SKELETON)
SCREEN = codecs.build("image_25d", SKELETON, constants=dict(confidence_channel=1, bone_length_m=4.0))


@functools.cache
def batch(labelled=None):
  clips = [helpers.clip(6), helpers.clip(6, seed=1)]
  data = pipeline.windows(clips, 6)
  values = jax.tree.map(jnp.asarray, pipeline.gather(data, np.arange(2), 6))
  if labelled is not None:
    values["labelled"] = jnp.repeat(jnp.asarray(labelled)[:, None], 6, 1)
  return values


def small(codec, **options):
  lifter = dstformer.create(dim_in=codec.channels, dim_feat=16, dim_rep=16, depth=1, num_heads=2, mlp_ratio=1, maxlen=6)
  return masked.create(lifter, codec, **options)


def test_shares_of_what_is_hidden():
  inputs = jax.random.normal(KEY, (64, 27, 17, 3)) + 10  # never zero by itself
  left = masked.hide(inputs, KEY, codec=SCREEN, joints=0.05, frames=0.1)
  gone = np.asarray((left == 0).all(-1))
  np.testing.assert_array_equal(gone, np.asarray((left == 0).any(-1)))  # coordinates and confidence together
  whole = gone.all(-1)
  assert whole.mean() == pytest.approx(0.1, abs=0.03)
  assert gone[~whole].mean() == pytest.approx(0.05, abs=0.01)
  np.testing.assert_array_equal(left[~gone], inputs[~gone])
  assert len({tuple(row) for row in whole}) > 32  # clips do not share their hidden frames


def test_noise_stands_in_for_what_is_hidden():
  inputs = jnp.full((256, 10, 17, 2), 10.0)
  left = np.asarray(
    masked.hide(inputs, KEY, codec=codecs.build("screen", SKELETON), joints=0.15, frames=0.15, fill_std=1.0)
  )
  gone = (left != 10).any(-1)
  assert gone.mean() == pytest.approx(1 - 0.85**2, abs=0.03)
  assert left[gone].mean() == pytest.approx(0, abs=0.05) and left[gone].std() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("name", ["root_rms", "canonical", "root_scaled"])
def test_a_hidden_joint_enters_as_the_codec_encodes_a_missing_one(name):
  constants = {"ray_distance": 0.15, "head_root_m": 0.7} if name == "root_scaled" else None
  codec = codecs.build(name, SKELETON, constants)
  clip = helpers.clip(6)
  hidden = np.random.default_rng(0).random((6, 17)) < 0.3
  hidden[:, 0] = False
  missing = codec.encode(clip.keypoints_2d, clip.camera, np.float32(~hidden))
  left = masked.without(codec.encode(clip.keypoints_2d, clip.camera), jnp.asarray(hidden), codec)
  np.testing.assert_allclose(left, missing, rtol=1e-4, atol=1e-6)


def test_hidden_joints_look_like_missing_ones():
  shown = batch()
  inputs = RMS.encode(shown["keypoints_2d"], shown["camera"], shown["confidence"])
  left = masked.hide(inputs, KEY, codec=RMS, joints=0.3, frames=0.0)
  gone = (left == 0).all(-1) & (jnp.arange(17) != SKELETON.root)[None, None]
  assert 0 < int(gone.sum()) < gone.size
  missing = RMS.encode(shown["keypoints_2d"], shown["camera"], jnp.where(gone, 0, shown["confidence"]))
  np.testing.assert_allclose(left, missing, atol=1e-5)


@pytest.mark.parametrize("codec", [RMS, SCREEN], ids=["root_rms", "image_25d"])
def test_loss_with_nothing_hidden_is_the_supervised_one_and_the_projection(codec):
  method = small(codec, joints=0.0, frames=0.0, weight_2d=3.0, terms=dict(velocity=2.0))
  plain = supervised.create(method.lifter, codec, loss="mpjpe", bone_weight=0.0, terms=dict(velocity=2.0))
  variables = method.init(KEY, batch())
  variables = jax.tree.map(lambda x: x + 0.05, variables)  # a fresh model predicts almost nothing
  compute = jax.jit(method.loss)
  all_3d = compute(variables, batch(), KEY)[0]
  np.testing.assert_allclose(all_3d, jax.jit(plain.loss)(variables, batch(), KEY)[0], rtol=1e-5)
  none_3d = compute(variables, batch((False, False)), KEY)[0]
  shown = batch()
  inputs = codec.encode(shown["keypoints_2d"], shown["camera"], shown["confidence"])
  outputs = method.infer(variables, inputs, KEY)
  if codec is RMS:
    error = losses.mpjpe(codec.project(outputs), inputs[..., :2])
  else:
    error = losses.mpjpe(outputs[..., :2] - outputs[..., :1, :2], inputs[..., :2] - inputs[..., :1, :2])
  np.testing.assert_allclose(none_3d, 3 * error.mean(), rtol=1e-4)


@pytest.mark.parametrize("name", ["root_rms", "canonical"])
@pytest.mark.parametrize("absent", [(3,), (3, 6, 16), (10,)], ids=str)
def test_the_true_pose_has_no_projection_error_whatever_a_detector_missed(name, absent):
  """A body on the optical axis at the codec's depth: what the projection is divided by leaves missing joints out."""
  codec = codecs.build(name, SKELETON)
  pose = (helpers.STANDING + np.float32([0, 0, codec.constants["depth_m"]]))[None, None]
  lens = jax.tree.map(lambda x: jnp.asarray(x)[None], cameras.create((1000, 1000), (500, 500), (1000, 1000)))
  confidence = np.ones((1, 1, 17), np.float32)
  confidence[..., list(absent)] = 0
  keypoints = np.asarray(cameras.project(jnp.asarray(pose), lens))
  inputs = codec.encode(keypoints, lens, confidence)
  outputs = codec.encode_target(pose, keypoints, lens, confidence)
  error = masked.projection_error(outputs, inputs, jnp.asarray(confidence), codec)
  np.testing.assert_allclose(error, 0, atol=1e-4)


def test_frames_without_3d_do_not_look_at_it():
  method = small(RMS, noise=True)
  variables = method.init(KEY, batch())
  mixed = batch((True, False))
  spoilt = {**mixed, "joints_3d": mixed["joints_3d"].at[1].multiply(jnp.nan)}
  step = jax.jit(jax.value_and_grad(method.loss, has_aux=True))
  (loss, (metrics, _)), gradient = step(variables, mixed, KEY)
  (again, _), of_spoilt = step(variables, spoilt, KEY)
  assert float(loss) == float(again) and {"projection_2d", "mpjpe_mm"} <= set(metrics)
  jax.tree.map(np.testing.assert_array_equal, gradient, of_spoilt)
  assert all(np.isfinite(x).all() for x in jax.tree.leaves(gradient))
  (other, _), _ = step(variables, mixed, jax.random.key(1))
  assert float(other) != float(loss)  # other joints hidden, other noise


def test_options_that_mean_nothing():
  lifter = models.build("mlp", width=8)
  for options, text in (
    (dict(joints=1.0), "joints=1.0"),
    (dict(frames=-0.1), "frames=-0.1"),
    (dict(fill="mean"), "fill='mean'"),
    (dict(loss="huber"), "huber"),
    (dict(terms=dict(speed=1.0)), "speed"),
  ):
    with pytest.raises(ValueError, match=text):
      masked.create(lifter, RMS, **options)
