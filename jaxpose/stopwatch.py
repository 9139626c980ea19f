"""Wall-clock time without compilation, as JAX itself reports it."""

import contextlib
import time
from collections.abc import Iterator

import jax

_compiled = [0.0, 0.0]  # seconds that all compilation of this process took, and how many programs


def _listen(event: str, duration_secs: float, **_) -> None:
  if event.startswith("/jax/core/compile/"):  # tracing, lowering, compiling
    _compiled[0] += duration_secs
    _compiled[1] += event.endswith("backend_compile_duration")


jax.monitoring.register_event_duration_secs_listener(_listen)


@contextlib.contextmanager
def measure() -> Iterator[dict[str, float]]:
  """Yields a dict that at the end holds "seconds", without "seconds_compiling", and "programs", how many were compiled.

  What the block starts on a device it must also wait for.
  """
  times: dict[str, float] = {}
  began, (seconds, programs) = time.perf_counter(), _compiled
  yield times
  compiling = _compiled[0] - seconds
  times["seconds"] = time.perf_counter() - began - compiling
  times["seconds_compiling"], times["programs"] = compiling, _compiled[1] - programs
