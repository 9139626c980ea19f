"""Codecs: decode inverts encode, constants survive JSON, gradients are finite, projections reproduce inputs."""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxpose import codec as codecs
from jaxpose import skeleton as skeletons
from jaxpose.data import cameras as rigs
from jaxpose.data.clip import Clip
from jaxpose.geometry import camera as cameras
from jaxpose.geometry.camera import Camera

H36M = skeletons.get("h36m_17")
FOUR = [c for _, c in rigs.build("h36m").cameras(np.random.default_rng(0), np.zeros(3))]
CAMERAS = Camera(*(np.stack(f) for f in zip(*FOUR)))  # a batch of four real cameras
PROJECTING = ("root_scaled", "root_rms", "canonical")


def bodies(seed, frames=3, skeleton=H36M, spread=1.0):
  """Random joints [4, T, J, 3] about 5 m before the cameras, and their keypoints [4, T, J, 2]."""
  rng = np.random.default_rng(seed)
  root = rng.uniform([-0.8, -0.8, 4.0], [0.8, 0.8, 6.0], (4, frames, 1, 3))
  joints = (root + spread * rng.normal(0, 0.3, (4, frames, skeleton.num_joints, 3))).astype(np.float32)
  return joints, np.asarray(cameras.project(jnp.asarray(joints), CAMERAS))


def make_clips(skeleton=H36M):
  joints, keypoints = bodies(0, 40, skeleton)
  ones = np.ones(keypoints.shape[1:3], np.float32)
  return [Clip(k, ones, j, ones[:, 0] > 0, c, skeleton, 50.0) for k, j, c in zip(keypoints, joints, FOUR)]


CLIPS = make_clips()
ALL = {name: codecs.build(name, H36M, clips=CLIPS) for name in codecs.CODECS}
ALL["zscore_rays"] = codecs.build("zscore", H36M, {"space": "rays"}, CLIPS)
ALL["canonical_confidence"] = codecs.build("canonical", H36M, {"confidence_channel": 1})


def relative(joints, root=0):
  return joints - joints[..., root : root + 1, :]


@pytest.mark.parametrize("name", [n for n in ALL if n != "image_25d"])
@settings(max_examples=4, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32 - 1))
def test_decode_inverts_encode_target(name, seed):
  joints, keypoints = bodies(seed)
  targets = ALL[name].encode_target(joints, keypoints, CAMERAS)
  decoded = ALL[name].decode(targets, keypoints, CAMERAS)
  np.testing.assert_allclose(decoded, relative(joints), atol=2e-6)


@pytest.mark.parametrize("name", ALL)
def test_inputs_of_missing_joints_are_zero_whatever_their_pixels(name):
  joints, keypoints = bodies(1)
  confidence = np.ones(keypoints.shape[:-1], np.float32)
  confidence[:, :, 5] = 0
  holes, far = keypoints.copy(), keypoints.copy()
  holes[:, :, 5], far[:, :, 5] = np.nan, 1e4
  inputs = ALL[name].encode(holes, CAMERAS, confidence)
  np.testing.assert_array_equal(inputs[:, :, 5], 0)
  np.testing.assert_array_equal(inputs, ALL[name].encode(far, CAMERAS, confidence))
  gradient = jax.jit(jax.grad(lambda k: jnp.sum(ALL[name].encode(k, CAMERAS, jnp.asarray(confidence)) ** 2)))
  assert np.isfinite(gradient(jnp.asarray(holes))).all()
  # A missing root: the body is centred on the joints present, and decoding still inverts encoding.
  confidence[:, :, 0], holes[:, :, 0] = 0, np.nan
  inputs = ALL[name].encode(holes, CAMERAS, confidence)
  assert np.isfinite(inputs).all()
  np.testing.assert_array_equal(inputs[:, :, 0], 0)
  if name != "image_25d":
    targets = ALL[name].encode_target(joints, holes, CAMERAS, confidence)
    np.testing.assert_allclose(ALL[name].decode(targets, holes, CAMERAS, confidence), relative(joints), atol=2e-6)


