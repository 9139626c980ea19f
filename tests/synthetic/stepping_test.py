import numpy as np
import pytest

from jaxpose.synthetic import body, stepping

FRAMES = 300
BODY = body.proportioned(1.75)


def path(speed, turn=0.0):
  t = np.arange(FRAMES) / 30
  heading = turn * t
  step = speed / 30 * np.stack([np.sin(heading), np.zeros(FRAMES), np.cos(heading)], -1)
  return stepping.Path(np.cumsum(step, 0), heading, 0.9 * t)


def falls(walk, offset, duty=0.6, side=1):
  place = np.tile((0.1 * side, 0.0, 0.0), (FRAMES, 1))
  return stepping.footfalls(walk, offset=offset, duty=np.full(FRAMES, duty), place=place)


@pytest.mark.parametrize(("speed", "turn"), [(1.3, 0.0), (1.0, 0.8), (0.0, 1.0)])
def test_a_standing_foot_does_not_move(speed, turn):
  foot = falls(path(speed, turn), 0.0)
  planted = (foot.swing[1:] == 0) & (foot.swing[:-1] == 0)
  moved = np.linalg.norm(np.diff(foot.position, axis=0), axis=-1)
  assert planted.mean() == pytest.approx(0.6, abs=0.06)
  # The frame after a landing starts from the swing's last frame, which is not quite down.
  assert moved[planted].max() < 1e-9
  assert moved[~planted].max() > 0.01


def test_feet_keep_up_with_the_body_and_alternate():
  walk = path(1.3)
  left, right = falls(walk, 0.0), falls(walk, 0.5, side=-1)
  inside = slice(60, 240)
  assert np.abs(left.position - walk.position)[inside, 2].max() < 0.6
  assert not np.any((left.swing > 0) & (right.swing > 0))  # walking: one foot always stands
  flying = falls(walk, 0.0, duty=0.35), falls(walk, 0.5, duty=0.35, side=-1)
  assert np.any((flying[0].swing > 0) & (flying[1].swing > 0))  # running: both off the ground


def test_who_stands_does_not_lift_the_feet():
  foot = falls(path(0.0), 0.0)
  still = np.zeros(FRAMES)
  assert np.abs(stepping.roll_over(foot, still)).max() == 0
  assert np.abs(stepping.swing_lift(foot, still, BODY)).max() == 0
  ankle = stepping.ankle_over(BODY, foot, still, still)
  np.testing.assert_allclose(ankle[:, 1], BODY.ankle)


def test_a_rolling_foot_turns_over_its_ball_and_its_heel():
  foot = falls(path(0.0), 0.0)
  for degrees, pivot in ((40, BODY.ball), (-20, -BODY.heel)):
    ankle = stepping.ankle_over(BODY, foot, np.full(FRAMES, np.radians(degrees)), np.zeros(FRAMES))
    offset = ankle - foot.position - (0, 0, pivot)
    np.testing.assert_allclose(np.linalg.norm(offset, axis=-1), np.hypot(BODY.ankle, pivot), atol=1e-9)
    assert np.all(ankle[:, 1] > BODY.ankle)
