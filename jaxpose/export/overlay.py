"""The keypoints that were lifted, and the poses that came of them, drawn over the video's frames."""

import os
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw

from jaxpose import plot, video
from jaxpose.keypoints.tracks import Status
from jaxpose.lifted import Lifted, reprojected
from jaxpose.skeleton import Skeleton

POSE = "#FFFFFF"
STATUS_COLOURS = {Status.SEEN: "#FFFFFF", Status.FILLED: "#F0C000"}


def write(path: str | os.PathLike, lifted: Lifted, video_path: str | os.PathLike) -> int:
  """Writes the video as mp4 with people drawn over it, each frame at its own time; returns the number of frames.

  Bones of the 2D input in the colours of their sides, joints white, or yellow where a gap was filled; the poses, seen
  by the camera again, as thin white lines. Raises ValueError for what is no video, and without PyAV.
  """
  # Formats count frames from 0 or from 1, and both are the video's first; other numbers are indices.
  offset = 0 if lifted.frames[0] <= 1 else int(lifted.frames[0])
  poses = reprojected(lifted)

  def drawn() -> Iterator[video.Frame]:
    for index, frame in enumerate(video.read(video_path)):
      t = index - offset
      if not 0 <= t < len(lifted):
        yield frame
        continue
      image = frame.image
      if poses is not None:
        image = paint(image, poses[t], lifted.skeleton, colour=POSE, width=1)
      yield frame._replace(
        image=paint(image, lifted.keypoints_2d[t], lifted.skeleton, status=lifted.status[t], ids=lifted.ids)
      )

  return video.write(path, drawn(), video.probe(video_path).fps)


def paint(
  image: UInt8[np.ndarray, "H W 3"],
  keypoints: Float[np.ndarray, "N K 2"],
  skeleton: Skeleton,
  *,
  status: np.ndarray | None = None,
  ids: Sequence[int] = (),
  colour: str | None = None,
  width: int | None = None,
) -> UInt8[np.ndarray, "H W 3"]:
  """An image with people's bones and joints drawn over it, left ones blue, right ones vermilion; NaN is left out.

  status [N, K]: filled joints are yellow. ids: written above heads. colour: one for all bones, without joints. width:
  of bones, by default a 220th of the image's height.
  """
  canvas = Image.fromarray(image)
  draw = ImageDraw.Draw(canvas)
  thick = width or max(3, round(image.shape[0] / 220))
  sides = plot.bone_colours(skeleton)
  for n, person in enumerate(keypoints):
    there = np.isfinite(person).all(-1)
    for (child, parent), side in zip(skeleton.bones, sides):
      if there[child] and there[parent]:
        line = [tuple(map(float, person[child])), tuple(map(float, person[parent]))]
        draw.line(line, fill=colour or ("#DDDDDD" if side == plot.MIDDLE else side), width=thick)
    if colour or not there.any():
      continue
    for joint in np.flatnonzero(there):
      x, y = map(float, person[joint])
      kind = Status.SEEN if status is None else Status(status[n, joint])
      fill = STATUS_COLOURS.get(kind, STATUS_COLOURS[Status.SEEN])
      draw.ellipse((x - thick, y - thick, x + thick, y + thick), fill=fill, outline="#222222")
    if len(ids):
      x, y = float(person[there, 0].mean()), float(person[there, 1].min())
      draw.text((x, y - 4 * thick), str(ids[n]), fill="#FFFFFF", anchor="mb", stroke_width=2, stroke_fill="#222222")
  return np.asarray(canvas)
