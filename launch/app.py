"""What every script shares: absl flags, and errors on user input that end in one line instead of a traceback."""

import pathlib
import sys
from collections.abc import Callable
from typing import NoReturn

from absl import app, flags, logging

from jaxpose import cluster

DEBUG = flags.DEFINE_bool("debug", False, "Show the full traceback of an error.")

# What a user can mend: a wrong value, a missing file, a full disk. Anything else is a bug and keeps its traceback.
_USER_ERRORS = (ValueError, OSError, FloatingPointError)
_CONFIG_ERRORS = (ValueError, AttributeError, KeyError, TypeError, OSError)  # of a config file, while it is read


def run(main: Callable[[], object], *, several: bool = False) -> None:
  """Parses the flags and calls `main()`; stray arguments are refused (`--data-dir x` would else be silently ignored).

  several: whether `main` knows what to do in one of several processes; else these are refused where a scheduler started
  them. A process of the job that is gone is no mistake of the user's: exit code 134, for the job to be started again.

  ValueError and OSError become `error: ...` on stderr and exit code 1, wrong flags and stray arguments exit code 2;
  with --debug the traceback stays.
  """
  app.run(lambda argv: _guarded(main, several), flags_parser=_parse)


def following(command: str) -> None:
  """Says, in one line, what a user does next."""
  print(f"next: {command}")


def _parse(argv: list[str]) -> list[str]:
  try:
    left = flags.FLAGS(_with_config_files(argv))
  except (flags.Error, *_CONFIG_ERRORS) as error:
    if "--debug" in argv:
      raise
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    if "Traceback" in text:  # of a config file that failed: its own last line says why
      text = text.strip().splitlines()[-1]
    _fail(f"{text}\nrun with --helpshort for the flags", code=2)
  if len(left) > 1:
    _fail(f"unexpected arguments {left[1:]}; every option is --name=value, run with --helpshort for the flags", code=2)
  return left


def _with_config_files(argv: list[str]) -> list[str]:
  """The arguments with the file of a config that is named, --config=cmu_baseline:quick, in place of its name.

  Raises ValueError, listing the names, for one that is not there.
  """
  if "config" not in flags.FLAGS:
    return argv
  folder, rewritten = pathlib.Path(__file__).parents[1] / "configs", list(argv)
  names = sorted(path.stem for path in folder.glob("*.py") if path.stem not in ("__init__", "common"))
  if "--config" in rewritten[:-1]:  # with its value as the next argument
    at = rewritten.index("--config")
    rewritten[at : at + 2] = ["=".join(rewritten[at : at + 2])]
  for i, argument in enumerate(rewritten):
    flag, _, value = argument.partition("=")
    name, *quick = value.split(":", 1)
    if flag in ("--config", "-config") and name and not name.endswith(".py"):
      if name not in names:
        raise ValueError(f"no config {name!r}: give the path of a .py file, or one of {', '.join(names)}")
      rewritten[i] = "=".join([flag, ":".join([str(folder / f"{name}.py"), *quick])])
  return rewritten


def _guarded(main: Callable[[], object], several: bool) -> None:
  if not any("verbosity" in argument for argument in sys.argv):
    logging.set_verbosity(logging.WARNING)  # Orbax narrates every save; --verbosity=0 lets it
  try:
    if not several:
      cluster.check_alone(pathlib.Path(sys.argv[0]).stem)
    main()
  except Exception as error:
    if several:
      from jaxpose import distributed  # here alone: not every script needs jax

      distributed.end_if_alone(error)
    if DEBUG.value or not isinstance(error, _USER_ERRORS):
      raise
    _fail(str(error) or type(error).__name__, code=1)
  except KeyboardInterrupt:
    _fail("interrupted", code=130)


def _fail(message: str, code: int) -> NoReturn:
  print(f"error: {message}", file=sys.stderr)
  sys.exit(code)
