"""The calibration text of MPI-INF-3DHP against the numbers in it."""

import numpy as np
import pytest

from jaxpose.formats import skeletool

# The numbers of S1/Seq1's camera 0; the format ends rows of numbers with a blank.
EXTRINSIC = (
  "0.9650164 0.00488022 0.262144 -562.8666 -0.004488356 -0.9993728 0.0351275 1398.138 "
  "0.262151 -0.03507521 -0.9643893 3852.623 0 0 0 1 "
)
TEXT = f"""Skeletool Camera Calibration File V1.0
name          0
  sensor      10 10
  size        2048 2048
  animated    0
  intrinsic   1497.693 0 1024.704 0 0 1497.103 1051.394 0 0 0 1 0 0 0 0 1{" "}
  extrinsic   {EXTRINSIC}
  radial      0
"""


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_a_published_camera(line_end):
  both = TEXT + TEXT.partition("\n")[2].replace("name          0", "name          7")
  cameras = skeletool.parse(both.replace("\n", line_end).encode(), "camera.calibration")
  assert list(cameras) == [0, 7]
  camera = cameras[7]
  np.testing.assert_allclose(camera.focal, [1497.693, 1497.103], rtol=1e-7)
  np.testing.assert_allclose(camera.center, [1024.704, 1051.394], rtol=1e-7)
  np.testing.assert_allclose(camera.translation, [-0.5628666, 1.398138, 3.852623], rtol=1e-6)  # metres
  np.testing.assert_allclose(
    camera.rotation[1], [-0.004488356, -0.9993728, 0.0351275], rtol=1e-6
  )  # the world's y is up
  assert camera.size.tolist() == [2048, 2048]
  assert not camera.radial.any()


@pytest.mark.parametrize(
  "old, new, message",
  [
    ("V1.0", "V2.0", "line 1: expected 'Skeletool"),
    ("name          0", "name          x", "line 2: could not convert"),
    ("name          0", "name          0.5", "line 2: .*one number of its own"),
    ("name          0", "sensor        1", "it holds no camera|camera"),
    ("2048 2048", "2048", "line 4: size has 1 numbers, expected 2"),
    ("  extrinsic", "  extrinsics", "camera 0 lacks extrinsic"),
    ("0.9650164", "1.9650164", "no rotation"),
    ("0.9650164", "nan", "no rotation"),
    ("1497.693", "-1497.693", "focal lengths are -1497"),
    ("radial      0", "radial      0.1", "radial distortion"),
    (TEXT, "", "an empty file"),
    ("  radial      0\n", TEXT.partition("\n")[2], "line 8: .*one number of its own"),
  ],
)
def test_what_is_wrong_is_named(old, new, message):
  with pytest.raises(ValueError, match=rf"calib\.txt.*{message}"):
    skeletool.parse(TEXT.replace(old, new).encode(), "calib.txt")
