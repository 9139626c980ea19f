"""Streams on disk: what a finished run of online adaptation leaves, and what the next one goes on from."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from jaxpose import checkpoint, report

State = tuple[Any, int]  # an adapter's state, and how many instances it has seen


def save(
  folder: str,
  states: Mapping[str, State],
  settings: Mapping[str, Any],
  outputs: Mapping[str, np.ndarray] | None = None,
) -> None:
  """Writes the streams' states by name, and the settings (JSON) they were adapted with, in place of what was there.

  outputs: what a call that is not over yet has predicted so far, to be saved with them.
  """
  leaves, outputs = checkpoint.named(dict(states)), dict(outputs or {})
  described = {"settings": dict(settings), "streams": list(states), "leaves": list(leaves), "outputs": list(outputs)}
  arrays = (*leaves.values(), *outputs.values())
  checkpoint.save_state(folder, {str(i): np.asarray(x) for i, x in enumerate(arrays)}, described)


def load(folder: str, like: State, settings: Mapping[str, Any]) -> tuple[dict[str, State], dict[str, np.ndarray]]:
  """The streams saved in `folder`, by name, and the outputs; none where nothing was saved yet.

  like: a stream's state with the shapes of this run. Raises a ValueError that names what differs, if the streams were
  adapted with other settings or are of another shape.
  """
  restored = checkpoint.restore_state(folder)
  if restored is None:
    return {}, {}
  arrays, described = restored
  stored = described["settings"]
  differing = [n for n in {**stored, **settings} if stored.get(n) != settings.get(n)]
  if differing:
    both = {n: [report.short(repr(values.get(n)), 40) for values in (stored, settings)] for n in differing}
    values = (f"{n}: saved {a}, now {b}" for n, (a, b) in both.items())
    raise ValueError(
      f"the streams saved in {folder!r} were adapted in another way: {'; '.join(values)}. Go on with their settings, "
      "or choose another folder"
    )
  by_name = {name: arrays[str(i)] for i, name in enumerate(described["leaves"])}
  outputs = {n: arrays[str(len(by_name) + i)] for i, n in enumerate(described.get("outputs", ()))}
  tree = {stream: like for stream in described["streams"]}
  wanted = checkpoint.named(tree)
  for name in {**by_name, **wanted}:
    shapes = [np.shape(t[name]) if name in t else None for t in (by_name, wanted)]
    if shapes[0] != shapes[1]:
      raise ValueError(f"the streams saved in {folder!r} do not fit: {name} is {shapes[0]}, this run has {shapes[1]}")
  states = jax.tree.unflatten(jax.tree.structure(tree), [by_name[name] for name in wanted])
  return {name: (state, int(seen)) for name, (state, seen) in states.items()}, outputs


def names(streams: Sequence[str]) -> list[str]:
  """The streams' names; a ValueError if two share one, since a state is found again by its name."""
  twice = sorted({n for n in streams if list(streams).count(n) > 1})
  if twice:
    raise ValueError(f"two streams are called {twice[0]!r}; a saved stream is found by its name, so give each its own")
  return list(streams)
