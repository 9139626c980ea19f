import numpy as np
import pytest

from jaxpose.synthetic import body, kinematics, track

BODY = body.proportioned(1.75)


def still(height=3.0, frames=20, heading=0.0, settled=1.0, pitch=0.0):
  zero = np.zeros(frames)
  angles = np.zeros((frames, len(kinematics.CHANNELS)))
  root_angles = np.stack([zero + heading, zero + pitch, zero, zero], -1)
  return track.Track(np.stack([zero, zero + height, zero], -1), root_angles, angles, zero + settled)


def clearance(one):
  return track.clearance(BODY, kinematics.forward(BODY, one.root, one.root_angles, one.angles).points)


def test_settle_puts_a_body_down_and_never_into_the_ground():
  np.testing.assert_allclose(clearance(track.settle(BODY, still())), 0, atol=1e-9)
  np.testing.assert_allclose(clearance(track.settle(BODY, still(pitch=-np.pi / 2))), 0, atol=1e-9)
  flying = track.settle(BODY, still(settled=0.0))
  np.testing.assert_allclose(flying.root[:, 1], 3.0)
  np.testing.assert_allclose(clearance(track.settle(BODY, still(height=0.5, settled=0.0))), 0, atol=1e-9)


def test_settle_clamps_joints():
  bent = still()
  bent.angles[:, kinematics.channel("left_knee_flexion")] = -1.0
  assert track.settle(BODY, bent).angles[:, kinematics.channel("left_knee_flexion")].min() == 0


def test_cross_fade_ends_at_both_tracks_and_turns_the_short_way():
  first, second = still(heading=3.0), still(heading=-3.0, height=1.0)
  faded = track.cross_fade(first, second, np.linspace(0, 1, 20))
  np.testing.assert_allclose(faded.root[[0, -1], 1], (3.0, 1.0))
  assert faded.root_angles[-1, 0] == pytest.approx(2 * np.pi - 3.0)
  assert np.all(np.abs(np.diff(faded.root_angles[:, 0])) < 0.05)


def test_anchor_keeps_what_stands_in_place():
  moving = still(height=0.0)
  moving.root[:, 2] = np.linspace(0, 1, 20)
  held = track.anchor(BODY, moving, np.ones(20))
  assert np.abs(held.root[:, 2]).max() < 1e-9
  free = track.anchor(BODY, moving, np.zeros(20))
  np.testing.assert_allclose(free.root, moving.root)
