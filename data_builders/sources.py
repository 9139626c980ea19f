"""What builders of raw motion files share: files in a folder or a zip, and splits that skip what cannot be read."""

import itertools
import os
import pathlib
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import tensorflow_datasets as tfds
import tqdm

from jaxpose.data import features
from jaxpose.data.clip import Motion

Files = dict[str, Callable[[], bytes]]  # path within the source, with forward slashes -> its content


def in_folder(folder: str | os.PathLike, suffixes: Sequence[str]) -> Files:
  """The files below a folder with one of the suffixes (".asf"), in natural order of their paths."""

  def fail(error: OSError):
    raise error

  root = pathlib.Path(folder)
  found, seen = {}, set()
  for at, folders, names in os.walk(root, onerror=fail, followlinks=True):
    if os.path.realpath(at) in seen:  # a link that leads upward
      folders.clear()
      continue
    seen.add(os.path.realpath(at))
    paths = (pathlib.Path(at, name) for name in names if _wanted(name, suffixes))
    found |= {path.relative_to(root).as_posix(): path.read_bytes for path in paths}
  return {name: found[name] for name in sorted(found, key=natural)}


def in_zip(path: str | os.PathLike, suffixes: Sequence[str]) -> Files:
  """The files of a zip with one of the suffixes. They are read in place: nothing is unpacked, so no path can escape.

  Raises ValueError if it is no zip or is cut short.
  """
  try:
    archive = zipfile.ZipFile(os.fspath(path))
  except zipfile.BadZipFile as error:
    raise ValueError(f"{os.fspath(path)} is no complete zip file ({error}); get it again") from None
  names = [name for name in archive.namelist() if _wanted(name.rpartition("/")[2], suffixes)]

  def reader(name: str) -> Callable[[], bytes]:
    def read() -> bytes:
      try:
        return archive.read(name)
      except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
        raise ValueError(f"{name} cannot be read from {os.fspath(path)}: {error}") from None

    return read

  return {name: reader(name) for name in sorted(names, key=natural)}


def _wanted(name: str, suffixes: Sequence[str]) -> bool:
  return name.lower().endswith(tuple(suffixes)) and not name.startswith("._")  # macOS adds a ._ file to each


def natural(name: str) -> list[tuple[int, str]]:
  """A sorting key in which 2 comes before 10."""
  return [(int(digits or 0), text) for text, digits in re.findall(r"([^\d]*)(\d*)", name) if text or digits]


def splits(
  files: Mapping[str, Sequence[str]], read: Callable[[str], Motion], skipped: dict[str, str]
) -> dict[str, Iterator[tuple[str, dict[str, Any]]]]:
  """TFDS example generators of the splits, from file names by split.

  A file for which `read` raises ValueError is left out, and the reason is put in `skipped`; so is a split without a
  readable file. Raises ValueError with the first reason if no file at all can be read. Holds one motion of each split
  until that split is written.
  """

  total = sum(map(len, files.values()))
  tfds.disable_progress_bar()  # one bar over all files says more than TFDS's own three
  progress = tqdm.tqdm(total=total, desc="reading", unit="file")

  def motions(names: Sequence[str]) -> Iterator[tuple[str, Motion]]:
    for name in names:
      try:
        motion = read(name)
      except ValueError as error:
        skipped[name] = str(error)
      else:
        yield name, motion
      progress.update()
      if progress.n == total:
        progress.close()

  generators: dict[str, Iterator[tuple[str, dict[str, Any]]]] = {}
  for split, names in files.items():
    readable = motions(names)
    first = next(readable, None)
    if first is not None:
      both = itertools.chain([first], readable)
      generators[split] = ((name, features.motion_to_example(motion)) for name, motion in both)
  if not generators:
    reason = next(iter(skipped.values()), "there is none")
    raise ValueError(f"none of {total} files could be read; the first: {reason}")
  return generators
