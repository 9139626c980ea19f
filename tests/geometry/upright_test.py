"""The upright world: of walking people, seen by cameras that are pitched, from feet that stand and from bodies."""

import numpy as np
import pytest

from jaxpose import skeleton as skeletons
from jaxpose import smoothing
from jaxpose.data import cameras
from jaxpose.geometry import camera as geometry
from jaxpose.geometry import placement, rotation, upright
from jaxpose.synthetic import motion

H36M, FPS = skeletons.get("h36m_17"), 30.0


def camera(pitch_deg, roll_deg=0.0):
  """A camera 4.5 m away whose forward axis is pitched down; it aims at the person's chest."""
  pitch = np.radians(pitch_deg)
  place = np.array([0, -4.5 * np.cos(pitch), 0.9 + 4.5 * np.sin(pitch)], np.float32)
  turned = np.asarray(
    rotation.look_at(place, np.array([0, 0, 0.9], np.float32), np.array([0, 0, 1], np.float32)), np.float64
  )
  c, s = np.cos(np.radians(roll_deg)), np.sin(np.radians(roll_deg))
  roll = np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])
  return geometry.create((1150, 1150), (640, 360), (1280, 720), rotation=roll @ turned, position=place)


def world(index=0, frames=240, split="train"):
  made = motion.simulate(split, index, frames=frames).motion
  return cameras.place(made.positions_world.astype(np.float64), made, cameras.build("fixed_four"), FPS)


def seen(points, view):
  return points @ np.asarray(view.rotation, np.float64).T + np.asarray(view.translation, np.float64)


def off_deg(found, view):
  """The angle between the vertical found and the true one."""
  return np.degrees(np.arccos(np.clip(found.rotation[:, 2] @ np.asarray(view.rotation, np.float64)[:, 2], -1, 1)))


@pytest.mark.parametrize("pitch", [-20, -8, 0, 8, 20])
@pytest.mark.parametrize("index", [0, 7, 42])
def test_walking_from_contacts_and_from_bodies(pitch, index):
  view = camera(pitch)
  positions = seen(world(index), view)[:, None]
  found = upright.find(positions, H36M, FPS)
  assert found.source == "contacts" and found.contacts > 50
  assert off_deg(found, view) < 3
  assert abs(np.degrees(found.pitch_rad) - pitch) < 3
  bodies = upright.upright_bodies(positions, H36M)
  assert np.degrees(np.arccos(bodies @ np.asarray(view.rotation)[:, 2])) < 6


@pytest.mark.parametrize("pitch", [-20, 0, 20])
@pytest.mark.parametrize("index", [0, 7, 42])
def test_walking_from_placed_and_noisy_poses(pitch, index):
  """As a lifter gives them: poses off by 20 mm, smoothed; places by keypoints off by 3 px, smoothed in depth."""
  view, rng = camera(pitch), np.random.default_rng(index)
  positions = seen(world(index), view)
  rays = positions[..., :2] / positions[..., 2:] + rng.normal(0, 3 / 1150, (*positions.shape[:2], 2))
  relative = positions - positions[:, :1]
  relative = smoothing.butterworth(relative + rng.normal(0, 0.02, positions.shape), FPS)
  places = np.asarray(placement.place_by_rays(relative, rays), np.float64)
  places = smoothing.along_rays(places, FPS)
  found = upright.find((relative + places[:, None])[:, None], H36M, FPS)
  assert off_deg(found, view) < 3


def test_the_world_is_level_and_on_its_floor():
  view = camera(15)
  points = world(0)
  positions = seen(points, view)[:, None].astype(np.float32)
  found = upright.find(positions, H36M, FPS)
  got = found.world(positions)
  assert got.dtype == np.float32
  np.testing.assert_allclose(got[:, 0, :, 2], points[..., 2], atol=0.12)  # heights, within 3 degrees over 5 m
  low = np.nanmin(got[..., 2], -1)
  assert abs(np.percentile(low, 1)) < 1e-5
  # world -> camera is a rotation that gives the camera's points back.
  np.testing.assert_allclose(got @ found.rotation.T + found.translation, positions, atol=1e-5)
  np.testing.assert_allclose(found.rotation @ found.rotation.T, np.eye(3), atol=1e-12)
  assert np.linalg.det(found.rotation) > 0
  # The camera stands over the origin, and looks along y.
  place = -found.rotation.T @ found.translation
  np.testing.assert_allclose(place[:2], 0, atol=1e-9)
  assert 1.8 < place[2] < 2.4 and (found.rotation.T @ [0, 0, 1.0])[1] > 0.9


def test_a_rolled_camera():
  view = camera(10, roll_deg=7)
  found = upright.find(seen(world(7), view)[:, None], H36M, FPS)
  assert off_deg(found, view) < 3


def test_people_who_stand_and_talk_are_upright_without_walking():
  view = camera(12)
  positions = seen(world(1), view)[:, None]
  assert off_deg(upright.find(positions, H36M, FPS), view) < 6
  slow = upright.find(positions[::10], H36M, FPS / 10)
  assert slow.source == "upright" and off_deg(slow, view) < 6


def test_missing_people_and_frames_change_nothing_else():
  view = camera(12)
  positions = seen(world(0), view)[:, None]
  more = np.concatenate([positions, np.full_like(positions, np.nan)], 1)
  whole = upright.find(positions, H36M, FPS)
  np.testing.assert_allclose(upright.find(more, H36M, FPS).rotation, whole.rotation, atol=1e-12)
  more[100:130] = np.nan
  assert off_deg(upright.find(more, H36M, FPS), view) < 3


def test_up_may_be_given_and_lying_people_tell_nothing():
  positions = seen(world(6, split="target"), camera(0))[:, None]  # lying
  with pytest.raises(ValueError, match="nobody ever stands upright .* --up=camera, or --up=DEGREES"):
    upright.find(positions[150:170], H36M, FPS)
  level = upright.find(positions, H36M, FPS, up="camera")
  np.testing.assert_allclose(level.rotation[:, 2], [0, -1, 0], atol=1e-12)
  down = upright.find(positions, H36M, FPS, up="20")
  assert down.source == "given" and abs(np.degrees(down.pitch_rad) - 20) < 1e-9
  np.testing.assert_allclose(down.rotation[:, 2], np.asarray(camera(20).rotation)[:, 2], atol=1e-6)
  for wrong in ("sky", 120.0):
    with pytest.raises(ValueError, match=f"--up={wrong}; expected auto, camera"):
      upright.find(positions, H36M, FPS, up=wrong)


def test_a_stair_does_not_tilt_the_floor():
  rng = np.random.default_rng(0)
  places = np.concatenate([rng.uniform(-2, 2, (12, 2)), rng.normal(0, 0.005, (12, 1))], -1)
  places[3, 2] += 0.18
  lean = np.radians(4)
  normal = upright._plane(places, np.array([np.sin(lean), 0, np.cos(lean)]))
  assert np.degrees(np.arccos(normal[2])) < 1
