"""Folders of BVH files: the known conversions by their joint names, any other by a map."""

import json
import os

import numpy as np
import pytest
import tensorflow_datasets as tfds

from data_builders import build
from data_builders.bvh_mocap import joint_maps
from jaxpose import skeleton as skeletons
from jaxpose.data import features
from tests import raw_motion

TAKE = raw_motion.make(frames=4, seed=5)
H36M = skeletons.get("h36m_17")
# The names that the two conversions give to each bone, whose near end a joint is.
LEFT_UP_LEG = {
  "root": "Hips", "lhipjoint": "LHipJoint", "lfemur": "LeftUpLeg", "ltibia": "LeftLeg", "lfoot": "LeftFoot",
  "ltoes": "LeftToeBase", "rhipjoint": "RHipJoint", "rfemur": "RightUpLeg", "rtibia": "RightLeg", "rfoot": "RightFoot",
  "rtoes": "RightToeBase", "lowerback": "LowerBack", "upperback": "Spine", "thorax": "Spine1", "lowerneck": "Neck",
  "upperneck": "Neck1", "head": "Head", "lclavicle": "LeftShoulder", "lhumerus": "LeftArm", "lradius": "LeftForeArm",
  "lwrist": "LeftHand", "rclavicle": "RightShoulder", "rhumerus": "RightArm", "rradius": "RightForeArm",
  "rwrist": "RightHand",
}  # fmt: skip
LEFT_HIP = {
  **LEFT_UP_LEG, "lfemur": "LeftHip", "ltibia": "LeftKnee", "lfoot": "LeftAnkle", "ltoes": "LeftToe",
  "rfemur": "RightHip", "rtibia": "RightKnee", "rfoot": "RightAnkle", "rtoes": "RightToe", "lowerback": "lowerback",
  "upperback": "Chest", "thorax": "Chest2", "lowerneck": "lowerneck", "upperneck": "Neck", "lclavicle": "LeftCollar",
  "lhumerus": "LeftShoulder", "lradius": "LeftElbow", "lwrist": "LeftWrist", "rclavicle": "RightCollar",
  "rhumerus": "RightShoulder", "rradius": "RightElbow", "rwrist": "RightWrist",
}  # fmt: skip


def expected():
  """The take's h36m_17; the conversions' spine is the lower one of the database's two."""
  cmu = skeletons.get("cmu")
  return raw_motion.reference(TAKE)[:, [cmu.index("spine1" if n == "spine" else n) for n in H36M.names]]


def only_motion(built):
  (motion,) = (
    features.example_to_motion(e) for e in tfds.builder_from_directory(built.directory).as_data_source("train")
  )
  return motion


def test_a_frame_with_a_missing_value_is_not_valid(tmp_path):
  folder = tmp_path / "raw"
  folder.mkdir()
  lines = raw_motion.bvh(TAKE).rstrip("\n").split("\n")
  lines[-2] = "nan " + lines[-2].split(" ", 1)[1]
  (folder / "take.bvh").write_text("\n".join(lines) + "\n")
  (tmp_path / "map.json").write_text(json.dumps(custom_map()))
  stored = only_motion(build.build("bvh_mocap", tmp_path / "built", folder, joint_map=tmp_path / "map.json"))
  assert stored.valid.tolist() == [True, True, False, True]
  np.testing.assert_array_equal(stored.positions_world[2], stored.positions_world[1])


def custom_map(**changes):
  """A map by the file's own names: "lfemur" is the joint where the left thigh begins."""
  joints = {
    "pelvis": ["Hips"], "left_hip": ["lfemur"], "left_knee": ["ltibia"], "left_ankle": ["lfoot"],
    "right_hip": ["rfemur"], "right_knee": ["rtibia"], "right_ankle": ["rfoot"], "spine": ["upperback"],
    "thorax": ["lclavicle", "rclavicle"], "nose": ["head"], "head_top": ["head_end"], "left_shoulder": ["lhumerus"],
    "left_elbow": ["lradius"], "left_wrist": ["lwrist"], "right_shoulder": ["rhumerus"], "right_elbow": ["rradius"],
    "right_wrist": ["rwrist"],
  }  # fmt: skip
  return {"joints": joints, "metres_per_unit": raw_motion.INCH / 0.45, "up": "z", **changes}


@pytest.mark.parametrize("names, rest_frame", [(LEFT_UP_LEG, True), (LEFT_HIP, False)])
def test_known_conversions(names, rest_frame, tmp_path):
  (tmp_path / "raw").mkdir()
  (tmp_path / "raw" / "131_02.bvh").write_text(raw_motion.bvh(TAKE, names, rest_frame))
  built = build.build("bvh_mocap", tmp_path / "data", tmp_path / "raw")
  motion = only_motion(built)
  np.testing.assert_allclose(motion.positions_world, expected(), atol=1e-6)
  assert (motion.subject, motion.sequence, motion.fps, motion.up) == ("131", "131_02", 120.0, "y")
  assert built.splits == {"train": (1, 4)}


