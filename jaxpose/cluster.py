"""Where this process was started, from the environment alone: which process of how many, and which GPUs are its own."""

import glob
import os
import pathlib
import re
from collections.abc import Mapping
from typing import NamedTuple


class Place(NamedTuple):
  """A process of a job of several. None leaves it to jax to find out; devices: ordinals of the GPUs that it uses."""

  kind: str
  count: int | None = None
  index: int | None = None
  coordinator: str = ""
  devices: tuple[int, ...] | None = None


# Of each launcher: how many processes, which one this is, how many on this node, which of these, and what else there is
# where it can be used without a coordinator's address.
_SLURM = ("SLURM_NTASKS", "SLURM_PROCID", "", "SLURM_LOCALID", ("SLURM_JOB_ID", "SLURM_STEP_NODELIST"))
_OMPI = ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK", ())
LAUNCHERS = {"slurm": _SLURM, "ompi": _OMPI}


def place(
  environment: Mapping[str, str] | None = None, gpus: int | None = None, tpu: bool | None = None
) -> Place | None:
  """The process's place, or None where it is alone.

  gpus: that it sees; tpu: whether this is a machine with TPUs; both looked up when None. Raises ValueError where the
  tasks of a node would share a GPU or leave some idle.
  """
  env = os.environ if environment is None else environment
  if "JAX_COORDINATOR_ADDRESS" in env and "JAX_NUM_PROCESSES" in env:
    index = env.get("JAX_PROCESS_ID", env.get("JOB_COMPLETION_INDEX"))  # the latter of an indexed Kubernetes Job
    if index is None:
      raise ValueError("JAX_NUM_PROCESSES is set, and neither JAX_PROCESS_ID nor JOB_COMPLETION_INDEX says which")
    count = int(env["JAX_NUM_PROCESSES"])
    return Place("environment", count, int(index), env["JAX_COORDINATOR_ADDRESS"]) if count > 1 else None
  for kind, (size, rank, local_size, local_rank, others) in LAUNCHERS.items():
    if all(name in env for name in (size, rank, local_rank, *others)) and int(env[size]) > 1:
      tasks = int(env[local_size]) if local_size else _slurm_tasks(env)
      seen = visible_gpus(env) if gpus is None else gpus
      devices = share_of_gpus(tasks, int(env[local_rank]), seen, _slurm_gpus(env))
      return Place(kind, int(env[size]), int(env[rank]), env.get("JAX_COORDINATOR_ADDRESS", ""), devices)
  alone = env.get("TPU_HOST_BOUNDS", env.get("TPU_PROCESS_BOUNDS")) == "1,1,1"  # each host was told to stand alone
  return Place("tpu") if not alone and (_has_tpu() if tpu is None else tpu) else None


def share_of_gpus(tasks: int, local: int, visible: int, on_node: int | None = None) -> tuple[int, ...] | None:
  """The ordinals of the GPUs of task `local` of `tasks` on a node that sees `visible` of them; None without any.

  on_node: how many the scheduler gave all tasks of the node, where it says so. Where each task sees one that is its
  own, that is ordinal 0. Raises ValueError where tasks would share a GPU or leave one idle.
  """
  if not visible:
    return None
  if visible < tasks:
    if (on_node is None or on_node >= tasks) and visible == 1:
      return (0,)
    raise ValueError(
      f"{tasks} tasks on this node would share {min(visible, on_node or visible)} GPU: start one task a GPU "
      "(--ntasks-per-node as --gpus-per-node), or one task a node"
    )
  if tasks > 1 and on_node is not None and on_node >= tasks * visible:
    return tuple(range(visible))  # bound: all that it sees is its own
  if visible % tasks:
    raise ValueError(
      f"{tasks} tasks on this node cannot share {visible} GPUs evenly, some would be idle: start one task a GPU "
      f"(--ntasks-per-node={visible}), or one task a node"
    )
  each = visible // tasks
  return tuple(range(local * each, (local + 1) * each))


def visible_gpus(env: Mapping[str, str]) -> int:
  """How many NVIDIA GPUs this process sees; none where JAX is told to use another platform."""
  if env.get("JAX_PLATFORMS", "cuda").split(",")[0] not in ("cuda", "gpu", ""):
    return 0
  if "CUDA_VISIBLE_DEVICES" in env:
    return len([x for x in env["CUDA_VISIBLE_DEVICES"].split(",") if x.strip() not in ("", "-1")])
  return len([x for x in glob.glob("/dev/nvidia*") if re.fullmatch(r"/dev/nvidia\d+", x)])


def _slurm_tasks(env: Mapping[str, str]) -> int:
  """Tasks of this node, from "2(x3),1" and the node's place among them; all of them where nothing says so."""
  text = env.get("SLURM_STEP_TASKS_PER_NODE", env.get("SLURM_TASKS_PER_NODE", env["SLURM_NTASKS"]))
  counts: list[int] = []
  for part in text.split(","):
    count, _, times = part.strip().rstrip(")").partition("(x")
    counts += [int(count)] * int(times or 1)
  node = int(env.get("SLURM_NODEID", 0))
  return counts[min(node, len(counts) - 1)]


def _slurm_gpus(env: Mapping[str, str]) -> int | None:
  text = env.get("SLURM_STEP_GPUS", env.get("SLURM_JOB_GPUS", ""))
  return len(text.split(",")) if text else None


def _has_tpu() -> bool:
  return os.environ.get("JAX_PLATFORMS", "tpu").startswith("tpu") and any(
    pathlib.Path(path).exists() for path in ("/dev/accel0", "/dev/vfio/0")
  )


def check_alone(script: str) -> None:
  """Raises ValueError where this is one of several processes, for a script that works in one: each would do it all."""
  where = place(gpus=0, tpu=False)
  if where:
    raise ValueError(
      f"{script} works in one process, and this is process {where.index} of {where.count} ({where.kind}): each would "
      "do the same and write the same file. Start one (srun --ntasks=1), or adapt in parts by --shard=i/n"
    )