@pytest.mark.parametrize("name", ALL)
def test_is_traceable_differentiable_and_free_of_the_batch(name):
  codec = ALL[name]
  joints, keypoints = (jnp.asarray(a) for a in bodies(2))

  def through(joints, keypoints, camera):
    targets = codec.encode_target(joints, keypoints, camera)
    return codec.encode(keypoints, camera), targets, codec.decode(targets, keypoints, camera)

  whole = through(joints, keypoints, CAMERAS)
  for one, many in zip(jax.vmap(through)(joints, keypoints, CAMERAS), whole):
    np.testing.assert_allclose(one, many, rtol=1e-4, atol=1e-5)
  # Degenerate poses: all joints in one point, and on one line.
  gradient = jax.jit(jax.grad(lambda j, k: sum(jnp.sum(x**2) for x in through(j, k, CAMERAS)), (0, 1)))
  for scale in (0.0, 1.0):
    point = jnp.asarray([0.1, 0.2, 5.0]).reshape(1, 1, 1, 3)
    line = point + scale * jnp.linspace(0, 1, 17).reshape(1, 1, 17, 1) * jnp.ones((4, 2, 17, 3))
    assert all(np.isfinite(g).all() for g in gradient(line, cameras.project(line, CAMERAS)))


@pytest.mark.parametrize("name", ALL)
def test_json_round_trip(name):
  codec = ALL[name]
  again = codecs.from_json(json.loads(json.dumps(codec.to_json())))
  assert again == codec and hash(again) == hash(codec) and again.name == codec.name
  _, keypoints = bodies(3)
  np.testing.assert_array_equal(again.encode(keypoints, CAMERAS), codec.encode(keypoints, CAMERAS))


@pytest.mark.parametrize("name", codecs.CODECS)
def test_confidence_as_a_third_channel(name):
  plain = ALL[name]
  codec = codecs.build(name, H36M, {"confidence_channel": 1}, CLIPS)
  joints, keypoints = bodies(4)
  confidence = np.random.default_rng(0).uniform(0.1, 1, keypoints.shape[:-1]).astype(np.float32)
  confidence[0, 0, 3] = 0
  inputs = codec.encode(keypoints, CAMERAS, confidence)
  assert (plain.channels, codec.channels) == (2, 3) and inputs.shape == (*keypoints.shape[:-1], 3)
  np.testing.assert_array_equal(inputs[..., 2], confidence)
  np.testing.assert_array_equal(inputs[..., :2], plain.encode(keypoints, CAMERAS, confidence))
  np.testing.assert_array_equal(codec.encode(keypoints, CAMERAS)[..., 2], 1)
  np.testing.assert_array_equal(
    codec.encode_target(joints, keypoints, CAMERAS), plain.encode_target(joints, keypoints, CAMERAS)
  )
  # It travels with the checkpoint, where it is on; off is as if it had not been said.
  assert codecs.from_json(codec.to_json()) == codec != plain
  assert codecs.build(name, H36M, {"confidence_channel": 0}, CLIPS) == plain
  with pytest.raises(ValueError, match="confidence_channel=2.0, expected 0 or 1"):
    codecs.build(name, H36M, {"confidence_channel": 2}, CLIPS)


def test_screen_equals_the_golden_numbers():
  with np.load(pathlib.Path(__file__).parent / "golden" / "h36m_camera.npz") as z:
    pixels, screen, size = z["pixels"], z["screen"], z["resolution_wh"]
  camera = cameras.create((1, 1), (0, 0), size)
  np.testing.assert_allclose(codecs.build("screen", H36M).encode(pixels, camera), screen, atol=1e-6)


