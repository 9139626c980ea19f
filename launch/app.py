"""What every script shares: absl flags, and errors on user input that end in one line instead of a traceback."""

import sys
from collections.abc import Callable
from typing import NoReturn

from absl import app, flags, logging

DEBUG = flags.DEFINE_bool("debug", False, "Show the full traceback of an error.")

# What a user can mend: a wrong value, a missing file, a full disk. Anything else is a bug and keeps its traceback.
_USER_ERRORS = (ValueError, OSError, FloatingPointError)


def run(main: Callable[[], object]) -> None:
  """Parses the flags and calls `main()`; stray arguments are refused (`--data-dir x` would else be silently ignored).

  ValueError and OSError become `error: ...` on stderr and exit code 1, wrong flags and stray arguments exit code 2;
  with --debug the traceback stays.
  """
  app.run(lambda argv: _guarded(main), flags_parser=_parse)


def _parse(argv: list[str]) -> list[str]:
  try:
    left = flags.FLAGS(argv)
  except (
    flags.Error,
    ValueError,
    AttributeError,
    KeyError,
    TypeError,
    OSError,
  ) as error:  # the last five: a config file's
    if "--debug" in argv:
      raise
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    if "Traceback" in text:  # of a config file that failed: its own last line says why
      text = text.strip().splitlines()[-1]
    _fail(f"{text}\nrun with --helpshort for the flags", code=2)
  if len(left) > 1:
    _fail(f"unexpected arguments {left[1:]}; every option is --name=value, run with --helpshort for the flags", code=2)
  return left


def _guarded(main: Callable[[], object]) -> None:
  if not any("verbosity" in argument for argument in sys.argv):
    logging.set_verbosity(logging.WARNING)  # Orbax narrates every save; --verbosity=0 lets it
  try:
    main()
  except _USER_ERRORS as error:
    if DEBUG.value:
      raise
    _fail(str(error) or type(error).__name__, code=1)
  except KeyboardInterrupt:
    _fail("interrupted", code=130)


def _fail(message: str, code: int) -> NoReturn:
  print(f"error: {message}", file=sys.stderr)
  sys.exit(code)
