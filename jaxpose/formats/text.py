"""What the readers of text files share: decoding, numbers, and errors that name the file and the line."""

import math
from collections.abc import Iterable


def error(where: str, line: int, what: str) -> ValueError:
  """A ValueError that reads `FILE, line N: what`."""
  return ValueError(f"{where}, line {line}: {what}")


def lines(data: bytes, where: str) -> list[str]:
  """The lines of a text file, with any line ends and with or without a byte order mark.

  Raises ValueError for an empty file and for binary data.
  """
  if not data.strip():
    raise ValueError(f"{where} is empty; get the file again")
  if b"\0" in data:
    raise ValueError(f"{where} is not a text file (it holds zero bytes); get the file again, or unpack it first")
  data = data.removeprefix(b"\xef\xbb\xbf")
  try:
    text = data.decode("utf-8")
  except UnicodeDecodeError:
    text = data.decode("latin-1")  # comments of old Windows programs; names and numbers are ASCII
  return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def numbers(tokens: Iterable[str], where: str, line: int, *, gaps: bool = False) -> list[float]:
  """Finite numbers, with `gaps` also NaN where it is written; a ValueError names the token that is none."""
  values = []
  for token in tokens:
    try:
      value = float(token)
    except ValueError:
      value = math.inf
    finite = math.isfinite(value) or (gaps and math.isnan(value))
    if not finite or "_" in token:  # Python reads 1_0 as 10
      raise error(where, line, f"{token!r} is not a finite number; repair the line or get the file again")
    values.append(value)
  return values