def image_25d_reference(joints_mm, camera):
  """The published recipe in float64 and millimetres: the pose in image space (pixels) and the factor (mm a pixel)."""
  fx, fy = np.asarray(camera.focal, np.float64)
  root = joints_mm[0]
  left, right = (fx * (root[0] + side) / root[2] + camera.center[0] for side in (-1000, 1000))
  ratio = (right - left + 1) / 2000
  image = np.stack(
    [
      fx * joints_mm[:, 0] / joints_mm[:, 2] + camera.center[0],
      fy * joints_mm[:, 1] / joints_mm[:, 2] + camera.center[1],
      ratio * (joints_mm[:, 2] - root[2]),
    ],
    -1,
  )
  image, body = image - image[0], joints_mm - root
  return image, np.sum(image * body) / np.sum(image * image)


@settings(max_examples=3, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32 - 1))
def test_image_25d_equals_the_published_recipe(seed):
  joints, keypoints = bodies(seed)
  codec = codecs.build("image_25d", H36M)
  targets = codec.encode_target(joints, keypoints, CAMERAS)
  factor = codec.factor(joints, CAMERAS)
  decoded = codec.decode(targets, keypoints, CAMERAS, factor=factor)
  for i, t in np.ndindex(4, 3):
    image, expected = image_25d_reference(joints[i, t].astype(np.float64) * 1000, FOUR[i])
    np.testing.assert_allclose(targets[i, t] * FOUR[i].size[0] / 2, image, atol=2e-3)  # pixels
    np.testing.assert_allclose(1000 * factor[i, t], expected, rtol=1e-5)
    np.testing.assert_allclose(1000 * decoded[i, t], expected * image, atol=2e-2)  # millimetres


def test_image_25d_is_metric_for_bodies_that_are_small_beside_their_distance():
  joints, keypoints = bodies(4, spread=0.01)
  joints = relative(joints) + np.array([0, 0, 5], np.float32)  # on the axis: no parallax
  codec = ALL["image_25d"]
  decoded = codec.decode(
    codec.encode_target(joints, keypoints, CAMERAS), keypoints, CAMERAS, factor=codec.factor(joints, CAMERAS)
  )
  np.testing.assert_allclose(decoded, relative(joints), atol=1e-4)  # of 10 mm; the published + 1 on the box costs 0.2 %


def test_image_25d_without_a_factor_scales_to_the_mean_bone_length():
  joints, keypoints = bodies(5)
  codec = ALL["image_25d"]
  decoded = codec.decode(codec.encode_target(joints, keypoints, CAMERAS), keypoints, CAMERAS)
  children, parents = np.array(H36M.bones).T
  lengths = np.linalg.norm(decoded[:, :, children] - decoded[:, :, parents], axis=-1).sum(-1)
  np.testing.assert_allclose(lengths, codec.constants["bone_length_m"], rtol=1e-4)
  with pytest.raises(ValueError, match="factor=.*bone_length_m"):
    codecs.build("image_25d", H36M).decode(joints, keypoints, CAMERAS)


def test_root_scaled_makes_the_mean_head_a_tenth():
  codec = ALL["root_scaled"]
  inputs = np.stack([codec.encode(c.keypoints_2d, c.camera) for c in CLIPS])
  head = H36M.index("head_top")
  np.testing.assert_allclose(np.linalg.norm(inputs[:, :, head], axis=-1).mean(), 1 / 10, rtol=1e-5)
  targets = np.stack([codec.encode_target(c.joints_3d, c.keypoints_2d, c.camera) for c in CLIPS])
  np.testing.assert_allclose(np.linalg.norm(targets[:, :, head], axis=-1).mean(), 1, rtol=1e-5)


def test_root_rms_has_unit_root_mean_square_over_the_joints_present():
  _, keypoints = bodies(6)
  confidence = np.ones(keypoints.shape[:-1], np.float32)
  confidence[..., 3:7] = 0
  for name in ("root_rms", "canonical"):
    np.testing.assert_allclose(np.mean(ALL[name].encode(keypoints, CAMERAS) ** 2, (-2, -1)), 1, rtol=1e-5)
    some = np.asarray(ALL[name].encode(keypoints, CAMERAS, confidence))[..., confidence[0, 0] > 0, :]
    np.testing.assert_allclose(np.mean(some**2, (-2, -1)), 1, rtol=1e-5)


