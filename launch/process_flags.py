"""Which process of a job of several this is, as flags; detected where they are not given."""

from absl import flags

from jaxpose import distributed

_COORDINATOR = flags.DEFINE_string("coordinator", "", "host:port of process 0; detected under a scheduler.")
_NUM_PROCESSES = flags.DEFINE_integer("num_processes", None, "Processes of the job; detected under a scheduler.")
_PROCESS_ID = flags.DEFINE_integer("process_id", None, "Index of this process; detected under a scheduler.")
_HEARTBEAT = flags.DEFINE_integer(
  "heartbeat_seconds",
  distributed.HEARTBEAT_SECONDS,
  "Without a sign of life of a process, after which the job ends.",
  lower_bound=5,
)


def initialize() -> None:
  """Joins the job's processes, if there are several; call it before anything touches a device."""
  distributed.initialize(_COORDINATOR.value, _NUM_PROCESSES.value, _PROCESS_ID.value, _HEARTBEAT.value)
