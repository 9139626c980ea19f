"""Downloads as archives: what a builder wants of a zip or a packed tar, unpacked into a temporary folder."""

import bz2
import contextlib
import gzip
import lzma
import os
import pathlib
import shutil
import tarfile
import tempfile
import weakref
import zipfile
from collections.abc import Callable, Generator
from typing import Any

import tqdm

from jaxpose.formats import zip_file

ZIPS = (".zip",)
TARS = (".tgz", ".tar.gz", ".tar.bz2", ".tar.xz")
_MOST_UNPACKED = 200  # times the archive's size, or it is a bomb; motion as text packs to a tenth
_SMALL = 2**20  # bytes; of a small archive, headers and padding pack better than that
_CHUNK = 2**20
_PACKERS: dict[bytes, Callable[[Any], Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}


def unpack(path: str | os.PathLike, wanted: Callable[[str], bool], owner: object) -> dict[str, pathlib.Path]:
  """The regular files of an archive whose name is wanted: their path in it -> where they lie until `owner` is gone.

  They lie under numbers, so no name in an archive leads out of the folder. Raises ValueError for an archive that is cut
  short or damaged, unpacks to 200 times its size, or is none; a plain tar, which has no checksum, counts as none.
  """
  where, folder = os.fspath(path), pathlib.Path(tempfile.mkdtemp(prefix="jaxpose-"))
  weakref.finalize(owner, shutil.rmtree, folder, ignore_errors=True)
  left = _MOST_UNPACKED * os.path.getsize(path) + _SMALL
  files: dict[str, pathlib.Path] = {}
  incomplete = lambda: f"{where} is no complete zip or packed tar; get it again, or unpack it"  # noqa: E731
  # closing: or an error leaves the archive open
  with zip_file.damage(where, incomplete), contextlib.closing(_members(path, where)) as members:
    for name, size, stream in members:
      if not wanted(name.rpartition("/")[2]):
        continue
      left -= size
      if left < 0:
        raise ValueError(f"{where}: {name} has {size} bytes, more than an archive of this size holds")
      files[name] = folder / f"{len(files)}{pathlib.PurePosixPath(name).suffix}"
      with stream() as packed, files[name].open("xb") as out:
        shutil.copyfileobj(packed, out, _CHUNK)
      if files[name].stat().st_size != size:
        raise ValueError(f"{where}: {name} has {files[name].stat().st_size} of {size} bytes")
  return files


def _members(path: str | os.PathLike, where: str) -> Generator[tuple[str, int, Callable[[], Any]]]:
  """(name, size, what opens it) of the regular files, in the archive's order; damage may show after the last."""
  if zipfile.is_zipfile(path):
    with zip_file.open_archive(path, where) as archive:
      for entry in archive.infolist():
        if not entry.is_dir():
          yield entry.filename, entry.file_size, lambda entry=entry: archive.open(entry)
    return
  with open(path, "rb") as file:
    start = file.read(6)
    packer = next((packer for magic, packer in _PACKERS.items() if start.startswith(magic)), None)
    if packer is None:
      raise ValueError("it is neither a zip nor packed by gzip, bzip2 or xz")
    file.seek(0)
    with packer(file) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
      with tqdm.tqdm(total=os.path.getsize(path), unit="B", unit_scale=True, desc=f"unpacking {where}", delay=1) as bar:
        for member in archive:
          bar.update(file.tell() - bar.n)
          if member.isreg() and not member.issparse():
            yield member.name, member.size, lambda member=member: archive.extractfile(member)
      while chunk := stream.read(_CHUNK):  # to the packer's checksum
        if chunk.strip(b"\0"):  # tarfile takes a damaged header for the end
          raise ValueError("more follows its end; a header in between is damaged")
