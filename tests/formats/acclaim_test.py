"""Acclaim's files: against a slow reference, against BVH, and what broken files say."""

import os
import pathlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxpose import skeleton as skeletons
from jaxpose.formats import acclaim, bvh
from tests import raw_motion

TAKE = raw_motion.make(frames=3, seed=1)
ASF = raw_motion.asf(TAKE).encode()
AMC = raw_motion.amc(TAKE).encode()


def parse(asf=ASF, amc=AMC):
  skeleton = acclaim.parse_asf(asf, "subject.asf")
  return acclaim.cmu_positions(skeleton, acclaim.parse_amc(amc, skeleton, "trial.amc"), "trial.amc")


WHOLE = parse()


def test_positions_are_the_reference_kinematics(tmp_path):
  (tmp_path / "a.asf").write_bytes(ASF)
  (tmp_path / "a.amc").write_bytes(AMC)
  positions = acclaim.read_positions(tmp_path / "a.asf", tmp_path / "a.amc")
  assert positions.dtype == np.float32
  np.testing.assert_allclose(positions, raw_motion.reference(TAKE), atol=2e-7, rtol=2e-7)


def test_bvh_of_the_same_motion_gives_the_same_positions():
  motion = bvh.parse(raw_motion.bvh(TAKE).encode(), "trial.bvh", metres_per_unit=acclaim.INCH / 0.45)
  ours = parse()
  near = {b.name: skeletons.CMU_BONES[b.parent] for b in TAKE.bones}  # a BVH joint is the near end of its bone
  far = {f"{bone}_end": joint for bone, joint in skeletons.CMU_BONES.items()}
  compared = set()
  for index, name in enumerate(motion.skeleton.names):
    joint = {"Hips": "pelvis", **near, **far}[name]
    compared.add(joint)
    np.testing.assert_allclose(motion.positions[:, index], ours[:, skeletons.get("cmu").index(joint)], atol=1e-6)
  assert compared == set(skeletons.get("cmu").names)


def test_bones_keep_their_length():
  cmu, positions = skeletons.get("cmu"), parse()
  lengths = {skeletons.CMU_BONES[b.name]: b.length * raw_motion.INCH / 0.45 for b in TAKE.bones}
  for child, parent in cmu.bones:
    distance = np.linalg.norm(positions[:, child] - positions[:, parent], axis=-1)
    np.testing.assert_allclose(distance, lengths[cmu.names[child]], rtol=1e-5)


def test_radians_line_ends_and_irregular_order_change_nothing():
  np.testing.assert_array_equal(parse(ASF.replace(b"\r\n", b"\n"), AMC.replace(b"\r\n", b"\n")), parse())
  head, *frames = AMC.decode().replace("\r", "").split("\nroot ")
  lines = frames[1].split("\n")
  lines[1], lines[2] = lines[2] + "  # a comment", lines[1]  # now the second frame lists its bones in its own order
  irregular = "\nroot ".join([head, frames[0], "\n".join(lines), frames[2]]).encode()
  np.testing.assert_array_equal(parse(amc=irregular), parse())
  radians = []
  for line in AMC.decode().replace(":DEGREES", ":RADIANS").split("\r\n"):
    name, *values = line.split() or [""]
    if values and name[0].isalpha():
      turned = [float(v) if name == "root" and i < 3 else np.deg2rad(float(v)) for i, v in enumerate(values)]
      line = f"{name} {' '.join(repr(float(v)) for v in turned)}"
    radians.append(line)
  np.testing.assert_allclose(parse(amc="\n".join(radians).encode()), parse(), atol=1e-6)


def test_the_dof_line_gives_the_order_of_the_values():
  asf = ASF.replace(b"dof rx ry rz", b"dof rz rx ry")
  three = {b.name for b in TAKE.bones if b.dof == "xyz"}
  lines = []
  for line in AMC.decode().split("\r\n"):
    name, *values = line.split() or [""]
    lines.append(f"{name} {values[2]} {values[0]} {values[1]}" if name in three else line)
  np.testing.assert_allclose(parse(asf, "\r\n".join(lines).encode()), parse(), atol=1e-6)


