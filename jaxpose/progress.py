"""Progress bars, with rate and time left: every second in a terminal, every half minute in a log file."""

import sys

import tqdm


def bar(total: int, unit: str, description: str, initial: int = 0, enabled: bool = True) -> tqdm.tqdm:
  """A tqdm bar on stderr."""
  interval = 1 if sys.stderr.isatty() else 30
  return tqdm.tqdm(
    total=total,
    unit=unit,
    desc=description,
    initial=initial,
    disable=not enabled,
    mininterval=interval,
    maxinterval=interval,
  )
