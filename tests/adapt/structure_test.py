"""Symmetry and smoothness against sums written out in NumPy, for single frames and for windows."""

import functools

import jax
import numpy as np
import pytest

from jaxpose import skeleton
from jaxpose.adapt import structure
from tests.adapt import tiny

close = functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("window", [1, 3])
def test_symmetry_compares_the_bones_of_two_sides(window):
  lifter, variables, inputs = tiny.model(window)
  pose = tiny.predictions(lifter, variables, inputs)
  index = tiny.SKELETON.index
  limbs = [("hip", "pelvis"), ("knee", "hip"), ("ankle", "knee"), ("shoulder", "thorax"), ("elbow", "shoulder")]
  total = 0
  for child, parent in [*limbs, ("wrist", "elbow")]:
    lengths = []
    for side in ("left", "right"):
      end = index(parent) if parent in tiny.SKELETON.names else index(f"{side}_{parent}")
      lengths.append(np.linalg.norm(pose[:, :, index(f"{side}_{child}")] - pose[:, :, end], axis=-1))
    total += (lengths[0] - lengths[1]) ** 2
  objective = structure.symmetry(lifter, tiny.SKELETON, weight=3.0)
  value, metrics = jax.jit(objective)(variables, inputs, tiny.KEY)
  close(value, 3 * total.mean())
  close(metrics["symmetry"], total.mean())
  assert tiny.moves(tiny.finite_gradient(objective, variables, inputs)) == {"trunk", "head"}


@pytest.mark.parametrize("name", ["h36m_17", "mpi_inf_3dhp_28", "smpl_24", "lsp_14", "coco_17", "cmu"])
def test_every_sided_bone_has_its_mirror(name):
  joints = skeleton.get(name)
  left, right = structure.bone_pairs(joints)
  for l, r in zip(left, right):
    assert all(skeleton.mirror_name(joints.names[a]) == joints.names[b] or a == b
               for a, b in zip(joints.bones[l], joints.bones[r]))  # fmt: skip
  # coco's left eye and ear hang on the nose and each other as the right ones do.
  assert len(left) == sum(n.startswith("left") for n in joints.names) and not set(left) & set(right)


def test_a_body_without_sides_is_refused():
  spine = skeleton.Skeleton("spine", ("pelvis", "thorax"), (-1, 0))
  with pytest.raises(ValueError, match="skeleton 'spine' has no pair of left and right bones: pelvis, thorax"):
    structure.symmetry(tiny.LIFTER, spine)


def test_smoothness_is_the_acceleration_within_windows_and_along_rows():
  for window in (1, 2, 3):
    lifter, variables, inputs = tiny.model(window)
    pose = tiny.predictions(lifter, variables, inputs)
    sequences = pose if window == 3 else [pose.reshape(6, 17, 3)]
    own = [((s[t - 1] - 2 * s[t] + s[t + 1]) ** 2).sum() for s in sequences for t in range(1, len(s) - 1)]
    objective = structure.smoothness(lifter, weight=2.0)
    close(jax.jit(objective)(variables, inputs, tiny.KEY)[0], 2 * np.mean(own))
    assert tiny.moves(tiny.finite_gradient(objective, variables, inputs)) == {"trunk", "head"}


def test_smoothness_of_a_single_frame_is_refused():
  lifter, variables, inputs = tiny.model()
  with pytest.raises(ValueError, match="a step sees 2 rows of 1; use it in an online mode with memory=3"):
    structure.smoothness(lifter)(variables, inputs[:2], tiny.KEY)
