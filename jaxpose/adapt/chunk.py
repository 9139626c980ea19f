"""How many instances to adapt at once: as many as a device's memory holds."""

import jax
import jax.numpy as jnp

from jaxpose.adapt.adapter import Adapter, Instance

SHARE = 0.6  # of the free memory; the rest is for what passes and for the next chunk's inputs
MOST = 1024  # more instances at once gain nothing
PROBE = 4  # instances in the program that is compiled to measure


def automatic(adapter: Adapter, variables, instance: Instance, known=None) -> int:
  """Instances a dispatch and device, a power of two: by what a program for `PROBE` of them needs, as compiled."""

  def one(variables, instance):
    state = adapter.adapt(variables, adapter.init(variables, known), instance, jax.random.key(0))
    return state, adapter.predict(variables, state, jax.tree.map(lambda x: x[None], instance), jax.random.key(0))

  several = jax.tree.map(lambda x: jax.ShapeDtypeStruct((PROBE, *jnp.shape(x)), jnp.result_type(x)), instance)
  needs = jax.jit(jax.vmap(one, (None, 0))).lower(variables, several).compile().memory_analysis()
  if needs is None:  # a platform that does not say
    return PROBE
  return fitting(free_bytes(), (needs.temp_size_in_bytes + needs.output_size_in_bytes) // PROBE)


def fitting(available: int, each: int) -> int:
  """The largest power of two, from 1 to `MOST`, that takes at most `SHARE` of the available bytes."""
  count = int(min(max(SHARE * available / max(each, 1), 1), MOST))
  return 1 << (count.bit_length() - 1)


def free_bytes() -> int:
  """What a device may still hold by its own account."""
  stats = jax.local_devices()[0].memory_stats() or {}
  return stats.get("bytes_limit", 1 << 33) - stats.get("bytes_in_use", 0)
