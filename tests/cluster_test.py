"""Which process this is and which GPUs are its own, from what launchers set."""

import pytest

from jaxpose import cluster
from jaxpose.cluster import Place

SLURM = {
  "SLURM_JOB_ID": "71", "SLURM_STEP_NODELIST": "n[1-2]", "SLURM_NTASKS": "8", "SLURM_PROCID": "6", "SLURM_LOCALID": "2",
  "SLURM_STEP_TASKS_PER_NODE": "4(x2)", "SLURM_NODEID": "1",
}  # fmt: skip
ONE_A_NODE = SLURM | {"SLURM_STEP_TASKS_PER_NODE": "1(x8)", "SLURM_LOCALID": "0"}
OMPI = {
  "OMPI_COMM_WORLD_SIZE": "8", "OMPI_COMM_WORLD_RANK": "6",
  "OMPI_COMM_WORLD_LOCAL_SIZE": "4", "OMPI_COMM_WORLD_LOCAL_RANK": "2",
}  # fmt: skip
JOBSET = {"JAX_COORDINATOR_ADDRESS": "train-workers-0-0.train:1234", "JAX_NUM_PROCESSES": "4"}


@pytest.mark.parametrize(
  ("environment", "gpus", "place"),
  [
    ({}, 8, None),
    (SLURM, 0, Place("slurm", 8, 6)),
    (SLURM, 4, Place("slurm", 8, 6, devices=(2,))),  # one task a GPU, all of them visible
    (SLURM, 8, Place("slurm", 8, 6, devices=(4, 5))),
    (SLURM | {"SLURM_STEP_GPUS": "0,1,2,3"}, 1, Place("slurm", 8, 6, devices=(0,))),  # each task sees its own alone
    (ONE_A_NODE, 4, Place("slurm", 8, 6, devices=(0, 1, 2, 3))),
    (SLURM | {"SLURM_NTASKS": "1"}, 4, None),
    ({n: v for n, v in SLURM.items() if n != "SLURM_STEP_NODELIST"}, 4, None),  # a batch script, outside srun
    (OMPI, 4, Place("ompi", 8, 6, devices=(2,))),
    (JOBSET | {"JOB_COMPLETION_INDEX": "3"}, 0, Place("environment", 4, 3, "train-workers-0-0.train:1234")),
    (JOBSET | {"JAX_PROCESS_ID": "1"}, 8, Place("environment", 4, 1, "train-workers-0-0.train:1234")),
  ],
)  # fmt: skip
def test_the_place_of_a_process(environment, gpus, place):
  assert cluster.place(environment, gpus, tpu=False) == place


def test_a_tpu_pod_is_left_to_jax_unless_its_hosts_stand_alone():
  assert cluster.place({}, 0, tpu=True) == Place("tpu")
  assert cluster.place({"TPU_HOST_BOUNDS": "1,1,1"}, 0, tpu=True) is None


@pytest.mark.parametrize(
  ("tasks", "visible", "on_node", "message"),
  [
    (4, 2, None, "4 tasks on this node would share 2 GPU"),
    (2, 1, 1, "2 tasks on this node would share 1 GPU"),
    (2, 3, None, "2 tasks on this node cannot share 3 GPUs evenly, some would be idle"),
    (3, 4, 4, "cannot share 4 GPUs evenly"),
  ],
)
def test_shared_and_idle_gpus_are_refused(tasks, visible, on_node, message):
  with pytest.raises(ValueError, match=message):
    cluster.share_of_gpus(tasks, 0, visible, on_node)


@pytest.mark.parametrize(("tasks", "visible"), [(1, 1), (1, 8), (2, 8), (8, 8)])
def test_the_tasks_of_a_node_use_each_gpu_once(tasks, visible):
  used = [gpu for local in range(tasks) for gpu in cluster.share_of_gpus(tasks, local, visible)]
  assert sorted(used) == list(range(visible))


@pytest.mark.parametrize(
  ("environment", "count"),
  [
    ({"CUDA_VISIBLE_DEVICES": "0,3"}, 2),
    ({"CUDA_VISIBLE_DEVICES": ""}, 0),
    ({"CUDA_VISIBLE_DEVICES": "0", "JAX_PLATFORMS": "cpu"}, 0),
  ],
)
def test_visible_gpus(environment, count):
  assert cluster.visible_gpus(environment) == count


def test_a_script_for_one_process_refuses_several(monkeypatch):
  cluster.check_alone("evaluate")
  for name, value in OMPI.items():
    monkeypatch.setenv(name, value)
  with pytest.raises(ValueError, match=r"evaluate works in one process, and this is process 6 of 8 \(ompi\)"):
    cluster.check_alone("evaluate")
