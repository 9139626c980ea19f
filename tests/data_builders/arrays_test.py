"""A folder of npz files becomes motions or clips; what is wrong with a file is said with its name and the remedy."""

import json

import numpy as np
import pytest

from data_builders import build
from jaxpose import skeleton as skeletons
from jaxpose.data import cameras as rigs
from jaxpose.data import source
from jaxpose.geometry import camera as cameras
from tests import helpers

H36M, COCO = skeletons.get("h36m_17"), skeletons.get("coco_17")
WORLD = np.random.default_rng(0).normal(size=(6, 17, 3)).astype(np.float32) * 0.4
MOTION = dict(positions_world=WORLD, joint_names=np.array(H36M.names), fps=30, up="z")
SEEN = helpers.clip(6)
K = np.diag([*SEEN.camera.focal, 1.0])
K[:2, 2] = SEEN.camera.center
CLIP = dict(
  keypoints_2d=SEEN.keypoints_2d, joints_3d=SEEN.joints_3d, joint_names=np.array(H36M.names), fps=25.0, K=K,
  size=SEEN.camera.size,
)  # fmt: skip


def make(folder, arrays, name="a.npz", **changes):
  (folder / name).parent.mkdir(parents=True, exist_ok=True)
  np.savez(folder / name, **{k: v for k, v in {**arrays, **changes}.items() if v is not None})


def built(tmp_path, config="motions", split="train", **options):
  made = build.build(f"arrays/{config}", tmp_path / "data", tmp_path / "raw", **options)
  return source.load(f"arrays/{config}", [split], tmp_path / "data"), made


def test_a_motion_comes_as_it_is_with_its_provenance_and_split(tmp_path):
  make(tmp_path / "raw", MOTION, "train/a.npz", subject="S1", action="Run", sequence="run 1")
  make(tmp_path / "raw", MOTION, "test/deep/b.npz", positions_world=WORLD.astype(np.float64))
  (motion,), made = built(tmp_path)
  np.testing.assert_array_equal(motion.positions_world, WORLD)
  assert (motion.subject, motion.action, motion.sequence, motion.up, motion.fps) == ("S1", "Run", "run 1", "z", 30)
  assert motion.skeleton == H36M and set(made.splits) == {"train", "test"}
  (other,) = source.load("arrays/motions", ["test"], tmp_path / "data")
  assert other.sequence == "test/deep/b"


def test_a_missing_joint_makes_its_frame_invalid_unless_nothing_is_made_of_it(tmp_path):
  names = np.array([*H36M.names, "prop"])
  world = np.concatenate([WORLD, WORLD[:, :1]], 1)
  world[2, 17] = world[4, 3] = np.nan
  make(tmp_path / "raw", MOTION, positions_world=world, joint_names=names)
  (motion,), _ = built(tmp_path)
  assert motion.valid.tolist() == [True, True, True, True, False, True]
  np.testing.assert_array_equal(motion.positions_world[:4], WORLD[:4])


def test_joints_are_found_by_name_in_any_order_and_by_a_file_where_names_differ(tmp_path):
  order = np.random.default_rng(1).permutation(17)
  names = np.array(H36M.names)[order]
  names[names == "pelvis"] = "Hips"
  names[names == "spine"] = "low"
  make(tmp_path / "raw", MOTION, positions_world=WORLD[:, order], joint_names=names)
  (tmp_path / "joints.json").write_text(json.dumps({"pelvis": ["Hips"], "spine": ["Hips", "thorax"]}))
  (motion,), _ = built(tmp_path, joints=tmp_path / "joints.json")
  expected = WORLD.copy()
  expected[:, H36M.index("spine")] = (WORLD[:, H36M.index("pelvis")] + WORLD[:, H36M.index("thorax")]) / 2
  np.testing.assert_allclose(motion.positions_world, expected, atol=1e-6)


def test_another_joint_set_is_stored_if_it_is_asked_for(tmp_path):
  make(tmp_path / "raw", MOTION, joint_names=np.array(COCO.names))
  (motion,), _ = built(tmp_path, skeleton="coco_17")
  assert motion.skeleton == COCO
  np.testing.assert_array_equal(motion.positions_world, WORLD)


def test_a_clip_comes_as_it_is_with_its_camera_and_where_its_keypoints_come_from(tmp_path):
  turn, place = np.diag([1.0, -1, -1]), np.array([0, 1.0, 4])
  make(
    tmp_path / "raw", CLIP, camera_id="c1", R=turn, t=place, confidence=np.full((6, 17), 0.5), valid=np.arange(6) != 1
  )
  (clip,), _ = built(tmp_path, "clips", keypoints_source="a detector")
  np.testing.assert_array_equal(clip.joints_3d, SEEN.joints_3d)
  np.testing.assert_array_equal(clip.keypoints_2d, SEEN.keypoints_2d)
  assert (clip.confidence == 0.5).all() and clip.valid.tolist() == [True, False, True, True, True, True]
  assert clip.camera_id == "c1" and clip.fps == 25
  np.testing.assert_allclose(clip.camera.rotation, turn)
  np.testing.assert_allclose(clip.camera.translation, place)
  assert source.facts("arrays/clips", tmp_path / "data")["keypoints_source"] == "a detector"


