"""A download as it lies on the disk: files in a folder, and files of the zips in it, without unpacking them."""

import contextlib
import os
import pathlib
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence

from data_builders import sources


def files(
  folder: str | os.PathLike | None, archive: str | os.PathLike | None, suffixes: Sequence[str]
) -> sources.Files:
  """Files with one of the suffixes below a folder, zips in it included, or in one archive alone.

  A file in a zip is named by the zip's path and its own: `mpii.zip/mpii/annotations.mat`. Loose files come first, so
  that an unpacked copy wins over the zip it came from. Raises ValueError for a zip that is cut short.
  """
  if archive is not None:
    return sources.in_zip(archive, suffixes)
  if folder is None:
    raise ValueError("there is no folder of raw files; give it as manual_dir")
  found = sources.in_folder(folder, suffixes)
  for name in sources.in_folder(folder, (".zip",)):
    inside = sources.in_zip(pathlib.Path(folder) / name, suffixes)
    found |= {f"{name}/{member}": read for member, read in inside.items()}
  return found


def chosen(found: Mapping[str, object], pattern: str, skipped: dict[str, str]) -> dict[tuple[str, ...], str]:
  """{what the groups of a regular expression say: name} of the names whose end matches it from a "/" or the start on.

  Of two files that say the same the first is taken, and the reason is put in `skipped` for the other.
  """
  taken: dict[tuple[str, ...], str] = {}
  for name in found:
    match = re.search(rf"(?:^|/){pattern}$", name)
    if match is None:
      continue
    if match.groups() in taken:
      skipped[name] = f"a second copy of {taken[match.groups()]}"
    else:
      taken[match.groups()] = name
  return taken


@contextlib.contextmanager
def on_disk(found: sources.Files, name: str, folder: str | os.PathLike | None) -> Iterator[pathlib.Path]:
  """The path of a file of `files`, for readers that want one: its own, or that of a temporary copy out of its zip."""
  path = None if folder is None else pathlib.Path(folder) / name
  if path is not None and path.is_file():
    yield path
    return
  with tempfile.TemporaryDirectory() as temporary:
    copy = pathlib.Path(temporary) / pathlib.PurePosixPath(name).name
    copy.write_bytes(found[name]())
    try:
      yield copy
    except ValueError as error:
      raise ValueError(str(error).replace(os.fspath(copy), name)) from error
