"""Transforms: the mirror is a consistent scene, randomness depends on the key and the sample's place alone."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxpose import skeleton as skeletons
from jaxpose.data import cameras as rigs
from jaxpose.data import transforms
from jaxpose.geometry import camera as geometry
from jaxpose.geometry.camera import Camera

H36M = skeletons.get("h36m_17")


def make_batch(seed=0, frames=5, samples=8):
  """Samples seen by Human3.6M's distorted cameras in turn; camera space, pixels and world agree."""
  rng = np.random.default_rng(seed)
  four = [c for _, c in rigs.build("h36m").cameras(rng, np.zeros(3))]
  camera = Camera(*(np.stack(f) for f in zip(*(four[i % 4] for i in range(samples)))))
  joints = rng.uniform([-0.8, -0.8, 4.0], [0.8, 0.8, 6.0], (samples, frames, 17, 3)).astype(np.float32)
  keypoints = np.asarray(geometry.project(jnp.asarray(joints), camera))
  confidence = rng.uniform(0.1, 1, keypoints.shape[:-1]).astype(np.float32)
  valid = np.ones(confidence.shape[:2], bool)
  return {"keypoints_2d": keypoints, "confidence": confidence, "joints_3d": joints, "valid": valid, "camera": camera}


def assert_equal(one, two, **kwargs):
  jax.tree.map(partial(np.testing.assert_allclose, **kwargs), one, two)


@settings(max_examples=3, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32 - 1))
def test_flip_is_a_consistent_mirror_of_world_and_camera(seed):
  batch = make_batch(seed)
  mirrored = transforms.flip(batch, H36M)
  # Projecting the mirrored joints with the mirrored camera gives the mirrored keypoints, distortion included.
  projected = geometry.project(mirrored["joints_3d"], mirrored["camera"])
  np.testing.assert_allclose(projected, mirrored["keypoints_2d"], atol=5e-3)
  width = batch["camera"].size[:, None, None, 0]
  left, right = H36M.index("left_wrist"), H36M.index("right_wrist")
  np.testing.assert_allclose(
    mirrored["keypoints_2d"][:, :, left, 0], (width - batch["keypoints_2d"][..., 0])[:, :, right], rtol=1e-6
  )
  np.testing.assert_array_equal(mirrored["keypoints_2d"][:, :, left, 1], batch["keypoints_2d"][:, :, right, 1])
  np.testing.assert_array_equal(mirrored["confidence"][:, :, left], batch["confidence"][:, :, right])
  # The camera sees the mirrored world: x -> -x there too, by a proper rotation.
  world = np.array(geometry.camera_to_world(jnp.asarray(batch["joints_3d"]), batch["camera"]))
  there = geometry.camera_to_world(mirrored["joints_3d"], mirrored["camera"])
  np.testing.assert_allclose(there, world[:, :, list(H36M.flip)] * np.array([-1, 1, 1]), atol=1e-5)
  np.testing.assert_allclose(np.linalg.det(mirrored["camera"].rotation), 1, atol=1e-5)
  assert_equal(transforms.flip(mirrored, H36M), batch, rtol=1e-6, atol=1e-4)


def test_flip_pose_swaps_sides_and_is_an_involution():
  pose = make_batch()["joints_3d"]
  mirrored = transforms.flip_pose(pose, H36M)
  np.testing.assert_array_equal(mirrored, transforms.flip(make_batch(), H36M)["joints_3d"])
  np.testing.assert_array_equal(mirrored[:, :, H36M.index("left_hip"), 0], -pose[:, :, H36M.index("right_hip"), 0])
  np.testing.assert_array_equal(transforms.flip_pose(mirrored, H36M), pose)


def test_flip_takes_batches_without_targets_and_keeps_what_it_does_not_know():
  batch = make_batch()
  del batch["joints_3d"]
  batch["instance"] = np.arange(8)
  mirrored = transforms.flip(batch, H36M)
  assert set(mirrored) == set(batch)
  np.testing.assert_array_equal(mirrored["instance"], batch["instance"])


