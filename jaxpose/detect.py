"""People in a video, as keypoints: a detector on every frame, and who is who.

`rtmlib` (extra `detect`) is the detector there is. Any function of an image takes its place.
"""

import os
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from jaxpose import progress, video
from jaxpose import skeleton as skeletons
from jaxpose.keypoints import check, link, tracks
from jaxpose.keypoints.tracks import Detections, Tracks
from jaxpose.skeleton import Skeleton

DETECTORS = ("rtmlib",)


class Detector(NamedTuple):
  """detect(image uint8 [H, W, 3], RGB) -> (keypoints [N, K, 2] px, scores [N, K]) of the N people in it."""

  detect: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
  skeleton: Skeleton


def people(path: str | os.PathLike, detector: Detector, *, show_progress: bool = False) -> Tracks:
  """The people of a video, followed from frame to frame: every joint with its score, clipped to 0 to 1.

  Who has no joint of `check.THRESHOLD` is left out. Raises OSError and ValueError as `video.read` does, and ValueError
  if there is nobody, or if the detector gives other shapes.
  """
  facts, where = video.probe(path), os.fspath(path)
  rows = []
  with progress.bar(facts.frames, "frame", "detect", enabled=show_progress) as bar:
    for number, frame in enumerate(video.read(path)):
      keypoints, scores = detector.detect(frame.image)
      shape = (len(keypoints), detector.skeleton.num_joints)
      if keypoints.shape != (*shape, 2) or scores.shape != shape:
        raise ValueError(f"the detector gave {keypoints.shape} and {scores.shape}; expected [N, {shape[1]}, 2], [N, K]")
      rows.append((np.full(len(keypoints), number), keypoints, scores))
      bar.update(1)
  frames, keypoints, scores = (np.concatenate(part) for part in zip(*rows))
  there = np.isfinite(keypoints).all(-1) & (scores > 0)
  seen = Detections(
    frames=frames, keypoints=np.where(there[..., None], keypoints, np.nan).astype(np.float64),
    confidence=np.where(there, np.clip(scores, 0, 1), 0).astype(np.float64), ids=np.full(len(frames), -1),
    skeleton=detector.skeleton, first=0, count=facts.frames, fps=facts.fps, image_size=facts.size,
  )  # fmt: skip
  sure = seen.confidence >= check.THRESHOLD
  if not sure.any():
    raise ValueError(f"{where}: the detector is sure of nobody in any of {facts.frames} frames")
  somebody = np.flatnonzero(sure.any(-1))
  seen, sure = seen.kept(somebody), sure[somebody]
  # People are followed by the joints that a reader will trust; all are written.
  ids, _ = link.ids(seen._replace(keypoints=np.where(sure[..., None], seen.keypoints, np.nan)), facts.fps)
  return tracks.dense(seen, ids, source=where, format="detected")


def rtmlib(device: str = "cpu") -> Detector:
  """YOLOX and RTMPose of rtmlib, Halpe's 26 joints; their weights are fetched when first used.

  The two are called one by one: with no box, rtmlib's own call takes the whole image for a person.
  Raises ValueError, saying how to install it, where it is missing; OSError where the weights cannot be fetched.
  """
  try:
    from rtmlib import BodyWithFeet  # pyrefly: ignore[missing-import]
  except ImportError as error:
    raise ValueError("detecting people needs rtmlib: pip install 'jaxpose[detect]'") from error
  skeleton = skeletons.get("halpe_26")
  try:
    model = BodyWithFeet(mode="balanced", backend="onnxruntime", device=device)
  except (OSError, RuntimeError) as error:
    raise OSError(
      f"rtmlib cannot fetch its weights ({error}); with a network it does so once, under ~/.cache"
    ) from error
  nobody = np.zeros((0, skeleton.num_joints, 2)), np.zeros((0, skeleton.num_joints))

  def detect(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    bgr = np.ascontiguousarray(image[..., ::-1])
    boxes = model.det_model(bgr)
    return model.pose_model(bgr, bboxes=boxes) if len(boxes) else nobody

  return Detector(detect, skeleton)


def by_name(name: str) -> Detector:
  """The detector of that name. Raises ValueError for a run's workdir too: runs lift keypoints and detect none yet."""
  if name != "rtmlib":
    raise ValueError(f"--detector={name}; there is {', '.join(DETECTORS)}: a run of jaxpose detects nobody yet")
  return rtmlib()
