"""The weights that a run begins with when they are another run's: pretraining first, fine-tuning after it."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from jaxpose import checkpoint, distributed, experiment, report
from jaxpose.codec import Codec
from jaxpose.geometry import camera as cameras
from jaxpose.train.state import TrainState


def take(workdir: str, parts: Sequence[str], state: TrainState, codec: Codec) -> TrainState:
  """The fresh `state` with `parts` of its parameters from the best checkpoint of the run in `workdir`.

  Running statistics of those parts go along; all other parts, the optimizer and the step stay as they are. A function
  of the two runs alone: begun again, a run begins with the same weights.

  Raises ValueError if there is no run, if either side lacks a part, if a parameter has another shape, or if the other
  run's codec gives other inputs or targets: behind another codec the same weights mean nothing. Constants that only
  decoding to metres uses may differ, as image_25d's mean bone length does between data sets.
  """
  try:
    other = experiment.load(workdir)
  except FileNotFoundError as error:
    raise ValueError(
      f"init_from={workdir!r} holds no checkpoint of a run to start from; give the --workdir of a run that trained"
    ) from error
  _check_codec(workdir, other.codec, codec)
  ours: dict[str, Any] = state.variables
  for part in parts:
    for whose, has in ((f"the run in {workdir!r}", other.variables["params"]), ("this run", ours["params"])):
      if part not in has:
        raise ValueError(f"init_parts names {part!r}, which {whose} does not have; it has {', '.join(sorted(has))}")
  theirs, wanted = _chosen(other.variables, parts), _chosen(ours, parts)
  shapes = checkpoint.shapes
  differing = (checkpoint.differences(shapes(theirs.get(c, {})), shapes(wanted[c])) for c in wanted)
  if problems := next(filter(None, differing), ""):
    raise ValueError(
      f"the weights of {workdir!r} do not fit: {problems}. Use its model_options, or leave the part out of "
      f"init_parts={tuple(parts)}, so that it starts afresh"
    )
  sharding = jax.tree.leaves(state.params)[0].sharding
  placed = distributed.put_same(jax.tree.map(np.asarray, theirs), sharding)
  merged = {c: {**tree, **placed.get(c, {})} for c, tree in ours.items()}
  return dataclasses.replace(state, params=merged.pop("params"), model_state=merged)


def _chosen(variables: dict[str, Any], parts: Sequence[str]) -> dict[str, Any]:
  return {c: {p: tree[p] for p in parts if p in tree} for c, tree in variables.items()}


def _check_codec(workdir: str, theirs: Codec, ours: Codec) -> None:
  stated = {
    "codec": (theirs.name, ours.name),
    "input channels": (theirs.channels, ours.channels),
    "joints": (list(theirs.skeleton.names), list(ours.skeleton.names)),
  }
  different = {name: pair for name, pair in stated.items() if pair[0] != pair[1]}
  if not different and not _speak_alike(theirs, ours):
    names = {**theirs.constants, **ours.constants}
    pairs = {f"constant {name}": (theirs.constants.get(name), ours.constants.get(name)) for name in names}
    different = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
  if different:
    shown = {name: [report.short(str(x), 60) for x in pair] for name, pair in different.items()}
    listed = "; ".join(f"{name}: there {a}, here {b}" for name, (a, b) in shown.items())
    raise ValueError(
      f"init_from={workdir!r} was trained behind another codec ({listed}). Use the same codec, and its constants in "
      f"codec_constants: jaxpose.experiment.load({workdir!r}).codec.constants"
    )


def _speak_alike(one: Codec, other: Codec) -> bool:
  """Whether two codecs of one name give a network the same inputs and targets; what decoding alone uses may differ."""
  joints = np.random.default_rng(0).uniform(-1, 1, (1, one.skeleton.num_joints, 3)) + [0, 0, 5]
  camera = cameras.create((1100, 1150), (480, 520), (1000, 1000))
  seen = np.asarray(cameras.project(joints.astype(np.float32), camera))
  said = [(c.encode(seen, camera), c.encode_target(joints.astype(np.float32), seen, camera)) for c in (one, other)]
  return all(np.allclose(a, b, rtol=1e-4, atol=1e-5) for a, b in zip(*said))
