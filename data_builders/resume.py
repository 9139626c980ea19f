"""What a build that was killed had read already, kept beside the data set until it is finished.

TFDS starts a broken-off build from nothing. So every sequence that was read is kept as it will be stored, and the
next build of the same data set from the same files takes it from there.
"""

import contextlib
import contextvars
import errno
import fcntl
import hashlib
import json
import os
import pathlib
import pickle
import shutil
from collections.abc import Iterator
from typing import Any

from absl import logging
from etils import epath

import data_builders
import jaxpose
from jaxpose.formats import pickles

Examples = list[tuple[str, dict[str, Any]]]  # (key, example) of one file

_FOLDER: contextvars.ContextVar[pathlib.Path | None] = contextvars.ContextVar("kept sequences", default=None)
_IDENTITY = "identity"


@contextlib.contextmanager
def keep(directory: str | os.PathLike, reading_of: dict[str, Any]) -> Iterator[None]:
  """While it lasts, `sources.splits` keeps what it reads for the data set of `directory`, and takes what was kept.

  reading_of: what is read, {"options", "files"}; JSON, paths in it at any depth stand for the files at or below them.
  What was kept for anything else is thrown away: other options, a file changed in size or time, another version of the
  library. It is removed when the build ends, unless that is cut off (a kill, Ctrl-C, a file server that went away).
  Does nothing for a data set that is not on this machine's file systems.
  Raises ValueError if another process builds this data set now.
  """
  directory = epath.Path(directory)
  if "://" in os.fspath(directory):
    yield
    return
  folder = pathlib.Path(directory.parent, f"unfinished.{directory.name}")
  folder.mkdir(parents=True, exist_ok=True)
  with (folder / "lock").open("w") as lock:
    try:
      fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
      raise ValueError(f"{os.fspath(directory)} is being built by another process; wait until that ends") from None
    _begin(folder, directory, _identity(reading_of, folder.parent))
    token, done = _FOLDER.set(folder), True
    try:
      yield
    except (KeyboardInterrupt, SystemExit, MemoryError):
      done = False
      raise
    except OSError as error:
      done = _disk_is_full(error)  # what is kept takes up space too
      raise
    finally:
      _FOLDER.reset(token)
      if done or not any(p.suffix == ".kept" for p in folder.iterdir()):
        shutil.rmtree(folder)


def current() -> pathlib.Path | None:
  """Where sequences are kept now, for `load` and `save`; None outside of `keep`. Ask in the thread that builds."""
  return _FOLDER.get()


def load(folder: pathlib.Path | None, name: str) -> Examples | None:
  """What was kept of the file `name`; None if nothing was, or if it cannot be read whole."""
  path = folder and folder / _file(name)
  if path is None or not path.exists():
    return None
  try:
    kept_name, examples = pickles.load(path.read_bytes(), os.fspath(path))
  except ValueError as error:
    logging.warning("%s is read again: %s", name, error)
    return None
  return [tuple(pair) for pair in examples] if kept_name == name else None


def save(folder: pathlib.Path | None, name: str, examples: Examples) -> None:
  """Keeps the examples of the file `name`: all of them or none, however it ends."""
  if folder is None:
    return
  path = folder / _file(name)
  temporary = path.with_suffix(".writing")
  # Protocol 4: the readers of `formats.pickles` know its arrays, and it needs no second copy as text.
  temporary.write_bytes(pickle.dumps((name, examples), protocol=4))
  temporary.replace(path)


def _begin(folder: pathlib.Path, directory: epath.Path, identity: str) -> None:
  """Clears what belongs to another build, and the half-written data sets of builds that were killed."""
  said = folder / _IDENTITY
  if not said.exists() or said.read_text() != identity:
    for old in folder.iterdir():
      if old.name != "lock":
        old.unlink()
    said.write_text(identity)
  # The lock is ours, so whoever wrote these is dead.
  for left in directory.parent.glob(f"incomplete.*_{directory.name}"):
    logging.warning("removing %s, left by a build that was killed", left)
    left.rmtree()


def _disk_is_full(error: BaseException | None) -> bool:
  """Whether an error, or one that it came from, says so; TFDS raises its own in place of the first."""
  while error is not None:
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
      return True
    error = error.__cause__ or error.__context__
  return False


def _file(name: str) -> str:
  return hashlib.sha256(name.encode()).hexdigest()[:32] + ".kept"


def _identity(reading_of: dict[str, Any], but: pathlib.Path) -> str:
  """A digest of options, of every file at or below the paths among them, and of the code that reads.

  but: the folder that the data set is built in, which may lie among the raw files.
  """
  digest = hashlib.sha256(json.dumps(reading_of, default=os.fspath, sort_keys=True).encode())
  for package in (jaxpose, data_builders):
    for source in sorted(pathlib.Path(next(iter(package.__path__))).rglob("*.py")):
      digest.update(source.read_bytes())
  for path in _paths(reading_of):
    for file in _below(path, but.resolve()):
      with contextlib.suppress(FileNotFoundError):  # a broken link
        status = file.stat()
        digest.update(f"{file} {status.st_size} {status.st_mtime_ns}\n".encode())
  return digest.hexdigest()


def _below(path: pathlib.Path, but: pathlib.Path) -> Iterator[pathlib.Path]:
  """The files below a folder, or a file itself, through links, in a fixed order."""
  if not path.is_dir():
    yield path
  seen = {but}
  for at, folders, names in os.walk(path, followlinks=True):
    if pathlib.Path(at).resolve() in seen:  # a link that leads upward
      folders.clear()
      continue
    seen.add(pathlib.Path(at).resolve())
    folders.sort()
    yield from (pathlib.Path(at, name) for name in sorted(names))


def _paths(value: Any) -> Iterator[pathlib.Path]:
  if isinstance(value, dict):
    for inner in value.values():
      yield from _paths(inner)
  elif isinstance(value, list | tuple):
    for inner in value:
      yield from _paths(inner)
  elif isinstance(value, str | os.PathLike) and os.fspath(value) and os.path.exists(value):
    yield pathlib.Path(value)
