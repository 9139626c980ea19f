"""Reading many files: in their order, without the broken ones."""

import pytest

from data_builders import sources
from jaxpose.data import features
from tests import helpers

NAMES = {"train": ["a1", "a2", "a3", "a4", "a5"], "broken": ["b1", "b2"], "test": ["c1", "c2", "c3"]}


def read(name):
  """A clip for most names; two cameras for a4, which come as a list; a1, a3 and the whole of b cannot be read."""
  if name in ("a1", "a3") or name.startswith("b"):
    raise ValueError(f"{name} is broken")
  if name == "a4":
    return [helpers.clip(frames=2, sequence=name, camera_id=str(c)) for c in range(2)]
  return helpers.clip(frames=2, seed=int(name[1]), sequence=name)


def splits(reader, skipped):
  return sources.splits(NAMES, reader, skipped, to_example=features.clip_to_example)


def run(reader=read):
  skipped: dict[str, str] = {}
  return {split: list(examples) for split, examples in splits(reader, skipped).items()}, skipped


def test_broken_files_are_left_out_wherever_they_are():
  examples, skipped = run()
  assert {split: [key for key, _ in pairs] for split, pairs in examples.items()} == {
    "train": ["a2", "a4#0", "a4#1", "a5"],
    "test": ["c1", "c2", "c3"],
  }
  assert [(e["sequence"], e["camera_id"]) for _, e in examples["train"][1:3]] == [("a4", "0"), ("a4", "1")]
  assert skipped == {name: f"{name} is broken" for name in ("a1", "a3", "b1", "b2")}


def test_each_file_is_read_once_and_a_split_when_it_is_asked_for():
  names: list[str] = []
  generators = splits(lambda name: names.append(name) or read(name), {})
  assert names == ["a1", "a2", "b1", "b2", "c1"]  # up to an example of each split
  assert [key for key, _ in generators["test"]] == ["c1", "c2", "c3"]
  assert names[5:] == ["c2", "c3"]
  list(generators["train"])
  assert names[7:] == ["a3", "a4", "a5"]


def test_what_is_not_the_files_fault_ends_the_build():
  def fail(name):
    if name == "a5":
      raise OSError("the file server is gone")
    return read(name)

  with pytest.raises(OSError, match="file server is gone"):
    run(fail)
  with pytest.raises(ValueError, match="none of 10 files could be read; the first: a1 is broken"):
    run(lambda name: read("b1") if name != "a1" else read("a1"))


@pytest.mark.parametrize("where", ["a2", "a5", None])  # before the first example is asked for, after it, and nowhere
def test_the_progress_bar_ends_with_the_build(where, monkeypatch):
  bars, make = [], sources.tqdm.tqdm
  monkeypatch.setattr(sources.tqdm, "tqdm", lambda **options: bars.append(make(**options)) or bars[-1])

  def fail(name):
    if name == where:
      raise OSError("the disk is full")
    return read(name)

  if where:
    with pytest.raises(OSError, match="disk is full"):
      run(fail)
  else:
    run(fail)
    assert bars[0].n == 10
  assert len(bars) == 1 and bars[0].disable  # tqdm's word for closed
