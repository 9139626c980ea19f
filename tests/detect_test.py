"""Keypoints of a video by a stand-in for rtmlib, behind the same interface: its weights cannot be part of a test."""

import dataclasses
import os
import pathlib
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest

from jaxpose import codec as codecs
from jaxpose import detect, experiment, keypoints, video
from jaxpose import skeleton as skeletons
from jaxpose.export import poses_npz
from jaxpose.graphs import picture
from jaxpose.graphs.graph import InferenceGraph
from jaxpose.methods.method import Method
from tests import helpers

ROOT = pathlib.Path(__file__).parents[1]
HALPE = skeletons.get("halpe_26")
# A person stands where a red square is. As rtmlib's, the pose model takes the whole image for a person without a box.
RTMLIB = """
import numpy as np
from jaxpose.keypoints import sample
from jaxpose import keypoints

class BodyWithFeet:
  def __init__(self, mode, backend, device):
    tracks = keypoints.read(sample.FILES["alphapose"], image_size=sample.SIZE, fps=25)
    body = tracks.keypoints[40, 0]
    self.body = (body - body.min(0)) / (body.max(0) - body.min(0))

  def det_model(self, bgr):
    red = (bgr[..., 2] > 150) & (bgr[..., 0] < 100)
    columns = np.flatnonzero(red.any(0))
    parts = np.split(columns, np.flatnonzero(np.diff(columns) > 1) + 1) if len(columns) else []
    return [[part[0], 40, part[-1], 200] for part in parts]

  def pose_model(self, bgr, bboxes):
    boxes = np.array(bboxes if len(bboxes) else [[0, 0, bgr.shape[1], bgr.shape[0]]], float)
    points = boxes[:, None, :2] + self.body * (boxes[:, 2:] - boxes[:, :2])[:, None]
    return points, np.full(points.shape[:2], 1.1)
"""


@pytest.fixture(scope="module")
def film(tmp_path_factory):
  """Twelve frames of 320x240: a person who walks right, nobody in frames 5 and 6, a second one from frame 8 on."""

  def frames():
    for t in range(12):
      image = np.full((240, 320, 3), 30, np.uint8)
      image[:, :, 2] = 200  # blue: nobody, unless channels are exchanged
      if t not in (5, 6):
        image[40:200, 40 + 4 * t : 104 + 4 * t] = [220, 20, 20]
      if t >= 8:
        image[40:200, 220:284] = [220, 20, 20]
      yield video.Frame(image, t / 25)

  path = tmp_path_factory.mktemp("film") / "v.mp4"
  assert video.write(path, frames(), 25) == 12
  return path


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
  (tmp_path / "rtmlib.py").write_text(RTMLIB)
  monkeypatch.syspath_prepend(tmp_path)
  yield tmp_path
  sys.modules.pop("rtmlib", None)


def test_people_are_detected_and_followed(film, stand_in):
  tracks = detect.people(film, detect.by_name("rtmlib"))
  assert tracks.image_size == (320, 240) and tracks.fps == pytest.approx(25, abs=0.01) and len(tracks) == 12
  expected = np.zeros((12, 2), bool)
  expected[[t for t in range(12) if t not in (5, 6)], 0] = expected[8:, 1] = True
  np.testing.assert_array_equal(tracks.present, expected)
  assert tracks.confidence[tracks.present].max() == 1
  left = tracks.keypoints[:5, 0, :, 0].min(-1)
  np.testing.assert_allclose(left, 40 + 4 * np.arange(5), atol=2.5)  # chroma is coarse


def test_a_detector_of_other_joints_and_one_who_sees_nobody(film):
  nobody = detect.Detector(lambda image: (np.zeros((0, 26, 2)), np.zeros((0, 26))), HALPE)
  with pytest.raises(ValueError, match=r"sure of nobody in any of 12 frames"):
    detect.people(film, nobody)
  with pytest.raises(ValueError, match=r"the detector gave \(1, 17, 2\)"):
    detect.people(film, detect.Detector(lambda image: (np.zeros((1, 17, 2)), np.zeros((1, 17))), HALPE))
  with pytest.raises(FileNotFoundError, match="no video"):
    detect.people("missing.mp4", nobody)
  with pytest.raises(ValueError, match="--detector=W; there is rtmlib"):
    detect.by_name("W")