def test_a_map_of_ones_own(tmp_path):
  (tmp_path / "raw" / "anna").mkdir(parents=True)
  (tmp_path / "raw" / "anna" / "walk.BVH").write_text(raw_motion.bvh(TAKE))
  (tmp_path / "map.json").write_text(json.dumps(custom_map(drop_first_frame=True)))
  built = build.build("bvh_mocap", tmp_path / "data", tmp_path / "raw", joint_map=tmp_path / "map.json")
  motion = only_motion(built)
  np.testing.assert_allclose(motion.positions_world, expected()[1:], atol=1e-6)
  assert (motion.subject, motion.sequence, motion.up) == ("anna", "anna/walk", "z")


def test_an_unknown_file_says_how_to_write_a_map(tmp_path):
  (tmp_path / "raw").mkdir()
  (tmp_path / "raw" / "walk.bvh").write_text(raw_motion.bvh(TAKE))
  with pytest.raises(
    ValueError, match=r"none of 1 files.*walk.bvh: no known joint map.* Hips, .*ltoes_end.*write a map"
  ):
    build.build("bvh_mocap", tmp_path / "data", tmp_path / "raw")
  (tmp_path / "map.json").write_text(json.dumps(custom_map()).replace("lfemur", "thigh"))
  with pytest.raises(ValueError, match=r"the joint map asks for \['thigh'\], which it lacks; it has Hips"):
    build.build("bvh_mocap", tmp_path / "data", tmp_path / "raw", joint_map=tmp_path / "map.json")


def test_files_that_do_not_fit_are_left_out(tmp_path):
  (tmp_path / "raw").mkdir()
  (tmp_path / "raw" / "131_02.bvh").write_text(raw_motion.bvh(TAKE, LEFT_HIP))
  (tmp_path / "raw" / "131_03.bvh").write_text(raw_motion.bvh(TAKE, LEFT_HIP)[:-200])
  (tmp_path / "raw" / "other.bvh").write_text(raw_motion.bvh(TAKE))
  built = build.build("bvh_mocap", tmp_path / "data", tmp_path / "raw")
  assert built.splits == {"train": (1, 4)}
  assert sorted(built.skipped) == ["131_03.bvh", "other.bvh"]


def test_no_folder_and_no_file(tmp_path):
  with pytest.raises(FileNotFoundError, match="give it as manual_dir"):
    build.build("bvh_mocap", tmp_path / "data")
  (tmp_path / "raw").mkdir()
  (tmp_path / "raw" / "walk.fbx").write_text("")
  with pytest.raises(FileNotFoundError, match="no .bvh file in .*raw"):
    build.build("bvh_mocap", tmp_path / "data", tmp_path / "raw")


BROKEN_MAPS = {
  "no json": ("{", "Expecting"),
  "no object": ("[]", "expected an object"),
  "no unit": (json.dumps({"joints": {}}), "metres_per_unit is missing"),
  "unknown field": (json.dumps(custom_map(scale=1)), r"unknown fields \['scale'\]"),
  "unknown skeleton": (json.dumps(custom_map(target="h37m")), "unknown skeleton 'h37m'"),
  "missing joint": (json.dumps(custom_map(joints={"pelvis": ["Hips"]})), r"it lacks \['head_top', "),
  "unknown joint": (
    json.dumps(custom_map(joints={**custom_map()["joints"], "tail": ["Tail"]})), r"has unknown \['tail'\]"
  ),
  "text for a list": (json.dumps(custom_map()).replace('["Hips"]', '"Hips"'), "'pelvis' is 'Hips'; expected a list"),
  "unit": (json.dumps(custom_map(metres_per_unit="cm")), "metres_per_unit is 'cm'"),
  "up": (json.dumps(custom_map(up="x")), "up is 'x'"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN_MAPS)
def test_broken_maps(case, tmp_path):
  text, message = BROKEN_MAPS[case]
  (tmp_path / "map.json").write_text(text)
  with pytest.raises(ValueError, match=message) as error:
    joint_maps.read(tmp_path / "map.json")
  assert "map.json" in str(error.value)


@pytest.mark.skipif("JAXPOSE_BVH_DIR" not in os.environ, reason="JAXPOSE_BVH_DIR names no folder of CMU BVH files")
def test_real_files(tmp_path):
  built = build.build("bvh_mocap", tmp_path, os.environ["JAXPOSE_BVH_DIR"])
  assert not built.skipped and built.splits["train"].frames > 0
