import sys

import numpy as np
import pytest

from jaxpose import plot, skeleton
from jaxpose.data.clip import Motion
from jaxpose.synthetic import motion

H36M = skeleton.get("h36m_17")


@pytest.fixture(scope="module")
def motions():
  return list(motion.motions("train", 3, frames=30))


def camera_pose(one: Motion) -> np.ndarray:
  """The first pose in camera axes, 4 m away."""
  return one.positions_world[0] * (1, -1, -1) + (0, 1, 4)


def example(motion_: Motion, **predictions) -> plot.Example:
  joints = camera_pose(motion_)
  keypoints = joints[:, :2] / joints[:, 2:] * 1000 + 500
  return plot.Example(keypoints, joints, predictions, H36M, title=motion_.action)


def heights(axes) -> np.ndarray:
  """Heights in the picture, bottom 0 to top 1, of all bones' ends."""
  ends = np.concatenate([np.reshape(c.get_segments(), (-1, 2)) for c in axes.collections if hasattr(c, "get_segments")])
  return axes.transAxes.inverted().transform(axes.transData.transform(ends))[:, 1]


@pytest.mark.parametrize("up", ["y", "z", "-y"])
def test_people_stand_upright_with_the_left_to_the_viewers_right(up):
  upright = np.array([(0.3, 1.8, 0.1), (-0.3, 0.0, 0.1)])  # left and high, right and low; the person faces +z
  turned = {"y": upright, "z": upright[:, [0, 2, 1]] * (1, -1, 1), "-y": upright * (1, -1, -1)}[up]
  seen = plot.orthographic(turned, up, 0.0, 0.0)
  assert seen[0, 1] - seen[1, 1] == pytest.approx(1.8)
  assert seen[0, 0] - seen[1, 0] == pytest.approx(0.6)  # who faces the viewer has the left at the viewer's right
  np.testing.assert_allclose(seen[:, 2], -0.1)  # nearer than the origin
  lengths = np.linalg.norm(np.diff(plot.orthographic(turned, up, 1.1, 0.4), axis=0))
  assert lengths == pytest.approx(np.linalg.norm(np.diff(upright, axis=0)))


def test_unknown_axis_is_refused():
  with pytest.raises(ValueError, match="'y', 'z' or '-y'"):
    plot.orthographic(np.zeros((2, 3)), "x")


def test_sides_have_their_colours():
  colours = dict(zip([H36M.names[c] for c, _ in H36M.bones], plot.bone_colours(H36M)))
  assert colours["left_wrist"] == plot.LEFT and colours["right_knee"] == plot.RIGHT
  assert colours["thorax"] == colours["head_top"] == plot.MIDDLE


def test_contact_sheet_is_a_small_picture(motions, tmp_path):
  path = tmp_path / "sheet.png"
  figure = plot.contact_sheet(motions, path, poses=4)
  assert path.read_bytes()[:4] == b"\x89PNG" and path.stat().st_size < 200_000
  drawn = [axes for axes in figure.axes if axes.collections]
  assert len(drawn) == 3 and all(len(axes.collections) == 4 for axes in drawn)
  assert all(heights(axes).min() >= 0 and heights(axes).max() <= 1 for axes in drawn)
  with pytest.raises(ValueError, match="at least one motion"):
    plot.contact_sheet([])


def test_gallery_shows_errors_and_the_right_way_up(motions, tmp_path):
  one = motions[0]
  joints = camera_pose(one)
  shifted = joints - joints[:1] + (np.arange(17)[:, None] > 0) * (0, 0, 0.034)
  figure = plot.gallery([example(one, exact=joints, shifted=shifted)] * 2, tmp_path / "gallery.png", view=(0.0, 0.0))
  titles = [axes.get_title() for axes in figure.axes]
  assert titles[:3] == [one.action, "exact   0 mm", "shifted   32 mm"]
  head = H36M.index("head_top")
  flat = (example(one).keypoints_2d, plot.orthographic(joints - joints[:1], "-y", 0.0, 0.0))
  for axes, points in zip(figure.axes[:2], flat):
    assert axes.get_aspect() == 1
    top = axes.transAxes.inverted().transform(axes.transData.transform(points[head, :2]))[1]
    assert heights(axes).max() == pytest.approx(top)
  assert (tmp_path / "gallery.png").stat().st_size > 5000


def test_gallery_needs_the_same_methods_everywhere(motions):
  joints = camera_pose(motions[0])
  with pytest.raises(ValueError, match="'other'"):
    plot.gallery([example(motions[0], one=joints), example(motions[0], other=joints)])


def test_missing_joints_are_left_out(motions):
  confidence = np.ones(17)
  confidence[H36M.index("left_wrist")] = 0
  figure = plot._figure((2.0, 2.0))
  axes = figure.subplots()
  plot.draw_skeleton_2d(axes, camera_pose(motions[0])[:, :2], H36M, confidence=confidence)
  assert len(axes.collections[0].get_segments()) == len(H36M.bones) - 1


def test_intervals_and_curves(tmp_path):
  rows = {"baseline": (66.1, 64.0, 68.5), "adapted": (58.8, 57.0, 60.1)}
  figure = plot.intervals_plot(rows, tmp_path / "rows.png", reference=66.1)
  axes = figure.axes[0]
  assert [label.get_text() for label in axes.get_yticklabels()] == list(rows)
  assert axes.get_yticks()[0] > axes.get_yticks()[1]  # the first on top
  with pytest.raises(ValueError, match="baseline.*reversed"):
    plot.intervals_plot({"baseline": (1.0, 3.0, 2.0)})
  lines = plot.curves({"loss": (np.arange(3), [3.0, 2.0, 1.5])}, tmp_path / "curves.png", log_y=True)
  assert [t.get_text() for t in lines.axes[0].texts] == ["loss"]


def test_pyplot_stays_untouched(motions):
  plot.contact_sheet(motions[:1], poses=2)
  if "matplotlib.pyplot" in sys.modules:
    assert not sys.modules["matplotlib.pyplot"].get_fignums()