def launch(script, *arguments, path):
  command = [sys.executable, "-m", f"launch.{script}", *map(str, arguments)]
  environment = {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(path)}
  return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


def test_from_a_video_to_keypoints_and_to_poses(film, stand_in, tmp_path):
  done = launch("detect", f"--video={film}", f"--output={tmp_path}/k.npz", path=stand_in)
  assert done.returncode == 0 and "2 people in 12 frames of 320x240, halpe_26" in done.stdout, done.stderr
  assert len(keypoints.read(tmp_path / "k.npz").ids) == 2
  done = launch("lift", f"--video={film}", f"--output={tmp_path}/out", "--write=json,mp4", path=stand_in)
  assert done.returncode == 0, done.stderr
  assert {p.name for p in (tmp_path / "out").iterdir()} == {"keypoints.npz", "poses.npz", "poses.json", "overlay.mp4"}
  assert poses_npz.read(tmp_path / "out" / "poses.npz").present.sum() == 16  # the gap of two frames is filled


def test_without_rtmlib_one_line_says_what_to_install(film, tmp_path):
  (tmp_path / "rtmlib.py").write_text("raise ImportError('not installed')")
  for script, output in (("lift", tmp_path / "out"), ("detect", tmp_path / "k.npz")):
    done = launch(script, f"--video={film}", f"--output={output}", path=tmp_path)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert done.stderr == "error: detecting people needs rtmlib: pip install 'jaxpose[detect]'\n"
    assert not output.exists()


def red_square(variables, arrays):
  """A network that knows a red square: a body's joints spread over it, the surer the more of it there is."""
  del variables
  image = jnp.asarray(arrays["images"])[:, 0]
  red = ((image[..., 0] > 0.6) & (image[..., 2] < 0.4)).astype(jnp.float32)
  places = jnp.arange(image.shape[1]) + 0.5
  total = jnp.maximum(red.sum((1, 2)), 1e-3)
  across = [(red.sum(1) * places[None]).sum(1) / total, (red.sum(2) * places[None]).sum(1) / total]
  rows, columns = red.max(2).sum(1), red.max(1).sum(1)
  template = np.linspace(-0.5, 0.5, 17)
  points = jnp.stack([m[:, None] + n[:, None] * template[None] for m, n in zip(across, (columns, rows))], -1)
  border = red.at[:, 1:-1, 1:-1].set(0).max((1, 2)) > 0  # who is cut off is not sure
  sure = jnp.where(border, 0.35, 0.5 + jnp.sqrt(total) / image.shape[1] / 2)
  return {
    "keypoints_2d": points[:, None],
    "confidence": jnp.broadcast_to(sure[:, None, None], points[:, None, :, 0].shape),
  }


def test_an_image_run_is_a_detector_of_one_person(film, tmp_path, monkeypatch):
  codec = codecs.build("canonical", skeletons.get("h36m_17"))
  graph = InferenceGraph("image", (picture.IMAGES,), (picture.KEYPOINTS, picture.CONFIDENCE), red_square, (), codec)
  graph = dataclasses.replace(graph, mirrored=graph)
  method = Method("image", codec, red_square, red_square, {"image": graph}, red_square)
  config = helpers.config(method="image", method_options={"crop": {"size": 32, "margin": 1.25}})
  trained = experiment.Trained(config, codec, method, {}, 1, {})
  monkeypatch.setattr(experiment, "load", lambda workdir: trained)
  tracks = detect.people(film, detect.by_name(str(tmp_path)))
  assert tracks.skeleton.name == "h36m_17" and len(tracks.ids) == 1
  for frame in (0, 2, 4):
    points = tracks.keypoints[frame, 0]
    np.testing.assert_allclose(points[0], [40 + 4 * frame, 40], atol=8)
    np.testing.assert_allclose(points[-1], [104 + 4 * frame, 200], atol=8)
  config, method = helpers.config(method="supervised"), dataclasses.replace(method, graphs={"lift": graph})
  trained = experiment.Trained(config, codec, method, {}, 1, {})
  with pytest.raises(ValueError, match="a run of method 'supervised' sees no images"):
    detect.by_name(str(tmp_path))
