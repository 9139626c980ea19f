"""The overlay: drawn where the joints are, upright whatever the video's rotation, each frame at its own time."""

import numpy as np
import pytest

from jaxpose import video
from jaxpose.export import overlay
from jaxpose.keypoints import sample
from tests.export.people import H36M, lifted

av = pytest.importorskip("av", reason="videos need the extra video")


def make(path, frames=12, size=(320, 180), turned=0, seconds=None):
  """A video of a frame that is red in its upper left corner and green in its lower right one."""
  image = np.full((size[1], size[0], 3), 40, np.uint8)
  image[:40, :40], image[-40:, -40:] = (220, 0, 0), (0, 200, 0)
  seconds = np.arange(frames) / 25 if seconds is None else seconds
  if not turned:
    video.write(path, (video.Frame(image, float(s)) for s in seconds), 25)
    return image
  with av.open(str(path), "w") as container:
    stream = container.add_stream("mpeg4", rate=25)
    stored = np.ascontiguousarray(np.rot90(image, -turned // 90))
    stream.height, stream.width, stream.pix_fmt = *stored.shape[:2], "yuv420p"
    if not hasattr(stream, "set_display_rotation"):
      pytest.skip("this PyAV writes no rotation")
    stream.set_display_rotation(turned)
    for _ in seconds:
      container.mux(stream.encode(av.VideoFrame.from_ndarray(stored, format="rgb24")))
    container.mux(stream.encode())
  return image


def test_a_video_says_its_size_rate_and_length(tmp_path):
  make(tmp_path / "v.mp4", 30)
  assert video.probe(tmp_path / "v.mp4") == video.Facts((320, 180), 25.0, 30)


@pytest.mark.parametrize("turned", [90, 180, -90])
def test_rotation_metadata_is_honoured(tmp_path, turned):
  image = make(tmp_path / "v.mp4", 3, turned=turned)
  assert video.probe(tmp_path / "v.mp4").size == (320, 180)
  for frame in video.read(tmp_path / "v.mp4"):
    assert frame.image.shape == image.shape
    assert np.abs(frame.image[10, 10].astype(int) - (220, 0, 0)).max() < 40
    assert np.abs(frame.image[-10, -10].astype(int) - (0, 200, 0)).max() < 40


def test_times_are_kept(tmp_path):
  seconds = np.cumsum([0, 0.04, 0.04, 0.12, 0.04, 0.5, 0.04])
  make(tmp_path / "v.mp4", seconds=seconds)
  np.testing.assert_allclose([f.seconds for f in video.read(tmp_path / "v.mp4")], seconds, atol=1e-3)


def test_people_are_drawn_where_they_are(tmp_path):
  grey = np.full((720, 1280, 3), 90, np.uint8)
  people = lifted(20, gaps=False)
  drawn = overlay.paint(grey, people.keypoints_2d[5], H36M, status=people.status[5], ids=people.ids)
  assert drawn.shape == grey.shape and (grey == 90).all()
  changed = np.argwhere((drawn != grey).any(-1))
  for x, y in people.keypoints_2d[5].reshape(-1, 2):
    assert np.abs(changed - (y, x)).max(-1).min() <= 3
  box = people.keypoints_2d[5].reshape(-1, 2)
  inside = (changed[:, ::-1] >= box.min(0) - 30).all(-1) & (changed[:, ::-1] <= box.max(0) + 30).all(-1)
  assert inside.all()
  nobody = overlay.paint(grey, np.full((1, 17, 2), np.nan, np.float32), H36M, ids=(1,))
  np.testing.assert_array_equal(nobody, grey)


def test_poses_seen_by_the_camera_again_lie_on_the_keypoints():
  people = lifted(20, gaps=False)
  np.testing.assert_allclose(overlay.reprojected(people), people.keypoints_2d, atol=0.01)
  assert overlay.reprojected(lifted(20, world=False)) is None


@pytest.mark.parametrize("first", [0, 1, 3])
def test_the_overlay_has_the_video_s_frames_and_draws_on_those_of_the_recording(tmp_path, first):
  make(tmp_path / "v.mp4", 12, sample.SIZE)
  people = lifted(6, gaps=False)
  people = type(people)(**{**vars(people), "frames": np.arange(first, first + 6)})
  assert overlay.write(tmp_path / "o.mp4", people, tmp_path / "v.mp4") == 12
  before, after = (list(video.read(tmp_path / n)) for n in ("v.mp4", "o.mp4"))
  np.testing.assert_allclose([f.seconds for f in after], [f.seconds for f in before], atol=1e-3)
  differs = [np.abs(a.image.astype(int) - b.image).max() > 90 for a, b in zip(before, after)]
  start = 0 if first <= 1 else first
  assert differs == [start <= t < start + 6 for t in range(12)]


def test_what_is_no_video(tmp_path):
  (tmp_path / "v.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(500))
  with pytest.raises(ValueError, match=r"v.mp4 is no video, or a damaged one"):
    video.probe(tmp_path / "v.mp4")
  with pytest.raises(FileNotFoundError, match=r"there is no video .*w.mp4"):
    overlay.write(tmp_path / "o.mp4", lifted(5), tmp_path / "w.mp4")
  with pytest.raises(ValueError, match="o.mp4: no frame to write"):
    video.write(tmp_path / "o.mp4", iter(()), 25)
  assert {p.name for p in tmp_path.iterdir()} == {"v.mp4"}


def test_keypoints_take_size_rate_and_length_from_their_video(tmp_path):
  from jaxpose import keypoints
  from tests.keypoints import files

  make(tmp_path / "v.mp4", 30, sample.SIZE)
  points, confidence = files.people("halpe_26", 24)
  (tmp_path / "r.json").write_bytes(files.alphapose(points, confidence))
  tracks = keypoints.read(tmp_path / "r.json", video=tmp_path / "v.mp4")
  assert (len(tracks), tracks.fps, tracks.image_size) == (30, 25.0, sample.SIZE)
  make(tmp_path / "w.mp4", 20, sample.SIZE)
  with pytest.raises(ValueError, match="somebody in frame 23, but the recording has 20 frames"):
    keypoints.read(tmp_path / "r.json", video=tmp_path / "w.mp4")
