"""A trained run as one object that lifts keypoints, of plain arrays or of files: what `jaxpose.load` gives."""

import dataclasses
import functools
import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from jaxpose import evaluate, experiment, keypoints, lifting, live, placing, weights
from jaxpose.experiment import Trained
from jaxpose.geometry.camera import Camera
from jaxpose.keypoints import check
from jaxpose.keypoints.tracks import Tracks
from jaxpose.lifted import Lifted

ADAPT = ("none", "vanilla", "online", "video")


class Poses(NamedTuple):
  """Poses with the axes of the keypoints that they were lifted from: of T frames, and N people where these had such.

  positions: float32 [T, (N,) J, 3], metres, relative to the root, camera axes; NaN where nobody is. positions_world:
  the same in an upright world, z up, the floor at 0; None of a moving camera. status: uint8 [T, (N,) J], of
  `keypoints.Status`. lifted: all that there is to know, as `export.save` takes it.
  """

  positions: np.ndarray
  positions_world: np.ndarray | None
  status: np.ndarray
  lifted: Lifted


@dataclasses.dataclass(frozen=True)
class PoseLifter:
  """A trained run that lifts keypoints. name: of the shipped weights, or of the run's folder."""

  name: str
  trained: Trained = dataclasses.field(repr=False)

  def lift(
    self,
    points: ArrayLike,
    *,
    image_size: tuple[int, int],
    confidence: ArrayLike | None = None,
    joints: str = "coco_17",
    fps: float | int = 30.0,
    threshold: float | int | str = check.THRESHOLD,
    adapt: str = "none",
    camera: Camera | None = None,
    height: float | int | None = None,
    smooth_hz: float | int | None = None,
    **options: Any,
  ) -> Poses:
    """The poses of keypoints [T, K, 2] or [T, N, K, 2], pixels, NaN where missing, of any type of number.

    joints: the skeleton's name. confidence, threshold: as in `keypoints.arrays`; the others as in `lift_tracks`.
    """
    shape = np.shape(points)
    tracks = keypoints.arrays(
      points, confidence, image_size=image_size, joints=joints, fps=fps, threshold=threshold
    )  # fmt: skip
    lifted = self.lift_tracks(tracks, adapt=adapt, camera=camera, height=height, smooth_hz=smooth_hz, **options)
    of = functools.partial(_of, ids=lifted.ids, people=shape[1] if len(shape) == 4 else None)
    world = None if lifted.positions_world is None else of(lifted.positions_world, np.nan)
    return Poses(of(lifted.positions, np.nan), world, of(lifted.status, keypoints.Status.MISSING), lifted)

  def lift_tracks(
    self,
    tracks: Tracks,
    *,
    adapt: str = "none",
    camera: Camera | None = None,
    height: float | int | None = None,
    smooth_hz: float | int | None = None,
    up: str | float | int = "auto",
    moving_camera: bool = False,
    show_progress: bool = False,
  ) -> Lifted:
    """The poses of people's keypoints (`keypoints.read`), by the run as it was trained or adapted to each of them.

    adapt: "none"; "vanilla", to each frame by itself; "online", from frame to frame of a person; "video", to all frames
    of a person (`runs.RECOMMENDED`). camera, up, moving_camera: as in `lifting.lift`; height: everyone's, in metres;
    smooth_hz: cutoff of the low-pass. Raises ValueError as `lifting.lift` does, and for an unknown adapt.
    """
    target = self.trained.codec.skeleton
    explained = lifting.explained(tracks.skeleton, target)
    provenance = {"model": self.name, "step": self.trained.step, "adapt": adapt}
    return lifting.lift(
      tracks, self._predict(adapt, explained, show_progress), target, camera=camera, up=up, height_m=height,
      smooth_hz=smooth_hz, moving_camera=moving_camera, provenance=provenance,
      eyes_as_crown=not self.trained.config.augment.detector,
    )  # fmt: skip

  def stream(
    self,
    *,
    image_size: tuple[int, int],
    joints: str = "coco_17",
    fps: float | int = 30.0,
    threshold: float | int = check.THRESHOLD,
    adapt: str = "none",
    camera: Camera | None = None,
    smooth: bool = False,
  ) -> Callable[..., live.Frame]:
    """A function that lifts frames as they come: lift(points, confidence=None, ids=None) -> `live.Frame`.

    points: [K, 2] or [N, K, 2], pixels, NaN where missing; confidence: [K] or [N, K]; ids: who the N people are, their
    places in the array if None. adapt: "none", "vanilla", or "online", which learns each person from frame to frame.
    smooth: One-Euro. The others as in `lift`. Poses are those of `lift` for the same frames but that no gap is filled,
    which would need frames to come, and that there is no world, which needs all. What it takes is compiled first.
    Raises ValueError for a run of clips, an unknown adapt, and a frame of another shape.
    """
    return live.stream(
      self.trained, image_size=image_size, joints=joints, fps=fps, threshold=threshold, adapt=adapt, camera=camera,
      smooth=smooth,
    )  # fmt: skip

  def _predict(self, adapt: str, explained: np.ndarray, show_progress: bool) -> lifting.Predict:
    if adapt not in ADAPT:
      raise ValueError(f"--adapt={adapt}; expected one of {', '.join(ADAPT)}")
    trained = self.trained
    if adapt == "none":
      options: dict[str, Any] = {"window": trained.config.window, "overlap": trained.config.overlap}
      return functools.partial(evaluate.predict, trained.method.graphs["lift"], trained.variables, **options)
    from jaxpose import runs  # here alone: what adapts takes a second to import

    def predict(clips):
      clips = [clip.replace(confidence=clip.confidence * explained) for clip in clips]
      return runs.predict(trained, clips, adapt=runs.RECOMMENDED[adapt], show_progress=show_progress)[0]

    return predict


