"""Float64 NumPy re-implementations of the geometry, metrics and losses, written from their definitions for the tests.

They loop where the library vectorises and use LAPACK where it does not, so that the two share no mistake.
"""

import numpy as np

# MotionBERT's published lists, by index into Human3.6M's 17 joints: limbs (parent, child) and pairs of limbs.
LIMBS = [(0, 1), (1, 2), (2, 3), (0, 4), (4, 5), (5, 6), (0, 7), (7, 8), (8, 9), (9, 10), (8, 11), (11, 12), (12, 13)]
LIMBS += [(8, 14), (14, 15), (15, 16)]
ANGLES = [(0, 3), (0, 6), (3, 6), (0, 1), (1, 2), (3, 4), (4, 5), (6, 7), (7, 10), (7, 13), (8, 13), (10, 13), (7, 8)]
ANGLES += [(8, 9), (10, 11), (11, 12), (13, 14), (14, 15)]


def norm(vector):
  return np.sqrt(np.sum(np.asarray(vector, np.float64) ** 2, -1))


def similarity(predicted, target):
  """Kabsch and Umeyama for one pose [J, 3]: scale, rotation, translation, by the singular values of the covariance."""
  p, q = np.asarray(predicted, np.float64), np.asarray(target, np.float64)
  p_mean, q_mean = p.mean(0), q.mean(0)
  u, s, vt = np.linalg.svd((q - q_mean).T @ (p - p_mean))
  sign = np.diag([1, 1, np.sign(np.linalg.det(u @ vt))])
  rotation = u @ sign @ vt
  scale = np.sum(s * np.diag(sign)) / np.sum((p - p_mean) ** 2)
  return scale, rotation, q_mean - scale * rotation @ p_mean


def align(predicted, target):
  """Aligns a batch [N, J, 3] pose by pose."""
  aligned = []
  for p, q in zip(predicted, target):
    scale, rotation, translation = similarity(p, q)
    aligned.append(scale * np.asarray(p, np.float64) @ rotation.T + translation)
  return np.stack(aligned)


def scale_align(predicted, target):
  p, q = np.asarray(predicted, np.float64), np.asarray(target, np.float64)
  return p * (np.sum(p * q, (-2, -1)) / np.sum(p * p, (-2, -1)))[..., None, None]


def mpjpe(predicted, target):
  return norm(np.asarray(predicted, np.float64) - target).mean(-1)


def pck(predicted, target, threshold):
  return (norm(np.asarray(predicted, np.float64) - target) < threshold).mean(-1)


def auc(predicted, target):
  return np.mean([pck(predicted, target, k * 0.005) for k in range(31)], 0)


def bones(pose):
  pose = np.asarray(pose, np.float64)
  return np.stack([pose[..., parent, :] - pose[..., child, :] for parent, child in LIMBS], -2)


def angles(pose):
  unit = bones(pose) / norm(bones(pose))[..., None]
  cosine = np.stack([np.sum(unit[..., a, :] * unit[..., b, :], -1) for a, b in ANGLES], -1)
  return np.arccos(np.clip(cosine, -1 + 1e-7, 1 - 1e-7))


def losses(p, q, confidence):
  """Every loss of MotionBERT for [B, T, 17, 3], as its mean."""
  p, q = np.asarray(p, np.float64), np.asarray(q, np.float64)
  return {
    "mpjpe": norm(p - q).mean(),
    "n_mpjpe": norm(scale_align(p, q) - q).mean(),
    "velocity": norm(np.diff(p, axis=1) - np.diff(q, axis=1)).mean(),
    "limb_variance": norm(bones(p)).var(1, ddof=1).mean(),
    "limb_length": np.abs(norm(bones(p)) - norm(bones(q))).mean(),
    "angle": np.abs(angles(p) - angles(q)).mean(),
    "angle_velocity": np.abs(np.diff(angles(p), axis=1) - np.diff(angles(q), axis=1)).mean(),
    "weighted_2d": norm((p - q)[..., :2] * confidence).mean(),
    "bone": np.sum((bones(p) - bones(q)) ** 2, -1).mean(),
  }


def project(points, focal, center, radial, tangential):
  """Camera space to pixels point by point, tangential coefficients in VideoPose3D's order."""
  pixels = []
  for x, y, z in np.asarray(points, np.float64).reshape(-1, 3):
    x, y = x / z, y / z
    r2 = x * x + y * y
    gain = 1 + radial[0] * r2 + radial[1] * r2**2 + radial[2] * r2**3 + tangential[0] * x + tangential[1] * y
    pixels.append((focal * (np.array([x, y]) * gain + np.array(tangential) * r2)) + center)
  return np.reshape(pixels, (*np.shape(points)[:-1], 2))


def project_opencv(points, matrix, distortion):
  """Camera space to pixels as OpenCV's documentation has it, point by point; distortion: k1 k2 p1 p2 k3."""
  k1, k2, p1, p2, k3 = distortion
  pixels = []
  for x, y, z in np.asarray(points, np.float64).reshape(-1, 3):
    x, y = x / z, y / z
    r2 = x * x + y * y
    radial = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3
    u = x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x)
    v = y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y
    pixels.append((np.asarray(matrix) @ [u, v, 1])[:2])
  return np.reshape(pixels, (*np.shape(points)[:-1], 2))


def rotation_x(angle):
  return np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])


def rotation_y(angle):
  return np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
