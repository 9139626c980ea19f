"""People in a video, as keypoints: a detector on every frame, and who is who.

`rtmlib` (extra `detect`) detects many people, an image run of this library one. Any function of an image takes their
place.
"""

import os
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from PIL import Image

from jaxpose import progress, video
from jaxpose import skeleton as skeletons
from jaxpose.graphs import graph as graphs
from jaxpose.graphs import lift
from jaxpose.keypoints import check, link, tracks
from jaxpose.keypoints.tracks import Detections, Tracks
from jaxpose.skeleton import Skeleton
from jaxpose.synthetic import images

DETECTORS = ("rtmlib",)
_SHARES = (1.0, 0.6, 0.36)  # of an image's longer side, which a person is looked for in
_ZOOMS = (0.85, 1.0, 1.2)  # of a box: keypoints that shrink to their middle would shrink it for ever
_LOOKS = 3  # about what was found, before it is believed


class Detector(NamedTuple):
  """detect(image uint8 [H, W, 3], RGB) -> (keypoints [N, K, 2] px, scores [N, K]) of the N people in it.

  one: whether it knows a single person, who is then the same in all frames.
  """

  detect: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
  skeleton: Skeleton
  one: bool = False


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
    confidence=np.where(there, np.clip(scores, 0, 1), 0).astype(np.float64),
    ids=np.full(len(frames), 0 if detector.one else -1),
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


def of_run(workdir: str | os.PathLike) -> Detector:
  """One person, by an image run: looked for in windows of the whole frame, then about where the frame before had them.

  Trap: it knows no other person, and remembers where it looked: take a new one for every video. Raises OSError where
  there is no run, ValueError where it sees no images.
  """
  from jaxpose import experiment  # here alone, as what it imports: another detector needs no checkpoints

  where = os.fspath(workdir)
  trained = experiment.load(where)
  if "image" not in trained.method.graphs:
    raise ValueError(f"--detector={where}: a run of method {trained.config.method!r} sees no images; train 'image'")
  crop = images.crop(**trained.config.method_options.get("crop", {}))
  graph = lift.flipped(trained.method.graphs["image"])
  lens = {port: np.full((1, 2), crop.size, np.float32) for port in ("focal", "center") if graph.takes(port)}
  last: list[np.ndarray] = []  # x, y of the middle, and the side

  def look(image: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    pictures = np.stack([_window(image, box, crop.size) for box in boxes])[:, None]
    wide = {port: np.repeat(value, len(boxes), 0) for port, value in lens.items()}
    detected = graphs.call(graph, trained.variables, images=pictures, **wide)
    points, certain = np.asarray(detected["keypoints_2d"])[:, 0], np.asarray(detected["confidence"])[:, 0]
    return boxes[:, None, :2] + (points / crop.size - 0.5) * boxes[:, None, 2:], certain

  def surest(image: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    points, certain = look(image, boxes)
    best = certain.mean(-1).argmax()
    return points[best], certain[best]

  def about(points: np.ndarray) -> np.ndarray:
    low, high = points.min(0), points.max(0)
    side = max((high - low).max() * crop.margin, crop.size / 4)
    return np.array([[*(low + high) / 2, side * zoom] for zoom in _ZOOMS])

  def detect(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    points, certain = surest(image, last[0]) if last else (np.zeros(0), np.zeros(1))
    if certain.mean() < check.THRESHOLD:
      points, certain = surest(image, _windows(image))
      for _ in range(_LOOKS):
        points, certain = surest(image, about(points))
    last[:] = [about(points)]
    return points[None], certain[None]

  return Detector(detect, trained.codec.skeleton, one=True)


def _windows(image: np.ndarray) -> np.ndarray:
  """Squares [N, 3] that cover an image, x and y of the middle and the side: of all of it, and of parts."""
  height, width, _ = image.shape
  windows = []
  for share in _SHARES:
    side = share * max(height, width)
    across = [np.linspace(min(side, n) / 2, n - min(side, n) / 2, 1 + int(np.ceil(2 * n / side - 2 + 1e-6)))
              if side < n else np.array([n / 2]) for n in (width, height)]  # fmt: skip
    windows += [(x, y, side) for y in across[1] for x in across[0]]
  return np.array(windows)


def _window(image: np.ndarray, box: np.ndarray, size: int) -> np.ndarray:
  """The square of an image as float32 [size, size, 3] from 0 to 1; black beyond it."""
  x, y, side = box
  picture = Image.fromarray(image)
  factor = max(1, int(side // size))  # transform interpolates between neighbours alone, and would skip pixels
  picture = picture.reduce(factor)
  extent = np.array([x - side / 2, y - side / 2, x + side / 2, y + side / 2]) / factor
  cut = picture.transform((size, size), Image.Transform.EXTENT, tuple(extent), Image.Resampling.BILINEAR)
  return np.asarray(cut, np.float32) / 255


def by_name(name: str) -> Detector:
  """The detector of that name, or of an image run by its workdir. Raises ValueError for what is neither."""
  if name == "rtmlib":
    return rtmlib()
  if not os.path.isdir(name):
    raise ValueError(f"--detector={name}; there is {', '.join(DETECTORS)}, or give the --workdir of an image run")
  return of_run(name)
