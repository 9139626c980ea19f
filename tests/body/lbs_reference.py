"""Linear blend skinning in float64 NumPy, vertex by vertex and joint by joint, from a model file's arrays."""

import numpy as np


def rodrigues(vector):
  angle = np.linalg.norm(vector)
  if angle == 0:
    return np.eye(3)
  x, y, z = vector / angle
  cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
  return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def skin(arrays, pose, betas, translation):
  """(vertices [V, 3], joints [J, 3]) of one pose [J, 3]."""
  parents = arrays["kintree_table"][0].astype(np.int64)
  shaped = arrays["v_template"] + arrays["shapedirs"][..., : len(betas)] @ betas
  rest = arrays["J_regressor"] @ shaped
  rotations = [rodrigues(v) for v in np.asarray(pose, np.float64)]
  feature = np.concatenate([(r - np.eye(3)).ravel() for r in rotations[1:]])
  shaped = shaped + arrays["posedirs"] @ feature
  world = []
  for joint, rotation in enumerate(rotations):
    local = np.eye(4)
    local[:3, :3] = rotation
    local[:3, 3] = rest[joint] - (rest[parents[joint]] if joint else 0)
    world.append(world[parents[joint]] @ local if joint else local)
  vertices = []
  for vertex, weights in zip(shaped, arrays["weights"]):
    parts = [w * (g @ np.append(vertex - j, 1)) for w, g, j in zip(weights, world, rest) if w]
    vertices.append(sum(parts)[:3])
  return np.array(vertices) + translation, np.array([g[:3, 3] for g in world]) + translation
