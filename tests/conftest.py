"""Test set-up: eight faked devices, strict broadcasting, quick compilation, and absl flags that count as parsed."""

import gc
import os
import pathlib
import tempfile

import jax
import pytest
from absl import flags

# Most of the suite's time would be XLA's. Small programs need no optimization, and a program that one process compiled
# (a worker, or a script that a test starts) serves the others: they inherit the folder's name in their environment.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", tempfile.mkdtemp(prefix="jaxpose-tests-"))
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")
jax.config.update("jax_compilation_cache_dir", os.environ["JAX_COMPILATION_CACHE_DIR"])
jax.config.update("jax_disable_most_optimizations", True)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)

jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_numpy_rank_promotion", "raise")


# What a newer Python, NumPy or JAX changes first: readers, numbers, transformations. Run by `-m newest`.
NEWEST = ("body", "codec_test.py", "formats", "geometry", "losses_test.py", "metrics_test.py", "protocols_test.py")


def pytest_configure(config):
  config.addinivalue_line("markers", "newest: run on the newest Python and JAX as well")
  flags.FLAGS.mark_as_parsed()  # grain reads absl flags


def pytest_collection_modifyitems(items):
  for item in items:
    if item.path.relative_to(pathlib.Path(__file__).parent).parts[0] in NEWEST:
      item.add_marker("newest")


@pytest.fixture(autouse=True, scope="module")
def _compiled_programs_are_let_go():
  """Each compiled program takes memory maps; Linux gives a process 65,530, and XLA dies without a word at the next."""
  yield
  maps = pathlib.Path("/proc/self/maps")
  if maps.exists() and maps.read_bytes().count(b"\n") > 15_000:
    jax.clear_caches()
    gc.collect()


@pytest.fixture(autouse=True)
def _flags_stay_parsed():
  flags.FLAGS.mark_as_parsed()