def test_an_opencv_lens_is_the_clips(tmp_path):
  lens = (-0.2, 0.05, 1e-3, -1e-3, 0.01)
  eye = cameras.from_opencv(K, lens, SEEN.camera.size)
  _, pixels, _, _ = rigs.see(SEEN.joints_3d.astype(np.float64), eye)
  make(tmp_path / "raw", CLIP, keypoints_2d=pixels, distortion=np.array(lens))
  (clip,), _ = built(tmp_path, "clips")
  np.testing.assert_allclose(cameras.project(clip.joints_3d, clip.camera), pixels, atol=2e-3)


def test_gaps_of_a_clip(tmp_path):
  pixels, joints = SEEN.keypoints_2d.copy(), SEEN.joints_3d.copy()
  pixels[1, 5], joints[3, 7, 2] = np.nan, np.nan
  make(tmp_path / "raw", CLIP, keypoints_2d=pixels, joints_3d=joints)
  (clip,), _ = built(tmp_path, "clips")
  assert clip.valid.tolist() == [True, True, True, False, True, True]
  assert (clip.confidence == 0).sum() == 1 and clip.confidence[1, 5] == 0 and not clip.keypoints_2d[1, 5].any()


BAD_MOTIONS = {
  "lacks": (dict(up=None), r"lacks \['up'\] and has unknown nothing; needed are positions_world"),
  "unknown": (dict(Fps=3), r"has unknown \['Fps'\]"),
  "shape": (dict(positions_world=WORLD[0]), r"positions_world has dtype float32 and shape \(17, 3\)"),
  "kind": (dict(fps="30"), r"fps has dtype <U2.*expected numbers \[\]"),
  "names": (dict(joint_names=np.array(H36M.names[:5])), "5 joint_names for the 17 joints"),
  "twice": (dict(joint_names=np.array(["pelvis"] * 17)), "names a joint twice"),
  "joints": (dict(joint_names=np.array([f"j{i}" for i in range(17)])), "nothing stands for pelvis.*--option=joints"),
  "unit": (dict(positions_world=1000 * WORLD), "person of .* m; give them in metres"),
  "up": (dict(up="x"), "the vertical axis is 'y' or 'z'"),
  "rate": (dict(fps=0), "fps=0.0"),
  "gaps": (dict(positions_world=WORLD * np.nan), "in each of its 6 frames"),
}


@pytest.mark.parametrize("case", BAD_MOTIONS)
def test_what_is_wrong_with_a_motion(case, tmp_path):
  changes, message = BAD_MOTIONS[case]
  make(tmp_path / "raw", MOTION, "S1/bad.npz", **changes)
  make(tmp_path / "raw", MOTION, "S1/good.npz")
  (motion,), made = built(tmp_path, split="S1")
  assert motion.sequence == "S1/good" and list(made.skipped) == ["S1/bad.npz"]
  with pytest.raises(ValueError, match=message):
    raise ValueError(made.skipped["S1/bad.npz"])
  assert made.skipped["S1/bad.npz"].startswith("S1/bad.npz: ")


BAD_CLIPS = {
  "axes": (dict(joints_3d=SEEN.joints_3d * np.float32([1, -1, 1])), "px from keypoints_2d at the median.*R @ X_world"),
  "behind": (dict(joints_3d=-SEEN.joints_3d), "its camera sees joints_3d inf px"),
  "relative": (dict(joints_3d=SEEN.joints_3d - SEEN.joints_3d[:, :1]), "absolute metres in the camera's axes"),
  "camera": (dict(K=np.eye(3)[::-1]), "is no camera matrix"),
  "frames": (dict(joints_3d=SEEN.joints_3d[:3]), "are not those of keypoints_2d"),
  "valid": (dict(valid=np.ones(6)), r"valid has dtype float64.*expected truth values"),
}


@pytest.mark.parametrize("case", BAD_CLIPS)
def test_what_is_wrong_with_a_clip(case, tmp_path):
  changes, message = BAD_CLIPS[case]
  make(tmp_path / "raw", CLIP, "bad.npz", **changes)
  with pytest.raises(ValueError, match=f"none of 1 files could be read; the first: bad.npz: .*{message}"):
    built(tmp_path, "clips")


def test_what_is_wrong_with_the_folder_or_an_option(tmp_path):
  make(tmp_path / "raw", MOTION, "my split/a.npz")
  with pytest.raises(ValueError, match="folder 'my split' cannot name a split"):
    built(tmp_path)
  for text, message in (("{", "joints.json"), ('{"pelvis": "Hips"}', "a list of names"), ('{"tail": ["x"]}', "tail")):
    (tmp_path / "joints.json").write_text(text)
    with pytest.raises(ValueError, match=message):
      built(tmp_path, joints=tmp_path / "joints.json")
  with pytest.raises(ValueError, match="unknown skeleton 'h37m'"):
    built(tmp_path, skeleton="h37m")
  with pytest.raises(FileNotFoundError, match="arrays reads a folder"):
    build.build("arrays", tmp_path / "data")