def centred_at(depth, direction):
  """Bodies whose root is `depth` metres away along `direction`; their keypoints."""
  joints, _ = bodies(7)
  away = np.asarray(direction, np.float32) / np.linalg.norm(direction)
  joints = (relative(joints) + depth * away).astype(np.float32)
  return joints, cameras.project(jnp.asarray(joints), CAMERAS)


@pytest.mark.parametrize(
  "name, direction", [("root_rms", (0, 0, 1)), ("canonical", (0, 0, 1)), ("canonical", (0.3, -0.2, 1))]
)
def test_projecting_the_unrotated_pose_gives_the_input(name, direction):
  joints, keypoints = centred_at(5.0, direction)
  projected = ALL[name].project(ALL[name].encode_target(joints, keypoints, CAMERAS))
  np.testing.assert_allclose(projected, ALL[name].encode(keypoints, CAMERAS), atol=1e-4)


def seen_on_the_axis(name, rng, joints_missing):
  """The inputs of true poses on the axis at the codec's depth, some joints missing, and their targets."""
  codec, constants = ALL[name], ALL[name].constants
  lens = cameras.create((1100, 1150), (500, 480), (1000, 1000))
  pose = rng.normal(0, 0.3, (5, 17, 3))
  pose -= pose[:, :1]
  pose[..., 2] += constants["depth"] * constants["head_root_m"] if name == "root_scaled" else constants["depth_m"]
  confidence = np.ones((5, 17), np.float32)
  confidence[:, joints_missing] = 0
  if name == "canonical" and 0 in joints_missing:  # it looks at the mean of the joints it sees
    near = confidence[..., None] / pose[..., 2:]
    pose[..., :2] -= (near * pose[..., :2]).sum(1, keepdims=True) / near.sum(1, keepdims=True)
  pose = pose.astype(np.float32)
  keypoints = np.array(cameras.project(jnp.asarray(pose), lens))
  keypoints[confidence == 0] = np.nan
  inputs = codec.encode(keypoints, lens, confidence)
  if name == "root_scaled":  # its scale undone
    inputs *= constants["ray_distance"] * constants["depth"]
  return inputs, codec.encode_target(pose, keypoints, lens, confidence), confidence > 0


@pytest.mark.parametrize("name", PROJECTING)
@settings(max_examples=20, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32 - 1), joints_missing=st.sets(st.integers(0, 16), max_size=14))
def test_a_true_pose_projects_to_its_input_whatever_joints_are_missing(name, seed, joints_missing):
  inputs, targets, there = seen_on_the_axis(name, np.random.default_rng(seed), sorted(joints_missing))
  present = ALL[name].present(inputs)
  np.testing.assert_array_equal(present, there)
  projected = ALL[name].project(targets, present)
  np.testing.assert_allclose(np.where(there[..., None], projected, 0), inputs, atol=1e-4)


def test_present_joints_are_known_by_their_confidence_where_it_is_a_channel():
  codec = ALL["canonical_confidence"]
  _, keypoints = bodies(10)
  confidence = np.random.default_rng(0).integers(0, 2, keypoints.shape[:-1]).astype(np.float32)
  np.testing.assert_array_equal(codec.present(codec.encode(keypoints, CAMERAS, confidence)), confidence > 0)
  nothing = np.zeros((2, 17), np.float32)
  for name in PROJECTING:
    assert not np.any(ALL[name].present(np.zeros((2, 17, 2), np.float32)))
    project = lambda p, name=name: jnp.sum(ALL[name].project(p, nothing > 0) ** 2)  # noqa: E731
    assert np.isfinite(jax.grad(project)(jnp.zeros((2, 17, 3)))).all()


