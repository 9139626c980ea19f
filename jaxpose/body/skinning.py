"""Linear blend skinning: pose, shape and translation to vertices and joints (Loper et al. 2015, equations 2 to 10)."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxpose.body.model import BodyModel
from jaxpose.geometry import rotation
from jaxpose.geometry.rotation import einsum

AnyArray = Array | np.ndarray


class Posed(NamedTuple):
  """vertices [..., V, 3] and joints [..., J, 3], metres, in the axes of the pose's root rotation."""

  vertices: Array
  joints: Array


def skin(
  model: BodyModel, pose: Float[AnyArray, "J 3"], betas: Float[AnyArray, " B"], translation: Float[AnyArray, "3"]
) -> Posed:
  """One pose: axis-angle of each joint relative to its parent, in radians; shape coefficients; metres.

  The root turns about its own rest position, which is not the origin, and the translation is added last: so
  `translation` is not where the pelvis is. That is rest_joints[0] (of this shape) + translation.
  """
  rotations = rotation.from_axis_angle(pose)
  shaped = model.template + einsum("vcb,b->vc", model.shape_dirs, betas)
  rest = model.rest_joints + einsum("jcb,b->jc", model.rest_joint_dirs, betas)
  feature = (rotations[1:] - jnp.eye(3, dtype=rotations.dtype)[None]).reshape(-1)
  shaped = shaped + einsum("vcp,p->vc", model.pose_dirs, feature)
  turned, joints = chain(rotations, rest, model.parents)
  # Each joint's motion of the rest pose, x -> turned x + moved, blended for each vertex.
  moved = joints - einsum("jab,jb->ja", turned, rest)
  motion = jnp.concatenate([turned, moved[..., None]], -1).reshape(-1, 12)
  blended = einsum("vj,jm->vm", model.weights, motion).reshape(-1, 3, 4)
  vertices = einsum("vab,vb->va", blended[..., :3], shaped) + blended[..., 3]
  return Posed(vertices + translation[None], joints + translation[None])


def chain(
  rotations: Float[AnyArray, "J 3 3"], rest: Float[AnyArray, "J 3"], parents: tuple[int, ...]
) -> tuple[Float[Array, "J 3 3"], Float[Array, "J 3"]]:
  """Forward kinematics: rotations [J, 3, 3] relative to the parents -> rotations and positions in the root's axes.

  All joints of one depth at once: the tree is up to ten deep and has up to 55 joints.
  """
  above = np.asarray(parents)
  depth = np.zeros(len(above), int)
  for joint in range(1, len(above)):
    depth[joint] = depth[above[joint]] + 1
  order = np.argsort(depth, kind="stable")
  place = np.argsort(order)  # where a joint is among those done so far, level after level
  turned, positions = jnp.asarray(rotations[:1]), jnp.asarray(rest[:1])
  for level in np.split(order, np.flatnonzero(np.diff(depth[order])) + 1)[1:]:
    parent_turned, parent_position = turned[place[above[level]]], positions[place[above[level]]]
    bone = einsum("jab,jb->ja", parent_turned, rest[level] - rest[above[level]])
    turned = jnp.concatenate([turned, einsum("jab,jbc->jac", parent_turned, rotations[level])])
    positions = jnp.concatenate([positions, parent_position + bone])
  return turned[place], positions[place]


@jax.jit
def skin_frames(
  model: BodyModel,
  pose: Float[AnyArray, "T J 3"],
  betas: Float[AnyArray, " B"],
  translation: Float[AnyArray, "T 3"],
) -> Posed:
  """`skin` for T frames of one person at once. A frame of SMPL takes about 0.5 MB."""
  return jax.vmap(skin, (None, 0, None, 0))(model, pose, betas, translation)


@jax.jit
def regress_frames(
  model: BodyModel,
  regressor: Float[AnyArray, "R V"],
  pose: Float[AnyArray, "T J 3"],
  betas: Float[AnyArray, " B"],
  translation: Float[AnyArray, "T 3"],
) -> Float[Array, "T R 3"]:
  """Joints as weighted sums of the vertices, regressor @ vertices, then the translation, for T frames at once.

  Trap: the rows of the published regressors sum to 0.9999, not to 1. On vertices that are metres away from the origin
  that would pull each joint by tenths of a millimetre: so the translation comes after the regressor, as in SPIN.
  """
  vertices = skin_frames(model, pose, betas, jnp.zeros_like(translation)).vertices
  return einsum("rv,tva->tra", regressor, vertices) + translation[:, None]


def regress(
  model: BodyModel,
  regressor: Float[AnyArray, "R V"],
  pose: Float[np.ndarray, "T J 3"],
  betas: Float[np.ndarray, " B"],
  translation: Float[np.ndarray, "T 3"],
  *,
  chunk: int = 256,
) -> Float[np.ndarray, "T R 3"]:
  """`regress_frames` of a sequence of any length, `chunk` frames at a time, as NumPy.

  The last chunk is filled with its last frame: one compiled program serves all sequences.
  """
  parts = []
  for start in range(0, len(pose), chunk):
    at = np.minimum(np.arange(start, start + chunk), len(pose) - 1)
    part = regress_frames(model, regressor, pose[at], betas, translation[at])
    parts.append(np.asarray(part)[: len(pose) - start])
  return np.concatenate(parts)


def keep(model: BodyModel, vertices: Int[np.ndarray, " n"]) -> BodyModel:
  """The model with those vertices alone (indices): the same joints, and the same places of the vertices kept."""
  fields = ("template", "shape_dirs", "pose_dirs", "weights")
  return dataclasses.replace(model, **{f: getattr(model, f)[vertices] for f in fields})
