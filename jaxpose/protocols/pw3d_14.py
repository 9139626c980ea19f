"""3DPW as SPIN (Kolotouros et al. 2019) and its line score it: 14 joints of the mesh, about the pelvis."""

from collections.abc import Sequence

from jaxpose.protocols.protocol import Protocol

# SPIN's H36M_TO_J14, by name. Its neck is the regressor's joint between the shoulders, `thorax` here.
JOINTS = (
  "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "right_wrist", "right_elbow",
  "right_shoulder", "left_shoulder", "left_elbow", "left_wrist", "thorax", "head_top",
)  # fmt: skip


def notes(actions: Sequence[str]) -> dict:
  del actions
  return {"ground_truth": "joints regressed from the gendered body mesh; not the mesh's own kinematic joints"}


# The pelvis of all 17 joints centres the pose and is not scored itself. Clips in smpl_24 are refused, as its joints lie
# elsewhere; so are clips in lsp_14, which lacks the pelvis.
PW3D_14 = Protocol("pw3d_14", version=2, joint_set="h36m_17", scored=JOINTS, notes=notes)