def lines_of(data, start, count=1):
  """(index of the first line that starts so, the lines)."""
  lines = data.split(b"\r\n")
  return next(i for i, line in enumerate(lines) if line.strip().startswith(start)), lines


def without(data, start, count=1):
  at, lines = lines_of(data, start)
  return b"\r\n".join(lines[:at] + lines[at + count :])


def with_line(data, start, new):
  at, lines = lines_of(data, start)
  return b"\r\n".join([*lines[:at], new, *lines[at + 1 :]])


BROKEN_AMC = {
  "empty": (b"", "empty"),
  "binary": (b"\x00\x01" * 50, "not a text file"),
  "garbage": (bytes(range(128, 256)), "before the first frame"),
  "no frame": (b":FULLY-SPECIFIED\n:DEGREES\n", "holds no frame"),
  "cut in the last frame": (AMC[: AMC.rindex(b"\r\n3\r\n") + 80], "frame 3 lacks the bones"),
  "cut in a line": (AMC[: AMC.rindex(b"rfemur") + 12], "frame 3.* 'rfemur' has 1 values"),
  "unknown bone": (with_line(AMC, b"lradius", b"tail 1.0"), r"line \d+: frame 1: no bone 'tail' moves"),
  "missing bone": (without(AMC, b"lradius"), r"line \d+: frame 1 lacks the bones lradius"),
  "bone twice": (with_line(AMC, b"lradius", b"lradius 1.0\r\nlradius 1.0"), "'lradius' for the second time"),
  "too many values": (with_line(AMC, b"lradius", b"lradius 1.0 2.0"), "frame 1: 'lradius' has 2 values"),
  "infinity": (with_line(AMC, b"lradius", b"lradius 1e999"), "'1e999' is not a finite number"),
  "underscore": (with_line(AMC, b"lradius", b"lradius 1_0"), "'1_0' is not a finite number"),
  "no number": (with_line(AMC, b"lradius", b"lradius 1.0.0"), "'1.0.0' is not a finite number"),
  "beyond float32": (with_line(AMC, b"root", b"root 1e50 0 0 0 0 0"), r"frame 0 .* beyond float32"),
  "frame left out": (AMC.replace(b"\r\n2\r\n", b"\r\n7\r\n"), "frame 7 follows frame 1"),
  "value before a frame": (AMC.replace(b"\r\n1\r\n", b"\r\n"), "before the first frame"),
}


@pytest.mark.parametrize("case", BROKEN_AMC)
def test_broken_motion_files(case):
  data, message = BROKEN_AMC[case]
  with pytest.raises(ValueError, match=message) as error:
    parse(amc=data)
  assert "trial.amc" in str(error.value)


BROKEN_ASF = {
  "empty": (b"  \n", "empty"),
  "binary": (b"\x00\x01" * 50, "not a text file"),
  "motion file": (AMC, "lacks :units, :root, :bonedata, :hierarchy"),
  "no hierarchy": (ASF[: ASF.index(b":hierarchy")], "lacks :hierarchy"),
  "cut hierarchy": (ASF[: ASF.rindex(b"end")], "does not end with 'end'"),
  "bone lost": (without(ASF, b"lradius lwrist"), "'lwrist'.* do not hang from the root"),
  "unknown child": (with_line(ASF, b"lradius lwrist", b"lradius tail"), "bone 'tail' of the hierarchy"),
  "cycle": (ASF.replace(b"    lradius lwrist", b"    lradius lwrist lhumerus"), "second parent"),
  "loose cycle": (
    ASF.replace(b"lclavicle lhumerus", b"lwrist lhumerus").replace(b"\r\n    lwrist lhand lthumb", b""),
    "do not hang from the root",
  ),
  "bone twice": (ASF.replace(b"name lradius", b"name rradius"), "second bone 'rradius'"),
  "no length": (without(ASF, b"length 0.45"), "no 'length' line"),
  "zero unit": (ASF.replace(b"length 0.45", b"length 0"), "unit of length is 0"),
  "angle unit": (ASF.replace(b"angle deg", b"angle turns"), "angle 'turns'"),
  "no direction": (without(ASF, b"direction"), "no 'direction' line"),
  "no unit vector": (with_line(ASF, b"direction", b"direction 3 0 0"), "expected a unit vector"),
  "bad number": (with_line(ASF, b"direction", b"direction 1 O 0"), r"line \d+: 'O' is not a finite number"),
  "translating bone": (ASF.replace(b"dof rx ry rz", b"dof rx ry tz", 1), "degrees of freedom 'rx ry tz'"),
  "bad axis": (ASF.replace(b"XYZ\r\n  end", b"XYX\r\n  end", 1), "no order of axes"),
  "keyword": (with_line(ASF, b"dof", b"dog rx"), "'dog' is unexpected"),
  "placed root": (ASF.replace(b"position 0 0 0", b"position 0 1 0"), "position is not 0 0 0"),
}


