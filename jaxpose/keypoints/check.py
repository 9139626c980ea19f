"""What can be wrong with keypoints of people: each function mends it and says so, or raises one clear error.

Notes and errors name the frame, the value and the flag of the command line that mends it.
"""

import numpy as np
from jaxtyping import Float

from jaxpose import skeleton as skeletons
from jaxpose.keypoints.joints import LIMBS
from jaxpose.keypoints.tracks import Detections, Status, Tracks
from jaxpose.skeleton import Skeleton

THRESHOLD = 0.3  # confidence below which a joint counts as missing: Sports2D's


def pixels(detections: Detections, image_size: tuple[int, int] | None, where: str) -> Detections:
  """The detections in pixels. Coordinates within [-1, 2] are taken as shares of the image, if its size is known.

  image_size: (width, height) of the user's; overrules the file's. Raises ValueError for normalised coordinates of an
  image of unknown size: it is never guessed from the greatest x.
  """
  size = image_size or detections.image_size
  points = detections.keypoints
  low, high = (float(f(points)) for f in (np.nanmin, np.nanmax)) if np.isfinite(points).any() else (0.0, 1e9)
  unit, said = detections.unit, ()
  if not unit:
    unit = "px" if low < -1 or high > 2 else "unit"
    if unit == "unit":
      said = (f"coordinates from {low:.3g} to {high:.3g} are taken as shares of the image's width and height",)
  if unit == "px":
    return detections._replace(image_size=size)
  if size is None:
    raise ValueError(
      f"{where}: coordinates from {low:.3g} to {high:.3g} are shares of an image of unknown size; give "
      f"--image_size=WIDTHxHEIGHT or --video=FILE"
    )
  scale = np.array(size, np.float64)
  points = (points + 1) / 2 * scale if unit == "signed" else points * scale
  return detections._replace(keypoints=points, unit="px", image_size=size).noted(*said)


def image_size(tracks: Tracks) -> tuple[int, int]:
  """The image's (width, height). Raises ValueError if nothing said it: a lifter needs the image's centre and scale."""
  if tracks.image_size is None:
    raise ValueError(
      f"{tracks.source}: {tracks.format} files do not say the image's size; give --image_size=WIDTHxHEIGHT or "
      f"--video=FILE"
    )
  return tracks.image_size


def confidences(detections: Detections, threshold: float | int | str, where: str) -> Detections:
  """Confidences from 0 to 1, joints below `threshold` missing (NaN), people without any left out.

  "ignore" gives every joint that is there 1.

  Raises ValueError if all are 0 or none reaches the threshold, and for a threshold that is none.
  """
  there = np.isfinite(detections.keypoints).all(-1)
  if not there.any():
    raise ValueError(f"{where}: no joint of any frame is a number; there is nothing to lift")
  if threshold == "ignore":
    ignored = detections._replace(confidence=np.where(there, 1.0, 0.0)).noted("confidences are ignored")
    return ignored.kept(np.asarray(there.any(-1)))
  if isinstance(threshold, str) or not 0 <= threshold <= 1:
    raise ValueError(f"--confidence={threshold}; expected a number from 0 to 1, or ignore")
  values, notes = detections.confidence[there], []
  if values.max() <= 0:
    raise ValueError(f"{where}: every confidence is 0; if they mean nothing, --confidence=ignore")
  if values.max() < threshold:
    raise ValueError(
      f"{where}: no confidence reaches {threshold}, the greatest is {values.max():.3g}; lower it by "
      f"--confidence={values.max() / 2:.2g}, or --confidence=ignore"
    )
  if values.max() > 1:
    row = int(np.argmax(np.where(there, detections.confidence, -np.inf).max(-1)))
    notes.append(
      f"confidences above 1, up to {values.max():.3g} in frame {detections.frames[row]}, are clipped "
      f"({100 * (values > 1).mean():.0f} % of the joints)"
    )
  elif values.min() == values.max() == 1:
    notes.append("every confidence is 1: the file has none")
  low = there & (detections.confidence < threshold)
  if low.any():
    notes.append(f"{low.sum()} of {there.sum()} joints below confidence {threshold} count as missing (--confidence=)")
  kept = there & ~low
  thresholded = detections._replace(
    keypoints=np.where(kept[..., None], detections.keypoints, np.nan),
    confidence=np.where(kept, np.clip(detections.confidence, 0, 1), 0),
  )
  return thresholded.noted(*notes).kept(np.asarray(kept.any(-1)))


