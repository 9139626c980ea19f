import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxpose import skeleton as skeletons
from jaxpose.data import detector
from tests import helpers

KEY = jax.random.key(3)


def batch(frames=81, size=3):
  one = helpers.clip(frames)
  repeat = lambda x: jnp.repeat(jnp.asarray(x)[None], size, 0)  # noqa: E731
  values = {"keypoints_2d": repeat(one.keypoints_2d), "confidence": repeat(one.confidence)}
  return {**values, "camera": jax.tree.map(repeat, one.camera)}


def errors(values, **options):
  """In half widths of the image."""
  moved = detector.detector_noise(values, KEY, **options)
  return (moved["keypoints_2d"] - values["keypoints_2d"]) / 500, moved["confidence"]


def test_errors_have_the_spread_asked_for_and_last_a_while():
  values = batch(frames=27, size=64)  # key frames and frames coincide: no interpolation
  delta, _ = errors(values, jitter=0.0, weight=1.0, std=0.01, mean=0.002)
  assert float(delta.mean()) == pytest.approx(0.002, abs=2e-4)
  assert float(delta.std()) == pytest.approx(0.01, abs=2e-4)
  delta, _ = errors(values, jitter=0.0, weight=0.0, uniform=0.06)
  assert float(jnp.abs(delta).max()) <= 0.0301 and float(delta.std()) == pytest.approx(0.06 / 12**0.5, abs=5e-4)
  slow, _ = errors(batch(frames=243), jitter=0.0)
  quick, _ = errors(batch(frames=243), std=0.0, weight=1.0, jitter=0.01)
  assert np.abs(np.diff(slow, axis=1)).mean() < 0.2 * float(jnp.abs(slow).mean())
  assert float(quick.std()) == pytest.approx(0.01, abs=3e-4)


def test_frames_between_key_frames_are_on_a_line():
  delta, _ = errors(batch(frames=53), jitter=0.0)  # every second frame is a key frame
  np.testing.assert_allclose(delta[:, 1::2], (delta[:, :-1:2] + delta[:, 2::2]) / 2, atol=1e-5)


def test_confidence_follows_from_the_error():
  delta, certain = errors(batch(), confidence=(0.02, -0.5, 0.01, 0.0))
  distance = np.linalg.norm(delta, axis=-1)
  np.testing.assert_allclose(certain, np.clip(0.02 / (distance + 0.02) - 0.5 * distance + 0.01, 0, 1), atol=1e-4)
  _, certain = errors(batch(size=40), confidence=(0.1, 0.0, -0.5, 0.05), std=0.0, weight=1.0, jitter=0.0)
  assert float(certain.mean()) == pytest.approx(0.5, abs=0.01) and float(certain.std()) == pytest.approx(0.05, abs=0.01)


def test_joints_of_their_own_spread():
  std = [0.0] * 17
  std[3] = 0.02
  delta, _ = errors(batch(size=32), std=std, weight=1.0, jitter=0.0)
  still = np.delete(np.asarray(delta), 3, axis=2)
  assert np.abs(still).max() < 1e-6 and float(delta[:, :, 3].std()) > 0.01


def test_missing_joints_stay_missing():
  values = batch()
  values["confidence"] = values["confidence"].at[:, :, 5].set(0)
  moved = detector.detector_noise(values, KEY)
  np.testing.assert_array_equal(moved["keypoints_2d"][:, :, 5], values["keypoints_2d"][:, :, 5])
  assert not moved["confidence"][:, :, 5].any()


def test_a_clip_has_its_noise_whatever_else_is_in_the_batch():
  values = batch()
  alone = detector.detector_noise(jax.tree.map(lambda x: x[:1], values), KEY)
  together = detector.detector_noise(values, KEY)
  np.testing.assert_allclose(alone["keypoints_2d"][0], together["keypoints_2d"][0], rtol=1e-6)
  assert not np.allclose(together["keypoints_2d"][0], together["keypoints_2d"][1])
  single = detector.detector_noise(batch(frames=1), KEY)
  assert single["keypoints_2d"].shape == (3, 1, 17, 2)


def test_options_that_mean_nothing():
  for options in (dict(key_frames=0), dict(std=-1.0), dict(weight=1.5), dict(jitter=-0.1)):
    with pytest.raises(ValueError, match=f"{next(iter(options))}={next(iter(options.values()))}"):
      detector.detector_noise(batch(), KEY, **options)


H36M, COCO = skeletons.get("h36m_17"), skeletons.get("coco_17")


def people(size=400):
  one = helpers.clip(3, seed=4)
  repeat = lambda x: jnp.repeat(jnp.asarray(x)[None], size, 0)  # noqa: E731
  values = {name: repeat(getattr(one, name)) for name in ("keypoints_2d", "confidence", "joints_3d")}
  return {**values, "camera": jax.tree.map(repeat, one.camera)}


def test_joints_are_those_that_a_map_from_coco_gives():
  values = people()
  got = detector.detector_joints(values, KEY, H36M, 1.0)
  same = [H36M.index(n) for n in COCO.names if n in H36M.names and n != "nose"]
  np.testing.assert_allclose(got["keypoints_2d"][..., same, :], values["keypoints_2d"][..., same, :], atol=2e-4)
  pixels, at = np.asarray(values["keypoints_2d"]), {n: i for i, n in enumerate(H36M.names)}
  mean = lambda *names: np.mean([pixels[..., at[n], :] for n in names], 0)  # noqa: E731
  hips, shoulders = ("left_hip", "right_hip"), ("left_shoulder", "right_shoulder")
  for name, of in (("pelvis", hips), ("thorax", shoulders), ("spine", hips + shoulders)):
    np.testing.assert_allclose(got["keypoints_2d"][..., at[name], :], mean(*of), atol=2e-4)
  # The eyes are 40 mm from the nose, at 4 m before a focal length of 1145 px.
  seen = np.asarray(got["keypoints_2d"])
  away = np.linalg.norm(seen[..., at["head_top"], :] - seen[..., at["nose"], :], axis=-1)
  assert away.max() < 13 and np.median(away) > 3
  np.testing.assert_array_equal(np.unique(got["confidence"][..., at["head_top"]]), [0, 1])
  assert float(got["confidence"][:, 0, at["head_top"]].mean()) == pytest.approx(0.5, abs=0.08)
  np.testing.assert_array_equal(np.delete(got["confidence"], at["head_top"], -1), 1)


def test_a_missing_joint_is_missing_from_every_mean_it_is_in():
  values = people(8)
  values["confidence"] = values["confidence"].at[:, 1, H36M.index("left_hip")].set(0.0)
  got = np.asarray(detector.detector_joints(values, KEY, H36M, 1.0, crown=1.0)["confidence"])
  gone = [n for i, n in enumerate(H36M.names) if not got[0, 1, i]]
  assert gone == ["pelvis", "left_hip", "spine"] and got[:, [0, 2]].all()


def test_some_samples_keep_their_joints_and_chance_must_be_one():
  values = people()
  got = detector.detector_joints(values, KEY, H36M, 0.25)
  same = np.asarray((got["keypoints_2d"] == values["keypoints_2d"]).all((1, 2, 3)))
  assert same.mean() == pytest.approx(0.75, abs=0.07)
  np.testing.assert_array_equal(got["confidence"][same], 1)
  with pytest.raises(ValueError, match="probability=1.5"):
    detector.detector_joints(values, KEY, H36M, 1.5)
  with pytest.raises(ValueError, match="no joint 'nose'"):
    detector.detector_joints(values, KEY, skeletons.get("smpl_24"), 1.0)
