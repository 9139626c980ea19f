"""Archives: what damage makes Python's readers raise, as one error, and the damage that they overlook."""

import contextlib
import errno
import io
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import Any

_LONGEST_END = 22 + 2**16  # bytes of the record that ends an archive, and of the comment after it
_ERRORS = (
  zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, NotImplementedError, OverflowError,
  IndexError, struct.error, tarfile.TarError,
)  # fmt: skip


@contextlib.contextmanager
def damage(where: str, message: Callable[[], str]) -> Iterator[None]:
  """Within it, what the archive `where` is at fault for is a ValueError: `message()`, and the cause in brackets.

  A ValueError that names the archive passes, and so do errors of the disk.
  """
  try:
    yield
  except ValueError as error:
    if where in str(error):
      raise
    raise ValueError(f"{message()} ({error})") from error
  except OSError as error:
    if error.errno not in (None, errno.EINVAL):  # a wrong directory makes the reader look before the start
      raise
    raise ValueError(f"{message()} ({error})") from error
  except _ERRORS as error:
    raise ValueError(f"{message()} ({error})") from error


def open_archive(file: Any, where: str) -> zipfile.ZipFile:
  """The archive at a path or in an open file. Raises ValueError if its directory is empty or not what it says."""
  with contextlib.ExitStack() as opened:
    archive = opened.enter_context(zipfile.ZipFile(file))
    listed, said = len(archive.infolist()), _said(archive.fp)
    if said not in (None, listed) or not listed:
      raise ValueError(f"{where}: its directory lists {listed} of {said} files; it is damaged, get it again")
    opened.pop_all()
  return archive


def _said(file: Any) -> int | None:
  """The number of files in the record that ends an archive; None if it is too large for the record."""
  file.seek(0, io.SEEK_END)
  start = max(file.tell() - _LONGEST_END, 0)
  file.seek(start)
  end = file.read()
  record = end[end.rindex(b"PK\5\6") :]
  count = int.from_bytes(record[10:12], "little")
  return None if count == 0xFFFF else count
