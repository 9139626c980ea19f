"""Meshes and processes: the only file that knows how many devices there are."""

import jax
import numpy as np
from absl import flags
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

_COORDINATOR = flags.DEFINE_string("coordinator", "", "host:port of process 0, for a run on several processes.")
_NUM_PROCESSES = flags.DEFINE_integer("num_processes", 1, "Number of processes of the run.")
_PROCESS_ID = flags.DEFINE_integer("process_id", 0, "Index of this process.")


def initialize() -> None:
  """Joins the run's processes, if the flags name a coordinator; call it before anything touches a device."""
  if _COORDINATOR.value:
    jax.distributed.initialize(_COORDINATOR.value, _NUM_PROCESSES.value, _PROCESS_ID.value)
  elif _NUM_PROCESSES.value > 1:
    raise ValueError(f"--num_processes={_NUM_PROCESSES.value} needs --coordinator=HOST:PORT, the address of process 0")


def make_mesh(devices=None) -> Mesh:
  """A mesh of all devices over axes ("data", "model"). Auto axes: Explicit ones break linen's dropout."""
  devices = jax.devices() if devices is None else devices
  return jax.make_mesh((len(devices), 1), ("data", "model"), axis_types=(AxisType.Auto,) * 2, devices=devices)


def replicated(mesh: Mesh) -> NamedSharding:
  return NamedSharding(mesh, PartitionSpec())


def over_data(mesh: Mesh, leading: int = 0) -> NamedSharding:
  """Shards the axis after `leading` unsharded ones over "data"."""
  return NamedSharding(mesh, PartitionSpec(*(None,) * leading, "data"))


def process() -> tuple[int, int]:
  """(index, count) of this process."""
  return jax.process_index(), jax.process_count()


def is_main() -> bool:
  return jax.process_index() == 0


def fits_on_device(nbytes: int) -> bool:
  """Whether that many bytes take at most half of a device's memory; true where the device does not tell, as CPUs."""
  stats = jax.local_devices()[0].memory_stats() or {}
  return nbytes <= 0.5 * stats.get("bytes_limit", float("inf"))


def put_same(tree, sharding: NamedSharding):
  """Puts arrays that every process holds in full onto the mesh."""

  def put(x):
    x = np.asarray(x)
    return jax.make_array_from_callback(x.shape, sharding, lambda index: x[index])

  return jax.tree.map(put, tree)


def put_local(tree, sharding: NamedSharding):
  """Puts this process's contiguous slice of a global batch onto the mesh."""
  return jax.tree.map(lambda x: jax.make_array_from_process_local_data(sharding, np.asarray(x)), tree)


def fetch(tree):
  """Replicated (or fully addressable) arrays as NumPy."""
  return jax.tree.map(lambda x: np.asarray(x.addressable_data(0)) if isinstance(x, jax.Array) else x, tree)
