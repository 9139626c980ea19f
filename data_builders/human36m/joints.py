"""The joint sets of Human3.6M's files, in the library's names, so that they map to `h36m_17` by name."""

from jaxpose.skeleton import Skeleton

# Name: the joint in the library's vocabulary, the official name beside it, its parent. The official names are shifted
# against the body: its Neck is the thorax, its Head the face point, its last Site of the spine the crown.
_OFFICIAL = (
  ("pelvis", "Hips", -1),
  ("right_hip", "RightUpLeg", 0),
  ("right_knee", "RightLeg", 1),
  ("right_ankle", "RightFoot", 2),
  ("right_toe_base", "RightToeBase", 3),
  ("right_toe", "Site", 4),
  ("left_hip", "LeftUpLeg", 0),
  ("left_knee", "LeftLeg", 6),
  ("left_ankle", "LeftFoot", 7),
  ("left_toe_base", "LeftToeBase", 8),
  ("left_toe", "Site", 9),
  ("spine_base", "Spine", 0),
  ("spine", "Spine1", 11),
  ("thorax", "Neck", 12),
  ("nose", "Head", 13),
  ("head_top", "Site", 14),
  ("left_collar", "LeftShoulder", 12),
  ("left_shoulder", "LeftArm", 16),
  ("left_elbow", "LeftForeArm", 17),
  ("left_wrist", "LeftHand", 18),
  ("left_thumb", "LeftHandThumb", 19),
  ("left_thumb_tip", "Site", 20),
  ("left_hand", "L_Wrist_End", 19),
  ("left_hand_tip", "Site", 22),
  ("right_collar", "RightShoulder", 12),
  ("right_shoulder", "RightArm", 24),
  ("right_elbow", "RightForeArm", 25),
  ("right_wrist", "RightHand", 26),
  ("right_thumb", "RightHandThumb", 27),
  ("right_thumb_tip", "Site", 28),
  ("right_hand", "R_Wrist_End", 27),
  ("right_hand_tip", "Site", 30),
)

H36M_32 = Skeleton("h36m_32", tuple(name for name, _, _ in _OFFICIAL), tuple(parent for _, _, parent in _OFFICIAL))

# Joints of the 32 that lie on another one in every frame: bones of length zero.
SAME_PLACE = {
  "spine_base": "pelvis", "left_collar": "thorax", "right_collar": "thorax", "left_thumb": "left_wrist",
  "left_hand_tip": "left_hand", "right_thumb": "right_wrist", "right_hand_tip": "right_hand",
}  # fmt: skip

# Stacked hourglass detections: MPII's order, whose thorax and upper neck the papers use as spine and thorax.
HOURGLASS_16 = Skeleton(
  "hourglass_16",
  (
    "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "pelvis", "spine", "thorax",
    "head_top", "right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist",
  ),
  (1, 2, 6, 6, 3, 4, -1, 6, 7, 8, 11, 12, 8, 8, 13, 14),
)  # fmt: skip
