"""Test set-up: eight faked devices, strict broadcasting, and absl flags that count as parsed (grain reads them)."""

import jax
from absl import flags

jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_numpy_rank_promotion", "raise")


def pytest_configure(config):
  del config
  flags.FLAGS.mark_as_parsed()
