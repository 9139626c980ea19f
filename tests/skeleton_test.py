"""Skeletons: the published index lists follow from the names, maps go by name, errors teach."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxpose import skeleton
from jaxpose.skeleton import Skeleton, get, joint_map

NAMES = (
  "h36m_17",
  "h36m_16",
  "mpi_inf_3dhp_17",
  "mpi_inf_3dhp_28",
  "smpl_24",
  "lsp_14",
  "mpii_16",
  "coco_17",
  "cmu",
  "halpe_26",
  "body_25",
  "openpose_18",
  "mediapipe_33",
)


def copied(source, target):
  """The source index of every target joint, for a map that copies each joint from one joint."""
  matrix = joint_map(get(source), get(target)).matrix
  assert ((matrix == 0) | (matrix == 1)).all() and (matrix.sum(1) == 1).all()
  return list(matrix.argmax(1))


@pytest.mark.parametrize("name", NAMES)
def test_flip_is_an_involution_that_keeps_the_tree(name):
  s = get(name)
  flip = np.array(s.flip)
  np.testing.assert_array_equal(flip[flip], np.arange(s.num_joints))
  assert sorted((*s.left, *s.right)) == [j for j in range(s.num_joints) if flip[j] != j]
  assert {(flip[c], flip[p]) for c, p in s.bones} == set(s.bones)
  assert flip[s.root] == s.root


@pytest.mark.parametrize("name", NAMES)
def test_every_side_has_its_mirror(name):
  s = get(name)
  assert all(skeleton.mirror_name(n) in s.names for n in s.names if n.startswith(("left_", "right_")))
  assert all(s.names[r] == s.names[l].replace("left", "right") for l, r in s.pairs)


@pytest.mark.parametrize(
  ("name", "left", "right", "root"),
  [
    ("h36m_17", [4, 5, 6, 11, 12, 13], [1, 2, 3, 14, 15, 16], 0),
    ("h36m_16", [4, 5, 6, 10, 11, 12], [1, 2, 3, 13, 14, 15], 0),
    ("mpi_inf_3dhp_17", [5, 6, 7, 11, 12, 13], [2, 3, 4, 8, 9, 10], 14),
  ],
)
def test_published_sides_and_roots(name, left, right, root):
  s = get(name)
  assert (list(s.left), list(s.right), s.root) == (left, right, root)


@pytest.mark.parametrize(
  ("name", "parents"),
  [
    ("h36m_17", [-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 12, 8, 14, 15]),
    ("smpl_24", [-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21]),
    (
      "mpi_inf_3dhp_28",  # published from 1, the root as its own parent
      [2, 0, 3, 4, -1, 1, 5, 6, 5, 8, 9, 10, 11, 5, 13, 14, 15, 16, 4, 18, 19, 20, 21, 4, 23, 24, 25, 26],
    ),
  ],
)
def test_published_parents(name, parents):
  assert list(get(name).parents) == parents


@pytest.mark.parametrize(
  ("source", "target", "indices"),
  [
    ("mpi_inf_3dhp_17", "h36m_17", [14, 8, 9, 10, 11, 12, 13, 15, 1, 16, 0, 5, 6, 7, 2, 3, 4]),
    ("mpi_inf_3dhp_28", "mpi_inf_3dhp_17", [7, 5, 14, 15, 16, 9, 10, 11, 23, 24, 25, 18, 19, 20, 4, 3, 6]),
    ("mpi_inf_3dhp_28", "h36m_17", [4, 23, 24, 25, 18, 19, 20, 3, 5, 6, 7, 9, 10, 11, 14, 15, 16]),
    ("h36m_17", "h36m_16", [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15, 16]),
    # SPIN's list is for a regressor whose rows hold the left leg first; here the right leg comes first.
    ("h36m_17", "lsp_14", [3, 2, 1, 4, 5, 6, 16, 15, 14, 11, 12, 13, 8, 10]),
  ],
)
def test_published_index_lists_follow_from_the_names(source, target, indices):
  assert copied(source, target) == indices


def test_spins_3dpw_list_is_the_same_map_with_the_legs_exchanged():
  left_leg_first = [0, 4, 5, 6, 1, 2, 3, *range(7, 17)]
  h36m_to_j14 = [6, 5, 4, 1, 2, 3, 16, 15, 14, 11, 12, 13, 8, 10]
  assert [left_leg_first[i] for i in h36m_to_j14] == copied("h36m_17", "lsp_14")


def test_mpii_to_h36m_as_its_peers_do_it():
  mapped = joint_map(get("mpii_16"), get("h36m_17"))
  expected = [6, 2, 1, 0, 3, 4, 5, None, 7, 8, 9, 13, 14, 15, 12, 11, 10]
  got = [
    None if t in mapped.averaged and t != "nose" else int(row.argmax())
    for t, row in zip(mapped.target.names, mapped.matrix)
  ]
  assert got == expected
  assert set(np.flatnonzero(mapped.matrix[7])) == {2, 3, 12, 13}  # the spine: both hips and both shoulders


def test_coco_to_h36m_as_its_peers_do_it():
  mapped = joint_map(get("coco_17"), get("h36m_17"))
  rows = {name: set(np.flatnonzero(row)) for name, row in zip(mapped.target.names, mapped.matrix)}
  assert rows["pelvis"] == {11, 12} and rows["spine"] == {5, 6, 11, 12} and rows["thorax"] == {5, 6}
  assert rows["nose"] == {0} and rows["head_top"] == {1, 2}
  limbs = ("right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle")
  assert [rows[n] for n in limbs] == [{12}, {14}, {16}, {11}, {13}, {15}]
  arms = ("left_shoulder", "left_elbow", "left_wrist", "right_shoulder", "right_elbow", "right_wrist")
  assert [rows[n] for n in arms] == [{5}, {7}, {9}, {6}, {8}, {10}]
  assert mapped.averaged["pelvis"] == ("left_hip", "right_hip") and mapped.missing == ()


# Written by hand from the detectors' own lists: for each joint of h36m_17 the joints whose mean it is. Halpe and
# BODY_25 have a pelvis and a neck, whose mean the spine then is.
LIMBS = {
  "coco_17": [12, 14, 16, 11, 13, 15, 5, 7, 9, 6, 8, 10],
  "halpe_26": [12, 14, 16, 11, 13, 15, 5, 7, 9, 6, 8, 10],
  "body_25": [9, 10, 11, 12, 13, 14, 5, 6, 7, 2, 3, 4],
  "openpose_18": [8, 9, 10, 11, 12, 13, 5, 6, 7, 2, 3, 4],
  "mediapipe_33": [24, 26, 28, 23, 25, 27, 11, 13, 15, 12, 14, 16],
}
TRUNKS = {  # pelvis, spine, thorax, nose, head_top
  "coco_17": ([11, 12], [5, 6, 11, 12], [5, 6], [0], [1, 2]),
  "halpe_26": ([19], [19, 18], [18], [0], [17]),
  "body_25": ([8], [8, 1], [1], [0], [15, 16]),
  "openpose_18": ([8, 11], [2, 5, 8, 11], [1], [0], [14, 15]),
  "mediapipe_33": ([23, 24], [11, 12, 23, 24], [11, 12], [0], [2, 5]),
}


@pytest.mark.parametrize("name", LIMBS)
def test_detectors_joints_to_h36m_as_written_by_hand(name):
  mapped = joint_map(get(name), get("h36m_17"))
  limbs, (pelvis, spine, thorax, nose, head_top) = [[i] for i in LIMBS[name]], TRUNKS[name]
  rows = [pelvis, *limbs[:6], spine, thorax, nose, head_top, *limbs[6:]]
  rng = np.random.default_rng(0)
  joints = rng.uniform(0, 1000, (4, get(name).num_joints, 2))
  confidence = rng.uniform(size=(4, get(name).num_joints))
  np.testing.assert_allclose(mapped(joints), np.stack([joints[:, r].mean(1) for r in rows], 1), atol=1e-4)
  np.testing.assert_array_equal(mapped.confidence(confidence), np.stack([confidence[:, r].min(1) for r in rows], 1))


def test_a_map_says_what_stands_in_for_what():
  remarks = joint_map(get("coco_17"), get("h36m_17")).remarks
  assert "head_top is the mean of left_eye, right_eye, which lie well below it" in remarks
  assert "pelvis is the mean of left_hip, right_hip" in remarks
  assert joint_map(get("h36m_17"), get("h36m_17")).remarks == ()
  assert "nose is missing" in joint_map(get("lsp_14"), get("coco_17")).remarks


@pytest.mark.parametrize("source", NAMES)
@pytest.mark.parametrize("target", NAMES)
def test_maps_average_or_leave_out_and_keep_sides(source, target):
  mapped = joint_map(get(source), get(target))
  sums = mapped.matrix.sum(1)
  missing = np.isin(mapped.target.names, mapped.missing)
  np.testing.assert_allclose(sums, ~missing, atol=1e-6)
  assert set(mapped.averaged) <= set(mapped.target.names) - set(mapped.missing)
  if source == target:
    np.testing.assert_array_equal(mapped.matrix, np.eye(len(sums)))
  # Mapping a mirrored person is mirroring the mapped person.
  flip_source, flip_target = list(mapped.source.flip), list(mapped.target.flip)
  np.testing.assert_array_equal(mapped.matrix[flip_target][:, flip_source], mapped.matrix)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["coco_17", "smpl_24", "mpii_16"]))
def test_a_map_is_its_matrix(seed, source):
  mapped = joint_map(get(source), get("h36m_17"))
  joints = np.random.default_rng(seed).normal(size=(2, 5, mapped.source.num_joints, 3))
  np.testing.assert_allclose(mapped(joints), mapped.matrix.astype(np.float64) @ joints, atol=1e-6)
  assert mapped(joints.astype(np.float32)).dtype == np.float32


def test_integer_pixels_are_averaged_and_not_truncated():
  mapped = joint_map(get("coco_17"), get("h36m_17"))
  pixels = np.zeros((17, 2), np.int64)
  pixels[[11, 12]] = [[100, 200], [103, 200]]
  np.testing.assert_allclose(mapped(pixels)[0], [101.5, 200])


def test_an_unknown_joint_stays_where_it_is():
  mapped = joint_map(get("coco_17"), get("h36m_17"))
  joints = np.zeros((17, 2), np.float32)
  joints[9] = np.nan  # the left wrist was not found
  assert list(np.flatnonzero(np.isnan(mapped(joints)).any(-1))) == [13]


def test_confidence_is_the_least_of_the_joints_averaged():
  mapped = joint_map(get("coco_17"), get("h36m_17"))
  confidence = np.linspace(0.1, 0.9, 17).astype(np.float32)
  got = mapped.confidence(np.tile(confidence, (3, 1)))
  assert got.shape == (3, 17) and got.dtype == np.float32
  np.testing.assert_array_equal(got[0, [0, 7, 9, 10]], confidence[[11, 5, 0, 1]])


def test_missing_joints_are_named_zero_and_without_confidence():
  mapped = joint_map(get("lsp_14"), get("coco_17"))
  assert set(mapped.missing) == {"nose", "left_eye", "right_eye", "left_ear", "right_ear"}
  ones = np.ones((14, 3), np.float32)
  np.testing.assert_array_equal(mapped(ones)[:5], np.zeros((5, 3)))
  np.testing.assert_array_equal(mapped.confidence(np.ones(14, np.float32)), [0] * 5 + [1] * 12)


def test_the_wrong_number_of_joints_is_refused():
  mapped = joint_map(get("coco_17"), get("h36m_17"))
  with pytest.raises(ValueError, match=r"\(2, 16, 3\).*'coco_17' has 17 joints"):
    mapped(np.zeros((2, 16, 3)))


def test_an_unknown_skeleton_lists_the_known():
  with pytest.raises(ValueError, match="unknown skeleton 'h36m17'; known are h36m_17, h36m_16") as error:
    get("h36m17")
  assert all(name in str(error.value) for name in NAMES)


def test_an_unknown_joint_lists_the_joints():
  assert get("h36m_17").index("nose") == 9
  with pytest.raises(ValueError, match="'lsp_14' has no joint 'nose'; it has right_ankle"):
    get("lsp_14").index("nose")


@pytest.mark.parametrize(
  ("names", "parents", "message"),
  [
    (("a", "a"), (-1, 0), "names a joint twice: .'a'."),
    (("a", "b"), (-1,), "2 names but 1 parents"),
    (("a", "b"), (-1, -1), "exactly one root"),
    (("a", "b"), (1, 0), "exactly one root"),
    (("a", "b", "c"), (-1, 2, 1), "never reach the root"),
    (("a", "b"), (-1, 7), "never reach the root"),
  ],
)
def test_a_malformed_tree_is_refused(names, parents, message):
  with pytest.raises(ValueError, match=message):
    Skeleton("odd", names, parents)


@pytest.mark.parametrize(
  ("name", "mirrored"),
  [
    ("left_hip", "right_hip"),
    ("RightUpLeg", "LeftUpLeg"),
    ("LEFT_WRIST", "RIGHT_WRIST"),
    ("LHipJoint", "RHipJoint"),
    ("l_hip", "r_hip"),
    ("lfemur", "rfemur"),
    ("pelvis", "pelvis"),
  ],
)
def test_mirrored_names(name, mirrored):
  assert skeleton.mirror_name(name) == mirrored
  assert skeleton.mirror_name(mirrored) == name


def test_every_acclaim_bone_ends_at_its_own_joint():
  assert sorted(skeleton.CMU_BONES.values()) == sorted(get("cmu").names)