@pytest.mark.parametrize("name", PROJECTING)
def test_up_is_the_way_that_a_raised_joint_moves(name):
  """The last joint one metre above the root, in the world of the four cameras: its target is along up."""
  joints, _ = bodies(11)
  world_up = np.stack([c.rotation[:, 2] for c in FOUR])[:, None]
  joints[..., 16, :] = joints[..., 0, :] + world_up
  keypoints = np.asarray(cameras.project(jnp.asarray(joints), CAMERAS))
  raised = np.asarray(ALL[name].encode_target(joints, keypoints, CAMERAS))[..., 16, :]
  raised = raised / np.linalg.norm(raised, axis=-1, keepdims=True)
  up = ALL[name].up(keypoints, CAMERAS)
  assert up.shape == (4, 3, 3)
  np.testing.assert_allclose(up, raised, atol=1e-5)


def test_root_rms_projection_is_exact_for_flat_bodies_and_off_by_parallax_otherwise():
  codec = ALL["root_rms"]
  joints, keypoints = centred_at(4.0, (0.3, -0.2, 1))
  flat = np.array(joints)
  flat[..., 2] = flat[..., :1, 2]
  keypoints_flat = cameras.project(jnp.asarray(flat), CAMERAS)
  projected = codec.project(codec.encode_target(flat, keypoints_flat, CAMERAS))
  np.testing.assert_allclose(projected, codec.encode(keypoints_flat, CAMERAS), atol=1e-4)
  projected = codec.project(codec.encode_target(joints, keypoints, CAMERAS))
  assert np.abs(projected - codec.encode(keypoints, CAMERAS)).max() > 0.05  # docstring's claim is not vacuous


def test_root_scaled_projection_is_exact_on_the_axis_at_its_depth():
  codec = ALL["root_scaled"]
  constants = codec.constants
  joints, keypoints = centred_at(constants["depth"] * constants["head_root_m"], (0, 0, 1))
  inputs = codec.encode(keypoints, CAMERAS) * constants["ray_distance"] * constants["depth"]  # its scale undone
  np.testing.assert_allclose(codec.project(codec.encode_target(joints, keypoints, CAMERAS)), inputs, atol=1e-5)


@pytest.mark.parametrize("name", PROJECTING)
def test_projection_is_finite_for_any_output(name):
  for pose in (np.zeros((2, 17, 3)), np.random.default_rng(0).normal(0, 100, (2, 17, 3))):
    pose = jnp.asarray(pose, jnp.float32)
    value, gradient = jax.value_and_grad(lambda p: jnp.sum(ALL[name].project(p) ** 2))(pose)
    assert np.isfinite(value) and np.isfinite(gradient).all()


@pytest.mark.parametrize("name", ["screen", "image_25d", "zscore"])
def test_codecs_without_a_canonical_projection_say_so(name):
  with pytest.raises(ValueError, match="no canonical projection.*root_rms"):
    ALL[name].project(np.zeros((2, 17, 3), np.float32))


def test_canonical_input_does_not_depend_on_the_direction_of_view():
  """Turning the camera about its own centre moves the person in the image and leaves the input as it is."""
  joints, keypoints = centred_at(5.0, (0.05, 0.1, 1))
  angle = 0.1
  turn = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]], np.float32)
  turned = joints @ turn.T
  codec = ALL["canonical"]
  there = codec.encode(cameras.project(jnp.asarray(turned), CAMERAS), CAMERAS)
  here = codec.encode(keypoints, CAMERAS)

  # Up to the small roll between the two least rotations: compare the shapes by their joint distances.
  def gram(x):
    return np.einsum("...ic,...jc->...ij", x, x)

  np.testing.assert_allclose(gram(np.asarray(there)), gram(np.asarray(here)), atol=1e-3)
  naive = gram(np.asarray(ALL["root_rms"].encode(keypoints, CAMERAS)))
  assert np.abs(naive - gram(np.asarray(here))).max() > 0.01


