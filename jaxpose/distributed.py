"""Meshes and processes: the only file that knows how many devices there are."""

import contextlib
import itertools
import os
import pathlib
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator

import jax
import numpy as np
from absl import logging
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jaxpose import cluster, whole_file

_VISIBLE_SECONDS = 10.0  # that a new file may take to show on another machine
PEER_LOST = 134  # exit code, that of jax itself where a heartbeat fails
HEARTBEAT_SECONDS = 100  # without a sign of life, after which a process counts as dead and the job ends


def initialize(
  coordinator: str = "",
  num_processes: int | None = None,
  process_id: int | None = None,
  heartbeat_seconds: int = HEARTBEAT_SECONDS,
) -> None:
  """Joins the processes of the job that this one is of, if any; call it before anything touches a device.

  What is not given is taken from where the process was started: SLURM, Open MPI, a TPU pod, or variables as a JobSet's
  (`cluster`). Raises ValueError where tasks of a node would share a GPU or leave some idle.
  """
  if coordinator and None not in (num_processes, process_id):
    place = cluster.Place("flags", int(num_processes or 0), int(process_id or 0), coordinator)
  elif place := cluster.place():
    place = place._replace(coordinator=coordinator or place.coordinator)
  elif num_processes or process_id or coordinator:
    raise ValueError(
      f"--coordinator={coordinator!r} --num_processes={num_processes} --process_id={process_id}: give all three, "
      "HOST:PORT of process 0 first, or none under SLURM, Open MPI, on a TPU pod or in a JobSet"
    )
  else:
    return
  logging.info("process %s of %s, by %s", place.index, place.count, place.kind)
  named: dict = {} if place.count is None else {"num_processes": place.count, "process_id": place.index}
  if place.coordinator:
    named["coordinator_address"] = place.coordinator
  if place.devices is not None:
    named["local_device_ids"] = list(place.devices)
  if place.kind in ("flags", "environment"):
    named["cluster_detection_method"] = "deactivate"
  jax.distributed.initialize(**named, heartbeat_timeout_seconds=heartbeat_seconds)


def make_mesh(devices=None) -> Mesh:
  """A mesh of all devices over the axis "data". An Auto axis: an Explicit one breaks linen's dropout."""
  devices = jax.devices() if devices is None else devices
  return jax.make_mesh((len(devices),), ("data",), axis_types=(AxisType.Auto,), devices=devices)


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


def decided(value: int) -> int:
  """Process 0's value, on every process: for decisions that must agree, or collectives wait for each other for ever."""
  return int(multihost_utils.broadcast_one_to_all(np.int32(value))) if jax.process_count() > 1 else int(value)


def everywhere(value: bool) -> bool:
  """Whether it is true on every process."""
  return bool(multihost_utils.process_allgather(np.int32(value)).all()) if jax.process_count() > 1 else value


def check_shared(workdir: str) -> None:
  """Raises a ValueError that names the processes which do not see in `workdir` what process 0 writes there.

  Without a common folder they would resume from different steps, and wait for each other for ever.
  """
  if jax.process_count() == 1:
    return
  token = decided(int.from_bytes(os.urandom(3), "big"))
  path = pathlib.Path(workdir) / f"shared_{token}"
  if is_main():
    whole_file.write(path, b"")
  multihost_utils.sync_global_devices("token")  # it was written
  deadline = time.monotonic() + _VISIBLE_SECONDS
  while not (seen := path.exists()) and time.monotonic() < deadline:  # a network's folder shows a new file late
    time.sleep(0.05)
  sees = multihost_utils.process_allgather(np.int32(seen))
  if is_main():
    path.unlink()
  if blind := np.flatnonzero(sees.reshape(-1) == 0).tolist():
    raise ValueError(
      f"--workdir={workdir} is not one folder for all: {blind} of the {jax.process_count()} processes do not see what "
      f"process 0 writes (this is process {jax.process_index()} on {socket.gethostname()}). Give one that all share"
    )


@contextlib.contextmanager
def preemption() -> Iterator[Callable[[], bool]]:
  """asked(): whether SIGTERM has come, to any process. Each process must ask equally often, in the same places.

  On several processes all of them agree on the question from which it is true: jax's service compares counts for
  equality, so that the questions are numbered 1, 2, 3 and nothing else.
  """
  if jax.process_count() > 1:
    numbers = itertools.count(1)
    yield lambda: multihost_utils.reached_preemption_sync_point(next(numbers))
    return
  if threading.current_thread() is not threading.main_thread():
    yield lambda: False  # signals are the main thread's
    return
  caught: list[int] = []
  before = signal.signal(signal.SIGTERM, lambda number, _: caught.append(number))
  try:
    yield lambda: bool(caught)
  finally:
    signal.signal(signal.SIGTERM, before)


def end_if_alone(error: BaseException | None) -> None:
  """Ends this process, with 134 and one line, if the error says that another one of the job is gone.

  An orderly end would wait for that one: savers and jax's shutdown do.
  """
  if error is None or jax.process_count() == 1:
    return
  text = " ".join(str(error).split())
  if re.search(r"Gloo|NCCL|[Hh]eartbeat|[Cc]oordination|Connection (reset|refused|closed)", text):
    where = f"process {jax.process_index()} of {jax.process_count()}"
    print(f"error: another process of the job is gone, so {where} ends: {text[:400]}", file=sys.stderr, flush=True)
    os._exit(PEER_LOST)


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
