"""Checkpoints through Orbax: the latest one, the best few by a metric, written asynchronously. Alone imports orbax."""

import contextlib
import hashlib
import os
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from etils import epath

_policies = ocp.checkpoint_managers

SCORES = ("mpjpe_mm", "median_px")  # of a lifter, and of what gives keypoints alone


def _folder(workdir: str) -> epath.Path:
  return epath.Path(os.path.abspath(os.path.expanduser(workdir))) / "checkpoints"


def _score(metrics: Mapping[str, float]) -> float:
  """What the best checkpoint has least of: the first of `SCORES` that its run measured."""
  return next(metrics[name] for name in SCORES if name in metrics)


def _manager(workdir: str, keep_best: int) -> ocp.CheckpointManager:
  # BestN keeps the tail of its sort (so reverse for an error), and without best_fn the metrics are never written.
  options = ocp.CheckpointManagerOptions(
    best_fn=_score,
    best_mode="min",
    preservation_policy=_policies.AnyPreservationPolicy(
      [
        _policies.LatestN(1),
        _policies.BestN(
          get_metric_fn=_score,
          reverse=True,
          n=keep_best,
          keep_checkpoints_without_metrics=False,
        ),
      ]
    ),
    enable_async_checkpointing=True,
  )
  return ocp.CheckpointManager(_folder(workdir), options=options)


class Writer:
  """Saves a run's checkpoints: the latest, to resume from, and the best `keep_best` by `SCORES` (lower is better)."""

  def __init__(self, workdir: str, *, description: Mapping[str, Any], keep_best: int = 3):
    self._description, self._workdir = dict(description), workdir
    self._manager = _manager(workdir, keep_best)

  def save(
    self, step: int, state, metrics: Mapping[str, float] | None, statistics: Mapping[str, Any] | None = None
  ) -> None:
    """Starts writing the state, whose arrays may be donated right after. A failed write raises here or later.

    metrics: None where nothing was measured; such a checkpoint is never the best, and is kept until the next one.
    statistics: what `description` says of the training set, and of these weights on it.
    """
    description = {**self._description, "shapes": shapes(state.params)}
    description["statistics"] = {**description.get("statistics", {}), **(statistics or {})}
    with _cleaned(self._workdir):
      self._manager.save(
        step,
        args=ocp.args.Composite(state=ocp.args.StandardSave(state), description=ocp.args.JsonSave(description)),
        metrics=None if metrics is None else {k: float(v) for k, v in metrics.items()},
        force=True,
      )

  def best(self) -> int | None:
    """The step of the best checkpoint, that of a save that has only begun included; of equals the latest."""
    return self._manager.best_step()

  def wait(self) -> None:
    """Blocks until the last save is on disk, and raises if it failed."""
    with _cleaned(self._workdir):
      self._manager.wait_until_finished()

  def close(self) -> None:
    with _cleaned(self._workdir):
      self._manager.close()


@contextlib.contextmanager
def _cleaned(workdir: str) -> Iterator[None]:
  """Turns a failed write into one clear error, and removes what it left half-written."""
  try:
    yield
  except Exception as error:
    if not _is_os_error(error):
      raise
    for path in _folder(workdir).glob("*orbax-checkpoint-tmp*"):
      path.rmtree(missing_ok=True)
    raise OSError(
      f"could not write a checkpoint under {workdir!r}: {error}. Free some space (or choose another --workdir) and run "
      "the same command again: it resumes from the last complete checkpoint"
    ) from error


def _is_os_error(error: BaseException | None) -> bool:
  # Tensorstore reports a full disk as a ValueError whose text carries the system's message.
  while error is not None:
    if isinstance(error, OSError) or "No space left" in str(error) or "RESOURCE_EXHAUSTED" in str(error):
      return True
    error = error.__cause__ or error.__context__
  return False


def shapes(params) -> dict[str, list[int]]:
  """{"trunk/stem/kernel": [34, 1024], ...}: what tells one model's checkpoint from another's."""
  return {
    "/".join(str(getattr(k, "key", k)) for k in path): list(np.shape(leaf))
    for path, leaf in jax.tree_util.tree_leaves_with_path(params)
  }


def steps(workdir: str) -> list[int]:
  """Steps of the complete checkpoints of a run, ascending; empty when there are none."""
  folder = _folder(workdir)
  return sorted(int(p.name) for p in folder.iterdir() if p.name.isdigit()) if folder.exists() else []


def describe(workdir: str, step: int) -> dict[str, Any]:
  """What a checkpoint says of itself: {"config", "codec", "shapes"}."""
  with _readable(workdir, step), ocp.CheckpointManager(_folder(workdir)) as manager:
    restored = manager.restore(step, args=ocp.args.Composite(description=ocp.args.JsonRestore()))
  return restored["description"]


@contextlib.contextmanager
def _readable(workdir: str, step: int) -> Iterator[None]:
  """Turns what a damaged checkpoint raises into one ValueError that says which it is and what is left without it."""
  try:
    yield
  except (ValueError, KeyError, TypeError, OSError) as error:
    left = [s for s in steps(workdir) if s != step]
    rest = f"remove {_folder(workdir) / str(step)}, and step {left[-1]} is the latest" if left else "there is no other"
    text = " ".join(str(error).split())[:200]
    raise ValueError(f"the checkpoint of step {step} under {workdir!r} cannot be read ({text}); {rest}") from error