def load(run_or_name: str | os.PathLike, which: str | int = "best") -> PoseLifter:
  """The lifter of shipped weights by name (`weights.NAMES`), of a folder of such, or of a run's workdir.

  which: "best", "latest" or a step of the run. Raises FileNotFoundError, listing the names, for what is none of these.
  """
  where = os.fspath(run_or_name)
  if where in weights.NAMES:
    return PoseLifter(where, weights.read(weights.FOLDER / where))
  name = os.path.basename(os.path.normpath(where))
  if weights.are_in(where):
    return PoseLifter(name, weights.read(where))
  if not os.path.isdir(where):
    raise FileNotFoundError(f"no lifter {where!r}: shipped are {', '.join(weights.NAMES)}; else give a run's --workdir")
  return PoseLifter(name, experiment.load(where, which))


def camera(tracks: Tracks, focal: float | int | None = None, fov: float | int | None = None) -> Camera | None:
  """The camera of the tracks' image from its focal length in pixels, or its field of view in degrees; None of neither.

  Raises ValueError for both, for values that no camera has, and for tracks without an image size.
  """
  if focal is not None and fov is not None:
    raise ValueError(f"--focal={focal:g} and --fov={fov:g} say the same; give one of them")
  if fov is not None:
    return placing.assumed_camera(check.image_size(tracks), fov)
  if focal is None:
    return None
  size = check.image_size(tracks)
  if not 0.1 * max(size) < focal < 100 * max(size):
    raise ValueError(f"--focal={focal:g}; expected pixels, here from {0.1 * max(size):g} to {100 * max(size):g}")
  return placing.assumed_camera(size, 2 * np.degrees(np.arctan(max(size) / 2 / focal)))


def _of(array: np.ndarray, empty: float | int, *, ids: Sequence[int], people: int | None) -> np.ndarray:
  """An array of all people that were asked for, also of those never seen; without their axis if None."""
  everyone = np.full((len(array), people or 1, *array.shape[2:]), empty, array.dtype)
  everyone[:, np.array(ids) - 1] = array
  return everyone if people is not None else everyone[:, 0]
