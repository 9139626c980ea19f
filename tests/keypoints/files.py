"""Writes keypoints in every detector's format, straight from the formats' descriptions, for the readers' tests."""

import csv
import io
import json
import struct

import numpy as np

from jaxpose import skeleton as skeletons

OPENPOSE_25 = [
  "Nose", "Neck", "RShoulder", "RElbow", "RWrist", "LShoulder", "LElbow", "LWrist", "MidHip", "RHip", "RKnee", "RAnkle",
  "LHip", "LKnee", "LAnkle", "REye", "LEye", "REar", "LEar", "LBigToe", "LSmallToe", "LHeel", "RBigToe", "RSmallToe",
  "RHeel",
]  # fmt: skip


def triples(points, confidence):
  return [float(v) for p, c in zip(points, confidence) for v in (*p, c)]


def found(keypoints):
  """(frame, person) of everybody found."""
  return [(t, n) for t, n in np.argwhere(np.isfinite(keypoints).all((-1, -2))).tolist()]


def coco(keypoints, confidence):
  return json.dumps(
    [
      {"image_id": t, "category_id": 1, "keypoints": triples(keypoints[t, n], confidence[t, n]), "score": 0.9}
      for t, n in found(keypoints)
    ]
  ).encode()


def alphapose(keypoints, confidence, ids=None):
  entries = [
    {
      "image_id": f"{t}.jpg",
      "category_id": 1,
      "keypoints": triples(keypoints[t, n], confidence[t, n]),
      "score": 2.9,
      "idx": 0 if ids is None else ids[n],
    }
    for t, n in found(keypoints)
  ]
  entries.sort(key=lambda e: e["image_id"])  # as text: 0, 1, 10, 100, 11, ...
  return json.dumps(entries).encode()


def openpose(folder, keypoints, confidence):
  folder.mkdir()
  for t in range(len(keypoints)):
    people = [
      {"person_id": [-1], "pose_keypoints_2d": triples(keypoints[t, n], confidence[t, n]), "face_keypoints_2d": []}
      for n in range(keypoints.shape[1])
      if np.isfinite(keypoints[t, n]).all()
    ]
    name = folder / f"video_{t:012d}_keypoints.json"
    name.write_text(json.dumps({"version": 1.3, "people": people}))
  return folder


def mmpose(keypoints, confidence, demo=False, names=None):
  frames = [{"frame_id": t + demo, "instances": []} for t in range(len(keypoints))]
  for t, n in found(keypoints):
    box = [*keypoints[t, n].min(0), *keypoints[t, n].max(0)]
    frames[t]["instances"].append(
      {
        "keypoints": keypoints[t, n].tolist(),
        "keypoint_scores": confidence[t, n].tolist(),
        "bbox": [[float(v) for v in box]],
        "bbox_score": 0.8,
      }
    )
  if not demo:
    return json.dumps(frames).encode()
  meta = {"dataset_name": "x", "keypoint_id2name": {str(i): n for i, n in enumerate(names)}}
  return json.dumps({"meta_info": meta, "instance_info": frames}).encode()


def mediapipe(keypoints, confidence, size, fps, sigmoid=True):
  visible = confidence if sigmoid else np.log(confidence / (1 - confidence))
  frames = []
  for t in range(len(keypoints)):
    people = [
      [
        {"x": p[0] / size[0], "y": p[1] / size[1], "z": 0.1, "visibility": float(v)}
        for p, v in zip(keypoints[t, n], visible[t, n])
      ]
      for n in range(keypoints.shape[1])
      if np.isfinite(keypoints[t, n]).all()
    ]
    frames.append(people[0] if len(people) == 1 else people or None)
  return json.dumps({"width": size[0], "height": size[1], "fps": fps, "frames": frames}).encode()


def yolo(folder, keypoints, confidence, size, tail="id"):
  folder.mkdir()
  for t in range(len(keypoints)):
    lines = []
    for n in range(keypoints.shape[1]):
      if not np.isfinite(keypoints[t, n]).all():
        continue
      points = keypoints[t, n] / size
      low, high = points.min(0), points.max(0)
      ends = {"": [], "score": [0.87], "id": [n + 4], "both": [0.87, n + 4]}[tail]
      numbers = [0, *(low + high) / 2, *(high - low), *triples(points, confidence[t, n]), *ends]
      lines.append(" ".join(f"{v:.7g}" for v in numbers) + "\n")
    if lines:
      (folder / f"video_{t + 1}.txt").write_text("".join(lines))
  return folder


def deeplabcut(keypoints, confidence, parts, individuals=None):
  file = io.StringIO()
  writer = csv.writer(file)
  people = individuals or ["only"]
  columns = [(p, part, c) for p in people for part in parts for c in ("x", "y", "likelihood")]
  writer.writerow(["scorer", *["DLC_resnet50"] * len(columns)])
  if individuals:
    writer.writerow(["individuals", *(c[0] for c in columns)])
  writer.writerow(["bodyparts", *(c[1] for c in columns)])
  writer.writerow(["coords", *(c[2] for c in columns)])
  for t in range(len(keypoints)):
    row = np.concatenate([keypoints[t], confidence[t][..., None]], -1)[: len(people)]
    missing = np.isnan(row).any((1, 2), keepdims=True) | np.zeros_like(row, bool)
    writer.writerow([t, *("" if m else repr(float(v)) for v, m in zip(row.ravel(), missing.ravel()))])
  return file.getvalue().encode()


def text(value):
  return struct.pack("<H", len(value)) + value.encode()


def pose(keypoints, confidence, names, size, fps, version=0.2, axes="XYC"):
  frames, people, points, _ = keypoints.shape
  header = struct.pack("<f4H", version, *size, 0, 1) + text("BODY") + text(axes)
  header += struct.pack("<3H", points, 1, 1) + b"".join(map(text, names))
  header += struct.pack("<2H", 0, 1) + struct.pack("<3H", 255, 0, 0)
  rate = struct.pack("<fIH", fps, frames, people) if version == 0.2 else struct.pack("<HHH", int(fps), frames, people)
  there = np.isfinite(keypoints).all(-1)
  data = np.where(there[..., None], keypoints, 0)
  data = np.concatenate([data, *[data[..., :1]] * (len(axes) - 3)], -1)
  return header + rate + data.astype("<f4").tobytes() + np.where(there, confidence, 0).astype("<f4").tobytes()


def npz(keypoints, confidence, **others):
  file = io.BytesIO()
  np.savez(file, keypoints=keypoints, confidence=confidence, **others)
  return file.getvalue()


def people(skeleton, frames=24, seed=0, noise=0.0, size=(1280, 720)):
  """Two people walking: keypoints [T, 2, K, 2] of a joint set, confidences in (0.4, 1)."""
  from jaxpose.keypoints import sample

  made = sample.scene()
  points = np.resize(made.points, (frames, *made.points.shape[1:])) if frames > len(made.points) else made.points
  joints = sample.detector_joints(points[:frames], skeletons.get(skeleton))
  pixels = np.stack([sample.cameras.see(joints[:, n], made.camera)[1] for n in range(2)], 1).astype(np.float64)
  rng = np.random.default_rng(seed)
  return pixels + noise * rng.normal(size=pixels.shape), rng.uniform(0.4, 0.99, pixels.shape[:3])
