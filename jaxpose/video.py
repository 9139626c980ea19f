"""Videos, by PyAV (extra `video`): what a file says of itself, its frames upright, a writer that keeps their times."""

import os
from collections.abc import Iterator
from fractions import Fraction
from types import ModuleType
from typing import NamedTuple

import numpy as np

from jaxpose import whole_file


class Facts(NamedTuple):
  """size: (width, height) as the video is shown, turned by its rotation. fps: mean frames a second. frames: decoded."""

  size: tuple[int, int]
  fps: float
  frames: int


class Frame(NamedTuple):
  """image: uint8 [H, W, 3], upright RGB. seconds: when it is shown."""

  image: np.ndarray
  seconds: float


def probe(path: str | os.PathLike) -> Facts:
  """Size, rate and length of a video; every frame is decoded, since headers are wrong too often.

  Raises OSError if it is not there, ValueError if it is no video.
  """
  count, last, size = 0, 0.0, (0, 0)
  first = None
  for frame, shape, seconds in _decoded(path):
    del frame
    count, size, last = count + 1, shape, seconds
    first = seconds if first is None else first
  if not count or first is None:
    raise ValueError(f"{os.fspath(path)}: no frame in it; is it a video?")
  if count < 2 or last <= first:
    raise ValueError(f"{os.fspath(path)}: {count} frame and no rate; give a video of two frames or more, or --fps=")
  return Facts(size, round((count - 1) / (last - first), 3), count)


def read(path: str | os.PathLike) -> Iterator[Frame]:
  """The frames of a video, turned as its metadata asks, in the order in which they are shown."""
  for frame, _, seconds in _decoded(path):
    turns = round(frame.rotation / 90) % 4
    yield Frame(np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"), turns)), seconds)


def write(path: str | os.PathLike, frames: Iterator[Frame], fps: float | int) -> int:
  """Writes frames as mp4 (H.264), each at its own time, whole or not at all, and returns their number.

  Sides of odd length lose a pixel, which the format needs. Raises ValueError if there is no frame.
  """
  av = library()
  base, count = Fraction(1, 90000), 0
  with whole_file.writing(path) as temporary, av.open(str(temporary), "w", format="mp4") as container:
    stream = None
    for image, seconds in frames:
      height, width = image.shape[0] // 2 * 2, image.shape[1] // 2 * 2
      if stream is None:
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.time_base = base
      frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image[:height, :width]), format="rgb24")
      frame.time_base, frame.pts = base, round(seconds / base)
      container.mux(stream.encode(frame))
      count += 1
    if stream is None:
      raise ValueError(f"{os.fspath(path)}: no frame to write")
    container.mux(stream.encode())
  return count


def _decoded(path: str | os.PathLike):
  """(frame, (width, height) upright, seconds) of every frame."""
  av, where = library(), os.fspath(path)
  if not os.path.isfile(where):
    raise FileNotFoundError(f"there is no video {where}")
  try:
    with av.open(where) as container:
      if not container.streams.video:
        raise ValueError(f"{where}: no picture in it, sound alone; is it the right file?")
      stream = container.streams.video[0]
      stream.thread_type = "AUTO"
      for index, frame in enumerate(container.decode(stream)):
        turned = round(frame.rotation / 90) % 2
        size = (frame.height, frame.width) if turned else (frame.width, frame.height)
        rate = stream.average_rate or stream.guessed_rate or 30
        yield frame, size, float(frame.time) if frame.time is not None else index / float(rate)
  except av.error.FFmpegError as error:
    raise ValueError(f"{where} is no video, or a damaged one ({error}); get it again") from error


def library() -> ModuleType:
  """PyAV. Raises ValueError, saying how to install it, where it is missing."""
  try:
    import av
  except ImportError as error:
    raise ValueError("videos need PyAV: pip install 'jaxpose[video]'") from error
  return av
