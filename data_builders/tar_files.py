"""Files within a tar archive, packed or not: listed in one pass, read where they lie, never unpacked into a folder."""

import bz2
import gzip
import lzma
import os
import tarfile
import tempfile
import weakref
import zlib
from collections.abc import Callable
from typing import Any, BinaryIO

LIMIT = 4 * 2**30  # bytes of one file
_MOST_UNPACKED = 200  # times the archive's size, or it is a bomb; motion as text packs to a tenth
_LONGEST_HEADER = 2**20  # bytes, with a long name in it
_CHUNK = 2**20
_PACKERS: tuple[tuple[bytes, Callable[..., Any]], ...] = (
  (b"\x1f\x8b", gzip.open), (b"BZh", bz2.open), (b"\xfd7zXZ\0", lzma.open),
)  # fmt: skip
_ERRORS = (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, OverflowError, UnicodeError)


def members(
  path: str | os.PathLike, wanted: Callable[[str], bool], *, limit: int = LIMIT
) -> dict[str, Callable[[], bytes]]:
  """Readers of the regular files whose name is wanted, by their path in the archive; any order, any thread.

  A packed archive is unpacked once, the wanted files into one nameless temporary file: its disk needs their size.
  Reading a link, a device or a file longer than `limit` raises ValueError. So does the call itself for an archive that
  is no tar, is cut short or damaged, unpacks to 200 times its size, or names a path outside itself.
  """
  where = os.fspath(path)
  with open(path, "rb") as file:
    start = file.read(6)
    file.seek(0)
    opener = next((opener for magic, opener in _PACKERS if start.startswith(magic)), None)
    try:
      if opener is None:
        return _scan(_Checked(file, os.path.getsize(path)), where, wanted, limit, None)
      with opener(file) as unpacked:
        stream = _Checked(unpacked, _MOST_UNPACKED * os.path.getsize(path) + _LONGEST_HEADER)
        return _scan(stream, where, wanted, limit, _Spool())
    except ValueError as error:
      raise ValueError(f"{where}: {error}") from error
    except _ERRORS as error:
      raise ValueError(f"{where} is no complete tar archive ({error}); get it again") from error
    except OSError as error:
      if error.errno is not None:  # the disk's, not the packer's
        raise
      raise ValueError(f"{where} is no complete tar archive ({error}); get it again") from error


def _scan(
  stream: "_Checked", where: str, wanted: Callable[[str], bool], limit: int, spool: "_Spool | None"
) -> dict[str, Callable[[], bytes]]:
  found: dict[str, Callable[[], bytes]] = {}
  with tarfile.open(fileobj=stream, mode="r:") as archive:  # pyrefly: ignore
    end = 0
    while (member := archive.next()) is not None:
      archive.members = []  # it keeps every header otherwise
      if archive.offset <= end or member.size < 0:
        raise tarfile.ReadError(f"the size of {member.name} is damaged")
      end = archive.offset
      name = inside(member.name)
      if member.isdir() or not wanted(name):
        continue
      if not member.isreg() or member.issparse():
        found[name] = _refuse(f"{name} in {where} is a link or a device; unpack the archive, use its folder")
      elif member.size > limit:
        found[name] = _refuse(f"{name} in {where} has {member.size} bytes, more than the limit of {limit}")
      elif spool is None:
        found[name] = _in_place(where, name, member.offset_data, member.size)
      else:
        found[name] = spool.keep(stream, name, member.offset_data, member.size)
    # tarfile takes a damaged header for the end. The true one is a block of zeros.
    stream.seek(archive.offset)
    if stream.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
      raise tarfile.ReadError(f"what follows the file at byte {end} is damaged or missing")
    while chunk := stream.read(_CHUNK):  # to the packer's checksum
      if chunk.strip(b"\0"):
        raise tarfile.ReadError(f"more follows the end at byte {end}; a header in between is damaged")
  return found


def inside(name: str) -> str:
  """A member's name as a path within the archive. Raises ValueError for one that leads out of it."""
  parts = name.replace("\\", "/").split("/")
  if name.startswith(("/", "\\")) or ".." in parts or ":" in parts[0]:
    raise ValueError(f"it names the path {name!r}, outside itself; no data set does, get it from its source")
  return "/".join(part for part in parts if part not in ("", "."))


def _refuse(message: str) -> Callable[[], bytes]:
  def read() -> bytes:
    raise ValueError(message)

  return read


def _in_place(where: str, name: str, offset: int, size: int) -> Callable[[], bytes]:
  def read() -> bytes:
    with open(where, "rb") as file:
      file.seek(offset)
      content = file.read(size)
    if len(content) != size:
      raise ValueError(f"{name} cannot be read from {where}: it has changed or is cut short; get it again")
    return content

  return read


class _Checked:
  """A stream that refuses what only a damaged or hostile archive asks: large reads at once, and more than `limit`."""

  def __init__(self, file: BinaryIO | Any, limit: int):
    self.file, self.limit = file, limit

  def read(self, size: int) -> bytes:
    if not 0 <= size <= _LONGEST_HEADER:
      raise tarfile.ReadError(f"a header claims {size} bytes")
    self._check(self.file.tell())
    return self.file.read(size)

  def seek(self, position: int) -> int:
    self._check(position)
    return self.file.seek(position)

  def tell(self) -> int:
    return self.file.tell()

  def _check(self, position: int) -> None:
    if not 0 <= position <= self.limit:
      raise tarfile.ReadError(f"it claims to reach byte {position}, of at most {self.limit}")


class _Spool:
  """Unpacked files behind one another in a temporary file without a name, which goes when its readers have gone."""

  def __init__(self):
    self.descriptor, name = tempfile.mkstemp()
    os.unlink(name)
    self.size = 0
    weakref.finalize(self, os.close, self.descriptor)

  def keep(self, stream: _Checked, name: str, offset: int, size: int) -> Callable[[], bytes]:
    start, left = self.size, size
    stream.seek(offset)
    while left:
      chunk = stream.read(min(left, _CHUNK))
      if not chunk:
        raise tarfile.ReadError(f"{name} lacks {left} of {size} bytes")
      view = memoryview(chunk)
      while view:
        view = view[os.write(self.descriptor, view) :]
      left -= len(chunk)
    self.size += size

    def read() -> bytes:
      parts, at = [], start
      while at < start + size:  # one call reads at most 2 GiB
        parts.append(os.pread(self.descriptor, start + size - at, at))
        if not parts[-1]:
          raise ValueError(f"{name}: the temporary file was cut short")
        at += len(parts[-1])
      return b"".join(parts)

    return read
