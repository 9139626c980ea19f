"""What builders of raw files share: files in a folder or its archives, and splits that skip what cannot be read."""

import itertools
import os
import pathlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import tensorflow_datasets as tfds
import tqdm

from data_builders import archives
from jaxpose.data import features

Files = dict[str, pathlib.Path]  # path within the source, with forward slashes -> where the file lies


def files(
  folder: str | os.PathLike | None,
  archive: str | os.PathLike | None,
  suffixes: Sequence[str],
  owner: object,
  packed: Callable[[str], bool] = lambda name: name.lower().endswith(archives.ZIPS),
) -> Files:
  """Files with one of the suffixes (".asf") below a folder, its archives included, or in one archive alone.

  packed: whether an archive, by its path in the folder, is looked into; zips are unless given. What is in one is
  unpacked into a temporary folder, which goes when `owner` (the builder) does. A file in an archive is named by the
  archive's path and its own: `mpii.zip/mpii/annotations.mat`. Loose files come first, so that an unpacked copy wins
  over its archive. Raises ValueError for an archive that is cut short or damaged.
  """

  def wanted(name: str) -> bool:
    return name.lower().endswith(tuple(suffixes)) and not name.startswith("._")  # macOS adds a ._ file to each

  if archive is not None:
    return _in_order(archives.unpack(archive, wanted, owner))
  if folder is None:
    raise ValueError("there is no folder of raw files; give it as manual_dir")
  everything = in_folder(folder)
  of_suffix = {name: path for name, path in everything.items() if wanted(path.name)}
  for name in filter(packed, everything):
    inside = _in_order(archives.unpack(everything[name], wanted, owner))
    of_suffix |= {f"{name}/{member}": path for member, path in inside.items()}
  return of_suffix


def in_folder(folder: str | os.PathLike) -> Files:
  """The files below a folder, in natural order of their paths."""

  def fail(error: OSError):
    raise error

  root = pathlib.Path(folder)
  below, seen = {}, set()
  for at, folders, names in os.walk(root, onerror=fail, followlinks=True):
    if os.path.realpath(at) in seen:  # a link that leads upward
      folders.clear()
      continue
    seen.add(os.path.realpath(at))
    paths = (pathlib.Path(at, name) for name in names)
    below |= {path.relative_to(root).as_posix(): path for path in paths}
  return _in_order(below)


def _in_order(unordered: Files) -> Files:
  return {name: unordered[name] for name in sorted(unordered, key=natural)}


def natural(name: str) -> list[tuple[int, str]]:
  """A sorting key in which 2 comes before 10."""
  return [(int(digits or 0), text) for text, digits in re.findall(r"([^\d]*)(\d*)", name) if text or digits]


def chosen(names: Mapping[str, object], pattern: str, skipped: dict[str, str]) -> dict[tuple[str, ...], str]:
  """{what the groups of a regular expression say: name} of the names whose end matches it from a "/" or the start on.

  Of two files that say the same the first is taken, and the reason is put in `skipped` for the other.
  """
  taken: dict[tuple[str, ...], str] = {}
  for name in names:
    match = re.search(rf"(?:^|/){pattern}$", name)
    if match is None:
      continue
    if match.groups() in taken:
      skipped[name] = f"a second copy of {taken[match.groups()]}"
    else:
      taken[match.groups()] = name
  return taken


def splits(
  names: Mapping[str, Sequence[str]],
  read: Callable[[str], Any],
  skipped: dict[str, str],
  to_example: Callable[[Any], dict[str, Any]] = features.motion_to_example,
) -> dict[str, Iterator[tuple[str, dict[str, Any]]]]:
  """TFDS example generators of the splits, from file names by split.

  `read` gives the Motion or Clip of a file, or a list of them (a sequence that several cameras saw). A file for which
  it raises ValueError is left out, and the reason is put in `skipped`; so is a split without a readable file. Raises
  ValueError with the first reason if no file at all can be read.
  """
  total = sum(map(len, names.values()))
  tfds.disable_progress_bar()  # one bar over all files says more than TFDS's own three
  progress = tqdm.tqdm(total=total, desc="reading", unit="file")

  def generate(split: str) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
      for name in names[split]:
        try:
          examples = _examples(name, read(name), to_example)
        except ValueError as error:
          skipped[name] = str(error)
          examples = []
        progress.update()
        yield from examples
    except BaseException:  # what ends the build: Ctrl-C, a full disk, a file server that went away
      progress.close()
      raise
    if progress.n == total:
      progress.close()

  generators: dict[str, Iterator[tuple[str, dict[str, Any]]]] = {}
  for split in names:
    generator = generate(split)
    first = list(itertools.islice(generator, 1))
    if first:
      generators[split] = itertools.chain(first, generator)
  if not generators:
    reason = next(iter(skipped.values()), "there is none")
    raise ValueError(f"none of {total} files could be read; the first: {reason}")
  return generators


def _examples(name: str, records: Any, to_example: Callable[[Any], dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
  """(key, example) of the record or records of a file; keys are unique in a data set, as TFDS demands."""
  if not isinstance(records, list):
    return [(name, to_example(records))]
  return [(f"{name}#{number}", to_example(record)) for number, record in enumerate(records)]