def test_a_missing_value_makes_its_frame_nan_and_no_other():
  gap = parse(amc=with_line(AMC, b"lradius", b"lradius nan"))
  assert np.isnan(gap[0]).any() and np.isfinite(WHOLE).all()
  np.testing.assert_array_equal(gap[1:], WHOLE[1:])


@pytest.mark.parametrize("case", BROKEN_ASF)
def test_broken_skeleton_files(case):
  data, message = BROKEN_ASF[case]
  with pytest.raises(ValueError, match=message) as error:
    parse(asf=data)
  assert "subject.asf" in str(error.value)


def test_skeleton_without_a_bone_of_the_database():
  asf = ASF.replace(b"lthumb", b"ltail")
  with pytest.raises(ValueError, match=r"trial.amc: its skeleton lacks \['lthumb'\]"):
    parse(asf, AMC.replace(b"lthumb", b"ltail"))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, len(AMC)))
def test_a_cut_motion_file_is_refused_or_gives_whole_frames(length):
  try:
    cut = parse(amc=AMC[:length])
  except ValueError as error:
    assert "trial.amc" in str(error)
  else:  # cut between frames, or within the very last number
    np.testing.assert_array_equal(cut[:-1], WHOLE[: len(cut) - 1])


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.booleans(), st.integers(0, min(len(ASF), len(AMC)) - 1), st.integers(1, 255))
def test_a_flipped_byte_is_refused_by_name_or_read(of_skeleton, at, change):
  data = bytearray(ASF if of_skeleton else AMC)
  data[at] ^= change
  try:
    positions = parse(bytes(data), AMC) if of_skeleton else parse(ASF, bytes(data))
  except ValueError as error:
    assert "subject.asf" in str(error) or "trial.amc" in str(error)
  else:
    assert positions.shape[1:] == (31, 3) and np.isfinite(positions).all()


@pytest.mark.skipif("JAXPOSE_CMU_DIR" not in os.environ, reason="JAXPOSE_CMU_DIR names no folder of the CMU database")
def test_real_files_keep_their_bones_lengths():
  folder = pathlib.Path(os.environ["JAXPOSE_CMU_DIR"])
  cmu = skeletons.get("cmu")
  for asf in sorted(folder.glob("**/*.asf")):
    skeleton = acclaim.read_asf(asf)
    for amc in sorted(asf.parent.glob("*.amc"))[:3]:
      positions = acclaim.cmu_positions(skeleton, acclaim.read_amc(amc, skeleton), amc.name)
      bones = positions[:, [c for c, _ in cmu.bones]] - positions[:, [p for _, p in cmu.bones]]
      assert np.ptp(np.linalg.norm(bones, axis=-1), axis=0).max() < 1e-5
      assert 0.5 < np.median(positions[:, cmu.index("pelvis"), 1]) < 2.5  # y is up, in metres
