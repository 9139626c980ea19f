"""What builders of raw motion files share: files in a folder or a zip, and splits that skip what cannot be read."""

import contextlib
import itertools
import os
import pathlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import tensorflow_datasets as tfds
import tqdm

from data_builders import resume, tar_files, threads
from jaxpose.data import features
from jaxpose.formats import zip_file

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

  Raises ValueError if it is no zip or is cut short; a reader does for a damaged file.
  """
  where = os.fspath(path)
  with zip_file.damage(where, lambda: f"{where} is no complete zip file; get it again"):
    archive = zip_file.open_archive(where, where)
  names = [name for name in archive.namelist() if _wanted(name.rpartition("/")[2], suffixes)]

  def reader(name: str) -> Callable[[], bytes]:
    def read() -> bytes:
      size = archive.getinfo(name).file_size
      if size > tar_files.LIMIT:
        raise ValueError(f"{name} in {where} has {size} bytes, more than the limit of {tar_files.LIMIT}")
      with zip_file.damage(where, lambda: f"{name} cannot be read from {where}"):
        return archive.read(name)

    return read

  return {name: reader(name) for name in sorted(names, key=natural)}


def in_tar(path: str | os.PathLike, suffixes: Sequence[str]) -> Files:
  """The files of a tar, .tar.gz, .tar.bz2 or .tar.xz with one of the suffixes, as `tar_files.members` reads them."""
  found = tar_files.members(path, lambda name: _wanted(name.rpartition("/")[2], suffixes))
  return {name: found[name] for name in sorted(found, key=natural)}


def _wanted(name: str, suffixes: Sequence[str]) -> bool:
  return name.lower().endswith(tuple(suffixes)) and not name.startswith("._")  # macOS adds a ._ file to each


def natural(name: str) -> list[tuple[int, str]]:
  """A sorting key in which 2 comes before 10."""
  return [(int(digits or 0), text) for text, digits in re.findall(r"([^\d]*)(\d*)", name) if text or digits]


def splits(
  files: Mapping[str, Sequence[str]],
  read: Callable[[str], Any],
  skipped: dict[str, str],
  to_example: Callable[[Any], dict[str, Any]] = features.motion_to_example,
  workers: int | None = None,
) -> dict[str, Iterator[tuple[str, dict[str, Any]]]]:
  """TFDS example generators of the splits, from file names by split.

  `read` gives the Motion or Clip of a file, or a list of them (a sequence that several cameras saw). It runs in
  `workers` threads at once, one a core unless given: it must change nothing that it shares. Examples come in the order
  of the names whatever the threads do. Within `resume.keep`, a file that was read before is not read again.
  A file for which `read` raises ValueError is left out, and the reason is put in `skipped`; so is a split without a
  readable file. Raises ValueError with the first reason if no file at all can be read. Holds the records of one file of
  each split until that split is written, and those of `workers` files besides.
  """
  total, kept = sum(map(len, files.values())), resume.current()
  workers = threads.default_workers() if workers is None else workers
  tfds.disable_progress_bar()  # one bar over all files says more than TFDS's own three
  progress = tqdm.tqdm(total=total, desc="reading", unit="file")

  def examples_of(name: str) -> resume.Examples | ValueError:
    examples = resume.load(kept, name)
    if examples is None:
      try:
        examples = _examples(name, read(name), to_example)
      except ValueError as error:
        return error
      resume.save(kept, name, examples)
    return examples

  def up_to_an_example(names: Sequence[str]) -> list[resume.Examples | ValueError]:
    results = []
    for name in names:
      results.append(examples_of(name))
      if isinstance(results[-1], list) and results[-1]:
        break
    return results

  def accept(name: str, result: resume.Examples | ValueError) -> resume.Examples:
    progress.update()
    if progress.n == total:
      progress.close()
    if isinstance(result, ValueError):
      skipped[name] = str(result)
      return []
    return result

  @contextlib.contextmanager
  def closed_at_an_error() -> Iterator[None]:
    try:
      yield
    except BaseException:  # one that ends the build: Ctrl-C, a full disk, a file server that went away
      progress.close()
      raise

  first: dict[str, resume.Examples] = {}
  rest: dict[str, list[str]] = {}
  begin = threads.ahead(up_to_an_example, list(files.values()), workers)
  for number, (split, names) in enumerate(files.items()):
    with closed_at_an_error():
      results = begin(number)
    examples = [example for name, result in zip(names, results) for example in accept(name, result)]
    if examples:
      first[split], rest[split] = examples, list(names[len(results) :])
  if not first:
    reason = next(iter(skipped.values()), "there is none")
    raise ValueError(f"none of {total} files could be read; the first: {reason}")
  # One queue for all splits, so that the threads do not stand still where one ends.
  coming = threads.ahead(examples_of, [name for names in rest.values() for name in names], workers)

  def generate(split: str, start: int) -> Iterator[tuple[str, dict[str, Any]]]:
    with closed_at_an_error():
      yield from first.pop(split)
      for at, name in enumerate(rest[split], start):
        yield from accept(name, coming(at))

  starts = itertools.accumulate((len(names) for names in rest.values()), initial=0)
  return {split: generate(split, start) for split, start in zip(rest, starts)}


def _examples(name: str, records: Any, to_example: Callable[[Any], dict[str, Any]]) -> resume.Examples:
  """(key, example) of the record or records of a file; keys are unique in a data set, as TFDS demands."""
  if not isinstance(records, list):
    return [(name, to_example(records))]
  return [(f"{name}#{number}", to_example(record)) for number, record in enumerate(records)]
