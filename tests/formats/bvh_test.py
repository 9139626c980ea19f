"""BVH: any hierarchy and channels against a slow reference, and what broken files say."""

import math
import os
import pathlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxpose.formats import bvh
from tests import raw_motion

# Two children at the root, another order at each joint, positions on a joint and on one axis alone, two end sites.
SMALL = """HIERARCHY
ROOT Hips
{
  OFFSET 1 2 3
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  JOINT Bip01 L Thigh
  {
    OFFSET 0 -4 0.5
    CHANNELS 3 Yrotation Zrotation Xrotation
    End Site
    {
      OFFSET 0 -4 0
    }
    End Site
    {
      OFFSET 0 0 1e0
    }
  }
  JOINT Neck
  {
    OFFSET 0 5 0
    CHANNELS 4 Xrotation Yposition Yrotation Zrotation
    JOINT Jaw
    {
      OFFSET 0 1 1
      CHANNELS 0
      End Site
      {
        OFFSET 0 0 1
      }
    }
  }
}
MOTION
Frames: 2
Frame Time: 0.033333
1 2 3 10 20 30 40 50 60 70 6 80 90
-1 0 2.5 -10 120 30 -40 5.5 60 -70 5 8 -90
"""


def matrix(axis: str, degrees: float) -> np.ndarray:
  c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
  i = "XYZ".index(axis)
  out = np.zeros((3, 3))
  out[i, i] = 1
  j, k = (i + 1) % 3, (i + 2) % 3
  out[j, j], out[j, k], out[k, j], out[k, k] = c, -s, s, c
  return out


def test_orders_positions_and_end_sites():
  motion = bvh.parse(SMALL.encode(), "small.bvh")
  assert motion.fps == 30.0
  assert motion.skeleton.names == (
    "Hips", "Bip01 L Thigh", "Bip01 L Thigh_end", "Bip01 L Thigh_end2", "Neck", "Jaw", "Jaw_end"
  )  # fmt: skip
  assert motion.skeleton.parents == (-1, 0, 1, 1, 0, 4, 5)
  for t, v in enumerate(([1, 2, 3, 10, 20, 30, 40, 50, 60, 70, 6, 80, 90],
                         [-1, 0, 2.5, -10, 120, 30, -40, 5.5, 60, -70, 5, 8, -90])):  # fmt: skip
    hips = np.array(v[:3])
    turn = matrix("Z", v[3]) @ matrix("X", v[4]) @ matrix("Y", v[5])
    thigh = hips + turn @ [0, -4, 0.5]
    turn_thigh = turn @ matrix("Y", v[6]) @ matrix("Z", v[7]) @ matrix("X", v[8])
    neck = hips + turn @ [0, v[10], 0]
    turn_neck = turn @ matrix("X", v[9]) @ matrix("Y", v[11]) @ matrix("Z", v[12])
    jaw = neck + turn_neck @ [0, 1, 1]
    expected = [hips, thigh, thigh + turn_thigh @ [0, -4, 0], thigh + turn_thigh @ [0, 0, 1], neck, jaw]
    expected.append(jaw + turn_neck @ [0, 0, 1])
    np.testing.assert_allclose(motion.positions[t], expected, atol=1e-5)


def test_units_line_ends_tabs_and_wrapped_lines(tmp_path):
  expected = bvh.parse(SMALL.encode(), "small.bvh").positions
  path = tmp_path / "small.bvh"
  wrapped = SMALL.replace(" 40 50", "\n40 50").replace(" -40 5.5", "\n-40 5.5").replace("Frames: ", "Frames:\t")
  path.write_bytes(b"\xef\xbb\xbf" + wrapped.replace("\n", "\r\n").encode())
  np.testing.assert_allclose(bvh.read(path, metres_per_unit=0.01).positions, expected * 0.01, rtol=1e-6)


@pytest.mark.parametrize(
  "text, fps", [(".0083333", 120), ("0.0333", 30), ("0.033366", 1 / 0.033366), ("0.04", 25), ("1", 1), ("1e-2", 100)]
)
def test_frame_time(text, fps):
  assert bvh.parse(SMALL.replace("0.033333", text).encode(), "small.bvh").fps == pytest.approx(fps, rel=1e-12)


def test_bones_keep_their_length():
  motion = bvh.parse(raw_motion.bvh(raw_motion.make(frames=20, seed=3)).encode(), "random.bvh")
  bones = [(c, p) for c, p in motion.skeleton.bones if p != 0]
  lengths = np.linalg.norm(
    motion.positions[:, [c for c, _ in bones]] - motion.positions[:, [p for _, p in bones]], axis=-1
  )
  assert np.ptp(lengths, axis=0).max() < 1e-4


def change(old: str, new: str, count: int = 1) -> bytes:
  assert old in SMALL
  return SMALL.replace(old, new, count).encode()