def choose(workdir: str, which: str | int = "best") -> int:
  """The step of the "best", the "latest", or a given checkpoint; a FileNotFoundError says what there is."""
  saved = steps(workdir)
  if not saved:
    raise FileNotFoundError(f"no checkpoint under {workdir!r}; train first: jaxpose train --workdir={workdir} ...")
  if which == "latest":
    return saved[-1]
  if which == "best":
    with _manager(workdir, 1) as manager:
      best = manager.best_step()
    return saved[-1] if best is None else best
  if int(which) not in saved:
    raise FileNotFoundError(f"no checkpoint of step {which} under {workdir!r}; there are {saved}")
  return int(which)


def check_same_model(workdir: str, step: int, params) -> None:
  """Raises a ValueError that names the parameters in which a checkpoint differs from `params`."""
  if problems := differences(describe(workdir, step)["shapes"], shapes(params)):
    raise ValueError(
      f"the checkpoint at step {step} under {workdir!r} is of another model: {problems}. "
      "Use the config it was trained with, or another --workdir"
    )


def differences(stored: Mapping[str, list[int]], wanted: Mapping[str, list[int]]) -> str:
  """Where a checkpoint's `shapes` and a model's differ, the first three by name; empty where they do not."""
  names = [n for n in {**stored, **wanted} if stored.get(n) != wanted.get(n)]
  shown = [f"{n}: checkpoint {stored.get(n, 'has none')}, model {wanted.get(n, 'has none')}" for n in names[:3]]
  return "; ".join(shown) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def restore(workdir: str, step: int, state):
  """The full state at `step`, placed and sharded as `state` (arrays or ShapeDtypeStructs with sharding)."""
  check_same_model(workdir, step, state.params)
  abstract = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), state)
  with _readable(workdir, step), ocp.CheckpointManager(_folder(workdir)) as manager:
    return manager.restore(step, args=ocp.args.Composite(state=ocp.args.StandardRestore(abstract)))["state"]


def restore_variables(workdir: str, step: int, variables):
  """The model's variables {"params", ...} at `step`, without the optimizer; `variables` gives the tree and shapes."""
  check_same_model(workdir, step, variables["params"])
  rest = {k: v for k, v in variables.items() if k != "params"}
  want = {"params": variables["params"], "model_state": rest}
  want = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), want)
  sharding = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
  args = jax.tree.map(lambda x: ocp.ArrayRestoreArgs(sharding=sharding, global_shape=x.shape), want)
  with _readable(workdir, step), ocp.CheckpointManager(_folder(workdir)) as manager:
    restored = manager.restore(
      step,
      args=ocp.args.Composite(state=ocp.args.PyTreeRestore(want, partial_restore=True, restore_args=args)),
    )["state"]
  return {"params": restored["params"], **restored["model_state"]}


def save_state(folder: str, arrays: Mapping[str, np.ndarray], description: Mapping[str, Any]) -> None:
  """Saves named arrays that are no training run's, with a JSON description, in place of what `folder` held before.

  Returns when they are on disk. Raises OSError when they cannot be written.
  """
  options = ocp.CheckpointManagerOptions(max_to_keep=1, enable_async_checkpointing=False)
  args = ocp.args.Composite(state=ocp.args.StandardSave(dict(arrays)), description=ocp.args.JsonSave(dict(description)))
  try:
    with ocp.CheckpointManager(_state_folder(folder), options=options) as manager:
      last = manager.latest_step()
      manager.save(0 if last is None else last + 1, args=args, force=True)
  except Exception as error:
    if not _is_os_error(error):
      raise
    raise OSError(f"could not write the state to {folder!r}: {error}. What it held before is intact") from error


def restore_state(folder: str) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
  """The arrays and the description that `save_state` wrote last, or None where there are none.

  Raises a ValueError that names the folder if what is there cannot be read.
  """
  if not _state_folder(folder).exists():
    return None
  try:
    with ocp.CheckpointManager(_state_folder(folder)) as manager:
      step = manager.latest_step()
      if step is None:
        return None
      described = manager.restore(step, args=ocp.args.Composite(description=ocp.args.JsonRestore()))["description"]
      restored = manager.restore(step, args=ocp.args.Composite(state=ocp.args.StandardRestore()))["state"]
  except (ValueError, KeyError, FileNotFoundError) as error:
    raise ValueError(f"the state in {folder!r} cannot be read: {error}. Remove the folder to begin anew") from error
  return {name: np.asarray(leaf) for name, leaf in restored.items()}, described


def _state_folder(folder: str) -> epath.Path:
  # Not a run's own folder of checkpoints, of which only one would be kept.
  return epath.Path(os.path.abspath(os.path.expanduser(folder))) / "state"


def digest(variables: Any) -> str:
  """SHA-256 over the weights, with their names and shapes: tells one trained model from another of the same sizes."""
  result = hashlib.sha256()
  for name, leaf in named(variables).items():
    array = np.asarray(leaf)
    result.update(f"{name} {array.shape} {array.dtype}".encode())
    result.update(array.tobytes())
  return result.hexdigest()


def named(tree: Any) -> dict[str, Any]:
  """A pytree's leaves by their paths, as text."""
  return {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}
