"""A sample that needs no download: four seconds of two procedural people who cross, as detectors would write it.

`write` made the files in `sample_files`: AlphaPose's of Halpe's 26 joints, MMPose's of COCO's 17, and our npz. They
have the errors of real ones: noise, people in changing order without ids, one who is not found for a moment as they
cross, joints that are hidden, and a gap too long to fill.
"""

import json
import os
import pathlib
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from jaxpose import skeleton as skeletons
from jaxpose.data import cameras
from jaxpose.geometry import camera as geometry
from jaxpose.geometry import rotation
from jaxpose.geometry.camera import Camera
from jaxpose.keypoints import npz_file
from jaxpose.keypoints.tracks import Detections, Tracks, dense
from jaxpose.skeleton import Skeleton
from jaxpose.synthetic import kinematics, motion

FOLDER = pathlib.Path(__file__).parent / "sample_files"
FILES = {
  "alphapose": FOLDER / "alphapose-results.json",
  "mmpose": FOLDER / "mmpose.json",
  "npz": FOLDER / "keypoints.npz",
}
SIZE, FPS, FRAMES = (1280, 720), 25.0, 100
_NOISE_PX = 2.0
_WALKS = ((42, 20, 0.0, 0.0), (63, 20, np.pi, 0.7))  # sequence, first frame, heading, metres behind the other


class Scene(NamedTuple):
  """points: [T, N, P, 3] metres, z up, of kinematics.POINTS. camera: pitched down by 12 degrees, not moving."""

  points: np.ndarray
  camera: Camera


def scene() -> Scene:
  """Two people who walk past each other before a camera, and where everything is."""
  people = []
  for sequence, first, heading, behind in _WALKS:
    points = motion.simulate("train", sequence, seed=0).points
    points = cameras.resample(points[first:], motion.FPS, FPS)[:FRAMES]
    points = points @ np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]])  # y up to z up
    way = points[-1, 0] - points[0, 0]
    turn = heading - np.arctan2(way[1], way[0])
    c, s = np.cos(turn), np.sin(turn)
    points = points @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])
    middle = points[:, 0].mean(0)
    people.append(points - (middle[0], middle[1] - behind, 0))
  place = np.array([0.0, -5.0, 1.9], np.float32)
  aim = np.array([0.0, 0.0, 1.9 - 5 * np.tan(np.radians(12))], np.float32)
  turned = rotation.look_at(place, aim, np.array([0, 0, 1], np.float32))
  focal = SIZE[0] / 2 / np.tan(np.radians(55) / 2)
  camera = geometry.create((focal, focal), (SIZE[0] / 2, SIZE[1] / 2), SIZE, rotation=turned, position=place)
  return Scene(np.stack(people, 1), camera)


def detector_joints(points: Float[np.ndarray, "*b P 3"], target: Skeleton) -> Float[np.ndarray, "*b K 3"]:
  """Where a detector's joints lie on a body of kinematics.POINTS; faces, hands and feet of adult size."""
  p = {name: points[..., i, :] for i, name in enumerate(kinematics.POINTS)}
  left = _unit(p["left_shoulder"] - p["right_shoulder"])
  up = _unit(p["head_top"] - p["nose"])
  ahead = _unit(np.cross(left, up))
  p["neck"], p["head"] = p["thorax"], (p["nose"] + p["head_top"]) / 2 - 0.08 * ahead
  for part, (high, deep, wide) in _FACE.items():
    for side, sign in kinematics.SIDES.items():
      p[f"{side}_{part}"] = p["nose"] + high * up + deep * ahead + sign * wide * left
  for side, sign in kinematics.SIDES.items():
    forearm = _unit(p[f"{side}_wrist"] - p[f"{side}_elbow"])
    for finger, (far, wide) in _HAND.items():
      p[f"{side}_{finger}"] = p[f"{side}_wrist"] + far * forearm + sign * wide * left
    foot = p[f"{side}_ball"] - p[f"{side}_heel"]
    p[f"{side}_big_toe"] = p[f"{side}_ball"] + 0.3 * foot - sign * 0.02 * left
    p[f"{side}_small_toe"] = p[f"{side}_ball"] + 0.15 * foot + sign * 0.05 * left
    p[f"{side}_foot_index"] = p[f"{side}_big_toe"]
  return np.stack([p[name] for name in target.names], -2)