LINE = {line: number for number, line in enumerate(SMALL.split("\n"), 1)}
BROKEN = {
  "empty": (b"", "empty"),
  "binary": (bytes(100), "not a text file"),
  "garbage": (bytes(range(128, 256)), "no MOTION line"),
  "no motion": (SMALL.split("MOTION")[0].encode(), "no MOTION line"),
  "no hierarchy": (change("HIERARCHY", ""), "line 2: 'ROOT' where HIERARCHY was expected"),
  "open braces": (
    change("  JOINT Neck\n  {", "  JOINT Neck"),
    "'OFFSET' where the brace after 'Neck' was expected",
  ),
  "braces never close": (change("}\nMOTION", "MOTION"), "ends before its braces close"),
  "second root": (
    change("}\nMOTION", "}\nROOT Other\n{\n}\nMOTION"),
    f"line {LINE['MOTION']}: 'ROOT' after the root's braces closed",
  ),
  "joint twice": (change("JOINT Jaw", "JOINT Neck"), "names a joint twice"),
  "joint without name": (change("JOINT Jaw", "JOINT"), "without a name"),
  "no offset": (change("    OFFSET 0 5 0\n", ""), r"\['Neck'\] have no OFFSET"),
  "unknown channel": (change("CHANNELS 4 Xrotation", "CHANNELS 4 Wrotation"), "channel 'Wrotation'"),
  "channel twice": (change("CHANNELS 4 Xrotation", "CHANNELS 4 Yrotation"), "a channel twice"),
  "channel count": (change("CHANNELS 4", "CHANNELS x"), "CHANNELS 'x'"),
  "channel count too small": (change("CHANNELS 4", "CHANNELS 3"), "'Zrotation' is out of place"),
  "fewer frames": (change("Frames: 2", "Frames: 3"), "declares 3 frames of 13 values but holds 2 lines, 26 values"),
  "more frames": (change("Frames: 2", "Frames: 1"), "declares 1 frames of 13 values but holds 2 lines"),
  "no frames": (change("Frames: 2", "Frames: 0"), f"line {LINE['Frames: 2']}: Frames: 0; expected a positive"),
  "frames no number": (change("Frames: 2", "Frames: two"), "Frames: two"),
  "frames line": (change("Frames: 2\n", ""), "expected `Frames: NUMBER`"),
  "frame time line": (change("Frame Time: 0.033333\n", ""), "expected `Frame Time: NUMBER`"),
  "frame time zero": (change("0.033333", "0"), f"line {LINE['Frame Time: 0.033333']}: Frame Time: 0"),
  "frame time nan": (change("0.033333", "nan"), f"line {LINE['Frame Time: 0.033333']}: 'nan' is not a finite number"),
  "value lost": (
    change(" 80 90", " 80"),
    f"line {LINE['Frame Time: 0.033333'] + 1}: frame 0 has 12 values, the hierarchy 13",
  ),
  "infinity": (
    change(" 8 -90", " 1e999 -90"),
    f"line {LINE['Frame Time: 0.033333'] + 2}: '1e999' is not a finite number",
  ),
  "underscore": (change(" 80 90", " 8_0 90"), "'8_0' is not a finite number"),
  "bad number": (change(" 80 90", " 8O 90"), "'8O' is not a finite number"),
  "bad offset": (change("OFFSET 1 2 3", "OFFSET 1 two 3"), "line 4: 'two' is not a finite number"),
  "beyond float32": (change("-1 0 2.5", "1e60 0 2.5"), "frame 1 .* beyond float32"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_files(case):
  data, message = BROKEN[case]
  with pytest.raises(ValueError, match=message) as error:
    bvh.parse(data, "small.bvh")
  assert "small.bvh" in str(error.value)


def test_a_missing_value_makes_its_frame_nan_and_no_other():
  whole, gap = (bvh.parse(data, "small.bvh").positions for data in (SMALL.encode(), change(" 80 90", " nan 90")))
  assert np.isnan(gap[0]).any()
  np.testing.assert_array_equal(gap[1], whole[1])


@pytest.mark.parametrize("unit", [0.0, -1.0, math.nan, math.inf])
def test_unit_of_length(unit):
  with pytest.raises(ValueError, match="metres_per_unit"):
    bvh.parse(SMALL.encode(), "small.bvh", unit)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.integers(0, len(SMALL) - 1), st.integers(0, 255), st.booleans())
def test_a_cut_or_flipped_file_is_refused_by_name_or_read(at, change, cut):
  data = bytearray(SMALL.encode())
  data = data[:at] if cut else data
  if not cut:
    data[at] ^= change
  try:
    motion = bvh.parse(bytes(data), "small.bvh")
  except ValueError as error:
    assert "small.bvh" in str(error)
  else:
    assert motion.positions.shape == (2, motion.skeleton.num_joints, 3) and np.isfinite(motion.positions).all()


@pytest.mark.skipif("JAXPOSE_BVH_DIR" not in os.environ, reason="JAXPOSE_BVH_DIR names no folder of BVH files")
def test_real_files():
  for path in sorted(pathlib.Path(os.environ["JAXPOSE_BVH_DIR"]).glob("**/*.bvh"))[:5]:
    motion = bvh.read(path)
    assert motion.fps > 0 and len(motion.positions) > 0