def test_random_flip_chooses_whole_samples():
  batch = make_batch(samples=64)
  mirrored = transforms.flip(batch, H36M)
  result = transforms.random_flip(batch, jax.random.key(0), H36M, 0.5)
  flipped = np.array([np.array_equal(r, m) for r, m in zip(result["keypoints_2d"], mirrored["keypoints_2d"])])
  assert 16 < flipped.sum() < 48

  def pick(mirrored, given):
    return np.where(flipped.reshape((-1,) + (1,) * (given.ndim - 1)), mirrored, given)

  for name in ("keypoints_2d", "confidence", "joints_3d", "camera"):
    assert_equal(result[name], jax.tree.map(pick, mirrored[name], batch[name]))
  assert_equal(transforms.random_flip(batch, jax.random.key(0), H36M, 0.0), batch)
  assert_equal(transforms.random_flip(batch, jax.random.key(0), H36M, 1.0), mirrored)


def test_keypoint_noise_has_its_standard_deviation_and_spares_missing_joints():
  batch = make_batch(frames=40)
  batch["confidence"][:, :, 3] = 0
  noisy = transforms.keypoint_noise(batch, jax.random.key(1), 2.5)
  added = noisy["keypoints_2d"] - batch["keypoints_2d"]
  np.testing.assert_array_equal(added[:, :, 3], 0)
  np.testing.assert_allclose(np.delete(added, 3, 2).std(), 2.5, rtol=0.05)
  assert abs(np.delete(added, 3, 2).mean()) < 0.1
  np.testing.assert_array_equal(noisy["joints_3d"], batch["joints_3d"])


def test_missing_joints_go_to_the_root_with_confidence_zero():
  batch = make_batch(frames=40)
  skeleton = skeletons.get("mpi_inf_3dhp_17")  # its root is joint 14
  result = transforms.missing_joints(batch, jax.random.key(2), skeleton, 0.3)
  dropped = np.asarray(result["confidence"]) == 0
  assert not dropped[..., 14].any()
  np.testing.assert_allclose(np.delete(dropped, 14, -1).mean(), 0.3, atol=0.03)
  root = np.broadcast_to(batch["keypoints_2d"][..., 14:15, :], batch["keypoints_2d"].shape)
  expected = np.where(dropped[..., None], root, batch["keypoints_2d"])
  np.testing.assert_array_equal(result["keypoints_2d"], expected)
  np.testing.assert_array_equal(np.where(dropped, 0, batch["confidence"]), result["confidence"])


ALL = transforms.augment(
  partial(transforms.random_flip, skeleton=H36M),
  partial(transforms.keypoint_noise, std_px=1.0),
  partial(transforms.missing_joints, skeleton=H36M, probability=0.2),
)


def test_augment_gives_each_function_its_own_key():
  batch, key = make_batch(), jax.random.key(3)

  @jax.jit
  def one_by_one(batch):
    batch = transforms.random_flip(batch, jax.random.fold_in(key, 0), H36M)
    batch = transforms.keypoint_noise(batch, jax.random.fold_in(key, 1), 1.0)
    return transforms.missing_joints(batch, jax.random.fold_in(key, 2), H36M, 0.2)

  assert_equal(jax.jit(ALL)(batch, key), one_by_one(batch), rtol=1e-6)
  assert_equal(transforms.augment()(batch, key), batch)


def test_results_depend_on_the_samples_place_and_not_on_the_batch_or_its_sharding():
  batch, key = make_batch(frames=2), jax.random.key(4)
  apply = jax.jit(ALL)
  whole = apply(batch, key)
  some = apply(jax.tree.map(lambda a: a[:3], batch), key)
  assert_equal(some, jax.tree.map(lambda a: a[:3], whole), rtol=1e-5)
  mesh = Mesh(np.array(jax.devices()), ("data",))
  sharded = jax.device_put(batch, NamedSharding(mesh, PartitionSpec("data")))
  assert_equal(apply(sharded, key), whole, rtol=1e-5)


def test_errors_name_the_value():
  batch, key = make_batch(samples=1), jax.random.key(0)
  with pytest.raises(ValueError, match="probability=1.5"):
    transforms.random_flip(batch, key, H36M, 1.5)
  with pytest.raises(ValueError, match="probability=-0.1"):
    transforms.missing_joints(batch, key, H36M, -0.1)
  with pytest.raises(ValueError, match="std_px=-1"):
    transforms.keypoint_noise(batch, key, -1.0)