def limbs(tracks: Tracks) -> tuple[str, ...]:
  """How much is missing, as a note. Raises ValueError if under half of the limbs' joints are there in every frame."""
  at = [tracks.skeleton.index(name) for name in LIMBS if name in tracks.skeleton.names]
  there = tracks.status[:, :, at] != Status.MISSING
  share = there.mean(-1)
  if share.max(initial=0) < 0.5:
    frame, person = np.unravel_index(int(share.argmax()), share.shape)
    raise ValueError(
      f"{tracks.source}: in no frame half of the limbs' joints are there; the most, {there[frame, person].sum()} of "
      f"{len(at)}, in frame {tracks.frames[frame]}. Is --skeleton= right? --confidence= lowers the threshold"
    )
  missing = (tracks.status == Status.MISSING)[tracks.present]
  if not missing.any():
    return ()
  return (f"{missing.sum()} of {missing.size} joints of the people in view are missing",)


def orientation(tracks: Tracks) -> tuple[str, ...]:
  """Warnings, with the share of frames, where y seems to point up, or x and y to be exchanged."""
  head = next((n for n in ("head_top", "nose", "head", "upper_neck", "neck") if n in tracks.skeleton.names), None)
  ankles = [tracks.skeleton.index(n) for n in ("left_ankle", "right_ankle") if n in tracks.skeleton.names]
  if head is None or not ankles:
    return ()
  up = tracks.keypoints[:, :, tracks.skeleton.index(head)] - tracks.keypoints[:, :, ankles].mean(-2)
  up = up[np.isfinite(up).all(-1)]
  if not len(up):
    return ()
  notes = []
  below, lying = float((up[:, 1] > 0).mean()), float((np.abs(up[:, 0]) > np.abs(up[:, 1])).mean())
  if lying > 0.5:
    notes.append(
      f"people lie in {100 * lying:.0f} % of the frames: if they stand in the video, x and y are exchanged in the file"
    )
  elif below > 0.5:
    notes.append(
      f"heads are below ankles in {100 * below:.0f} % of the frames: y must point down, from the top; if it points up "
      f"in the file, write the image's height minus y"
    )
  return tuple(notes)


def sides(positions: Float[np.ndarray, "T N J 3"], skeleton: Skeleton) -> tuple[str, ...]:
  """A warning, with the share of frames, where poses in 3D have the nose behind the shoulders: left and right swapped.

  positions: metres, in camera axes or any right-handed world; NaN where nobody is.
  """
  top = next((n for n in ("thorax", "neck") if n in skeleton.names), None)
  needed = ("nose", "left_shoulder", "right_shoulder", "pelvis")
  if top is None or any(n not in skeleton.names for n in needed):
    return ()
  nose, left, right, pelvis, neck = (positions[..., skeleton.index(n), :] for n in (*needed, top))
  forward = np.cross(left - right, neck - pelvis)
  ahead = ((nose - (left + right) / 2) * forward).sum(-1)
  ahead = ahead[np.isfinite(ahead)]
  behind = float((ahead < 0).mean()) if len(ahead) else 0.0
  if behind <= 0.5:
    return ()
  return (
    f"the nose is behind the shoulders in {100 * behind:.0f} % of the frames: are left and right exchanged in the "
    f"file? Rename them by --joints=theirs=ours",
  )


def stand_ins(source: Skeleton, target: Skeleton) -> tuple[str, ...]:
  """What a lifter's joints are made of where the detector has others: `JointMap.remarks`, in one sentence."""
  remarks = skeletons.joint_map(source, target).remarks
  return (f"{source.name} to {target.name}: " + "; ".join(remarks),) if remarks else ()