# Metres above, before and outside of the nose; metres beyond the wrist and outside of it.
_FACE = {
  "eye": (0.035, -0.02, 0.032), "eye_inner": (0.035, -0.018, 0.018), "eye_outer": (0.035, -0.028, 0.046),
  "ear": (0.02, -0.11, 0.075), "mouth": (-0.045, -0.01, 0.025),
}  # fmt: skip
_HAND = {"pinky": (0.08, 0.03), "index": (0.09, -0.02), "thumb": (0.05, -0.04)}


def seen(made: Scene, skeleton: Skeleton, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
  """What a detector gives of the scene: keypoints [T, N, K, 2] with NaN where it fails, and confidence [T, N, K]."""
  rng = np.random.default_rng(seed)
  joints = detector_joints(made.points, skeleton)
  pixels = np.stack([cameras.see(joints[:, n], made.camera)[1] for n in range(joints.shape[1])], 1)
  error = rng.normal(0, _NOISE_PX, pixels.shape)
  confidence = np.clip(0.95 - np.linalg.norm(error, axis=-1) / 40, 0, 1)
  hidden = rng.uniform(size=confidence.shape) < 0.02
  pixels = pixels + error + np.where(hidden, 15, 0)[..., None] * rng.normal(size=pixels.shape)
  confidence = np.where(hidden, rng.uniform(0.05, 0.25, confidence.shape), confidence)
  crossing = int(np.abs(np.diff(made.points[:, :, 0, 0], axis=1))[:, 0].argmin())
  lost = np.zeros(pixels.shape[:2], bool)
  lost[crossing - 3 : crossing + 4, 1] = True  # behind the other
  lost[80:92, 0] = True  # longer than what is filled
  return np.where(lost[..., None, None], np.nan, pixels), np.where(lost[..., None], 0, confidence)


def write(folder: str | os.PathLike) -> None:
  """Writes the three files; the same bytes every time, up to the last digit of a coordinate."""
  folder, made, rng = pathlib.Path(folder), scene(), np.random.default_rng(1)
  folder.mkdir(parents=True, exist_ok=True)
  keypoints, confidence = seen(made, skeletons.get("halpe_26"))
  entries = [
    {
      "image_id": f"{t}.jpg",
      "category_id": 1,
      "keypoints": [v for p, c in zip(keypoints[t, n], confidence[t, n]) for v in (*_rounded(p), _rounded([c], 2)[0])],
      "score": round(float(confidence[t, n].mean()), 2),
      "idx": 0,
    }
    for t, n in _order(keypoints, rng)
  ]
  (folder / FILES["alphapose"].name).write_text(json.dumps(entries, separators=(",", ":")) + "\n")
  keypoints, confidence = seen(made, skeletons.get("coco_17"), 1)
  frames = [{"frame_id": t, "instances": []} for t in range(len(keypoints))]
  for t, n in _order(keypoints, rng):
    points = [_rounded(p) for p in keypoints[t, n]]
    frames[t]["instances"].append({"keypoints": points, "keypoint_scores": _rounded(confidence[t, n], 2)})
  (folder / FILES["mmpose"].name).write_text(json.dumps(frames, separators=(",", ":")) + "\n")
  npz_file.write(folder / FILES["npz"].name, _tracks(*seen(made, skeletons.get("coco_17"), 1)))


def _tracks(keypoints: np.ndarray, confidence: np.ndarray) -> Tracks:
  t, n = np.nonzero(np.asarray(np.isfinite(keypoints).all(-1).any(-1)))
  detections = Detections(
    t, np.round(keypoints[t, n], 1), np.round(confidence[t, n], 2), n + 1, skeletons.get("coco_17"), "px", 0,
    len(keypoints), FPS, SIZE,
  )  # fmt: skip
  return dense(detections, detections.ids, source="sample", format="npz")


def _order(keypoints: np.ndarray, rng: np.random.Generator) -> list[tuple[int, int]]:
  """(frame, person) of everybody found, people of a frame in any order."""
  seen = np.asarray(np.isfinite(keypoints).all((-1, -2)))
  return [(t, int(n)) for t in range(len(seen)) for n in rng.permutation(np.flatnonzero(seen[t]))]


def _rounded(values, digits: int = 1) -> list[float]:
  return [round(float(v), digits) for v in values]


def _unit(vectors: np.ndarray) -> np.ndarray:
  return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
