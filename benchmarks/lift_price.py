"""What it costs that keypoints come from a detector's file: held-out motion through COCO's joints, noise and AlphaPose.

python -m benchmarks.lift_price --model=cmu_frame --data_dir=DIR --output=OUT.json [--adapt=none,online]

Held-out CMU motions are seen by cameras of the rig that the model trained with, sampled anew. "own joints": the model's
17, exact, its own camera. "file": COCO's 17 with a face 6 cm before the end of the neck, normal noise, written as
AlphaPose's JSON, read and lifted as launch.lift does. Root-relative MPJPE in mm over the frames that are valid.
"""

import json
import pathlib
import tempfile
import warnings

import jax.numpy as jnp
import numpy as np
from absl import flags

from configs import cmu_frame
from jaxpose import evaluate, keypoints, pose_lifter, report
from jaxpose import skeleton as skeletons
from jaxpose.data import cameras, detector, source
from jaxpose.data.clip import Clip
from jaxpose.keypoints import gaps, sample
from launch import app

_MODEL = flags.DEFINE_string("model", "cmu_frame", "Shipped weights by name, or a run's workdir.")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Where launch.build_data put cmu_mocap.", required=True)
_OUTPUT = flags.DEFINE_string("output", None, "The JSON to write.", required=True)
_ADAPT = flags.DEFINE_list("adapt", ["none"], "Modes of launch.lift --adapt=.")
_NOISE = flags.DEFINE_float("noise_px", 5.0, "Standard deviation of the keypoints' noise, in images of 1000 pixels.")
_CAMERAS = flags.DEFINE_integer("cameras", 2, "Of each of the three motions.")
_STRIDE = flags.DEFINE_integer("stride", 1, "Take every n-th frame.", lower_bound=1)
COCO, FACE_M = skeletons.get("coco_17"), 0.06


def clips(data_dir: str, count: int, stride: int = 1) -> list[Clip]:
  """Every n-th frame of the longest valid stretch of each held-out motion before each camera."""
  options = dict(cmu_frame.CAMERAS, cameras_per_motion=count)
  splits, held_out = ("01", "02", "03"), cmu_frame.HELD_OUT
  loaded = source.load_clips(
    "cmu_mocap", splits, data_dir, rig="random", rig_options=options, fps=30.0, include=held_out, seed=1
  )
  return [_longest(clip).subsample(stride) for clip in loaded if clip.valid.any()]


def _longest(clip: Clip) -> Clip:
  part = max(gaps.stretches(clip.valid), key=lambda s: s.stop - s.start)
  arrays = {name: getattr(clip, name)[part] for name in ("keypoints_2d", "confidence", "joints_3d", "valid")}
  return clip.replace(**arrays)


def write_alphapose(path: pathlib.Path, clip: Clip, noise_px: float, seed: int) -> None:
  """The clip as a detector of COCO's joints would write it."""
  at = {name: i for i, name in enumerate(clip.skeleton.names)}
  joints = np.array(clip.joints_3d)
  nose, _ = detector.face(jnp.asarray(joints)[None], at, jnp.array([[FACE_M, 0.0]]))
  joints[:, at["nose"]] = nose[0]
  feet = joints[:, [at["left_ankle"]] * 2 + [at["right_ankle"]] * 2]  # COCO has none
  coco = sample.detector_joints(np.concatenate([joints, feet], 1), COCO)
  level = clip.camera._replace(rotation=np.eye(3, dtype=np.float32), translation=np.zeros(3, np.float32))
  pixels = cameras.see(coco, level)[1] + np.random.default_rng(seed).normal(0, noise_px, (*coco.shape[:2], 2))
  entries = [
    {"image_id": f"{t}.jpg", "category_id": 1, "score": 2.7, "idx": 1,
     "keypoints": [round(float(v), 3) for x, y in frame for v in (x, y, 0.9)]}
    for t, frame in enumerate(pixels)
  ]  # fmt: skip
  path.write_text(json.dumps(entries))


def mpjpe_mm(poses: list[np.ndarray], clips: list[Clip]) -> float:
  """Root-relative, over the frames of all clips."""
  root, errors = clips[0].skeleton.root, []
  for pose, clip in zip(poses, clips):
    truth = np.asarray(clip.joints_3d)
    off = (pose - pose[:, root : root + 1]) - (truth - truth[:, root : root + 1])
    errors.append(np.linalg.norm(off, axis=-1).mean(-1))
  return float(np.concatenate(errors).mean() * 1000)


def main() -> None:
  lifter = pose_lifter.load(_MODEL.value)
  trained, held_out = lifter.trained, clips(_DATA_DIR.value, _CAMERAS.value, _STRIDE.value)
  window = {"window": trained.config.window, "overlap": trained.config.overlap}
  exact = evaluate.predict(trained.method.graphs["lift"], trained.variables, held_out, **window)
  results = {"model": lifter.name, "step": trained.step, "frames": sum(map(len, held_out)), "noise_px": _NOISE.value}
  results |= {"own joints": mpjpe_mm(exact, held_out)}
  with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
    warnings.simplefilter("ignore", UserWarning)  # of the assumed camera
    tracks = []
    for i, clip in enumerate(held_out):
      path = pathlib.Path(folder) / f"{i}.json"
      write_alphapose(path, clip, _NOISE.value, i)
      tracks.append(keypoints.read(path, image_size=(1000, 1000), fps=clip.fps, frames=len(clip)))
    for adapt in _ADAPT.value:
      for camera, of in (("known", lambda c: c.camera), ("assumed", lambda c: None)):
        lifted = [lifter.lift_tracks(t, adapt=adapt, camera=of(c)) for t, c in zip(tracks, held_out)]
        results[f"file, focal length {camera}, adapt={adapt}"] = mpjpe_mm([r.positions[:, 0] for r in lifted], held_out)
  report.write_json(_OUTPUT.value, results)
  print(json.dumps(results, indent=1))


if __name__ == "__main__":
  app.run(main)