def test_zscore_standardises_and_keeps_the_root():
  for name in ("zscore", "zscore_rays"):
    codec = ALL[name]
    inputs = np.concatenate([codec.encode(c.keypoints_2d, c.camera) for c in CLIPS])
    targets = np.concatenate([codec.encode_target(c.joints_3d, c.keypoints_2d, c.camera) for c in CLIPS])
    np.testing.assert_allclose(inputs.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(inputs.std(0), 1, atol=1e-4)
    np.testing.assert_allclose(targets[:, 1:].std(0), 1, atol=1e-4)
    np.testing.assert_array_equal(targets[:, 0], 0)


def test_other_skeletons_use_their_own_root_and_head():
  skeleton = skeletons.get("mpi_inf_3dhp_17")  # root 14
  clips = make_clips(skeleton)
  joints, keypoints = bodies(8, skeleton=skeleton)
  for name in ("root_scaled", "root_rms", "zscore", "screen", "canonical"):
    codec = codecs.build(name, skeleton, clips=clips)
    decoded = codec.decode(codec.encode_target(joints, keypoints, CAMERAS), keypoints, CAMERAS)
    np.testing.assert_allclose(decoded, relative(joints, 14), atol=2e-6)
  with pytest.raises(ValueError, match="coco_17.*head_top"):
    codecs.build("root_scaled", skeletons.get("coco_17"), clips=make_clips(skeletons.get("coco_17")))


def test_errors_name_the_value_and_the_way_out():
  with pytest.raises(ValueError, match="unknown codec 'zcore'; known are screen, image_25d"):
    codecs.build("zcore", H36M)
  with pytest.raises(ValueError, match="lacks 'constants'"):
    codecs.from_json({"name": "screen", "skeleton": ALL["screen"].to_json()["skeleton"]})
  with pytest.raises(ValueError, match="lacks the constant 'ray_distance'"):
    codecs.build("root_scaled", H36M)
  with pytest.raises(ValueError, match="no constant 'dept'; it has depth_m"):
    codecs.build("root_rms", H36M, {"dept": 3.0})
  with pytest.raises(ValueError, match="'depth_m' is nan, expected a positive"):
    codecs.build("root_rms", H36M, {"depth_m": float("nan")})
  with pytest.raises(ValueError, match="space='px'"):
    codecs.build("zscore", H36M, {"space": "px"}, CLIPS)
  with pytest.raises(ValueError, match=r"std_2d.*expected \(17, 2\)"):
    codecs.build("zscore", H36M, {**ALL["zscore"].constants, "std_2d": np.zeros((17, 2))})
  with pytest.raises(ValueError, match="skeleton 'h36m_16' but clip .* has 'h36m_17'"):
    codecs.build("zscore", skeletons.get("h36m_16"), clips=CLIPS)
  with pytest.raises(ValueError, match="no valid frame"):
    codecs.build("zscore", H36M, clips=[c.replace(valid=~c.valid) for c in CLIPS])
  with pytest.raises(ValueError, match="has none"):
    codecs.build("root_scaled", H36M, clips=[c.replace(joints_3d=None) for c in CLIPS])


def test_errors_on_arrays():
  codec = ALL["root_rms"]
  joints, keypoints = bodies(9)
  with pytest.raises(ValueError, match=r"expected \[\.\.\., 17, 2\]"):
    codec.encode(keypoints[..., :16, :], CAMERAS)
  with pytest.raises(ValueError, match=r"expected \[\.\.\., 17, 3\]"):
    codec.decode(joints[..., :16, :], keypoints[..., :16, :], CAMERAS)
  with pytest.raises(ValueError, match="batch axes"):
    codec.encode(keypoints[:3], CAMERAS)
  keypoints = keypoints.copy()
  keypoints[1, 2, 3] = np.nan
  with pytest.raises(ValueError, match=r"NaN or infinity at index \(1, 2, 3\).*confidence 0"):
    codec.encode(keypoints, CAMERAS)
