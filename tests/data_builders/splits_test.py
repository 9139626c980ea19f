"""Reading many files: in their order whatever the threads do, without the broken ones, and only once."""

import itertools
import os
import threading

import numpy as np
import pytest

from data_builders import resume, sources, threads
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


def run(reader=read, workers=1):
  skipped: dict[str, str] = {}
  generators = sources.splits(NAMES, reader, skipped, to_example=features.clip_to_example, workers=workers)
  return {split: list(examples) for split, examples in generators.items()}, skipped


def assert_same(first, second):
  assert list(first) == list(second)
  for split in first:
    assert [key for key, _ in first[split]] == [key for key, _ in second[split]]
    for (_, a), (_, b) in zip(first[split], second[split]):
      assert list(a) == list(b) and (a["sequence"], a["camera_id"], a["fps"]) == (
        b["sequence"],
        b["camera_id"],
        b["fps"],
      )
      np.testing.assert_array_equal(a["keypoints_2d"], b["keypoints_2d"])
      np.testing.assert_array_equal(a["camera"]["rotation"], b["camera"]["rotation"])
      assert a["keypoints_2d"].dtype == b["keypoints_2d"].dtype


def test_broken_files_are_left_out_wherever_they_are():
  examples, skipped = run()
  assert {split: [key for key, _ in pairs] for split, pairs in examples.items()} == {
    "train": ["a2", "a4#0", "a4#1", "a5"],
    "test": ["c1", "c2", "c3"],
  }
  assert skipped == {name: f"{name} is broken" for name in ("a1", "a3", "b1", "b2")}


@pytest.mark.parametrize("workers", [2, 4, 50])
def test_threads_give_the_order_of_one_and_hold_few_files(workers):
  """The first file that every thread takes up waits until the others are done: order comes from nowhere else."""
  lock, running, most = threading.Lock(), 0, 0

  def slow(name):
    nonlocal running, most
    with lock:
      running += 1
      most = max(most, running)
    threading.Event().wait(0.05 if name in ("a1", "c2") else 0)
    with lock:
      running -= 1
    return read(name)

  serial, skipped = run()
  parallel, skipped_too = run(slow, workers)
  assert_same(parallel, serial)
  assert skipped_too == skipped
  assert most <= workers


def test_splits_may_be_asked_for_in_any_order():
  generators = sources.splits(NAMES, read, {}, to_example=features.clip_to_example, workers=3)
  backwards = {split: list(generators[split]) for split in reversed(generators)}
  assert_same({split: backwards[split] for split in generators}, run()[0])


def test_what_is_not_the_files_fault_ends_the_build():
  def fail(name):
    if name == "a5":
      raise OSError("the file server is gone")
    return read(name)

  with pytest.raises(OSError, match="file server is gone"):
    run(fail, workers=3)
  with pytest.raises(ValueError, match="none of 10 files could be read; the first: a1 is broken"):
    run(lambda name: read("b1") if name != "a1" else read("a1"), workers=3)


@pytest.mark.parametrize("where", ["a2", "a5"])  # before the first example is asked for, and after
def test_the_progress_bar_ends_with_the_build(where, monkeypatch):
  bars, make = [], sources.tqdm.tqdm
  monkeypatch.setattr(sources.tqdm, "tqdm", lambda **options: bars.append(make(**options)) or bars[-1])

  def fail(name):
    if name == where:
      raise OSError("the disk is full")
    return read(name)

  with pytest.raises(OSError, match="disk is full"):
    run(fail)
  assert len(bars) == 1 and bars[0].disable  # tqdm's word for closed


def test_ahead_computes_at_most_so_many():
  begun: list[int] = []
  ask = threads.ahead(lambda item: begun.append(item) or item * item, list(range(10)), 3)
  assert begun == [] and ask(0) == 0
  for at in range(1, 10):
    assert ask(at) == at * at
    assert len(begun) <= at + 3
  assert sorted(begun) == list(range(10))


def keeping(tmp_path, reading_of):
  return resume.keep(tmp_path / "set" / "1.0.0", reading_of)


def break_off(tmp_path, reading_of, at="c2"):
  def reader(name):
    if name == at:
      raise KeyboardInterrupt
    return read(name)

  with pytest.raises(KeyboardInterrupt), keeping(tmp_path, reading_of):
    run(reader)


def test_what_was_read_before_a_break_is_not_read_again(tmp_path):
  (tmp_path / "raw").write_text("x")
  reading_of = {"options": {}, "files": tmp_path}  # the data set is built among them
  break_off(tmp_path, reading_of)
  names: list[str] = []
  with keeping(tmp_path, reading_of):
    resumed = run(lambda name: names.append(name) or read(name))
  assert_same(resumed[0], run()[0])
  assert resumed[1] == run()[1]
  assert set(names) == {"a1", "a3", "b1", "b2", "c2", "c3"}  # what failed is tried anew
  assert not list((tmp_path / "set").iterdir())


@pytest.mark.parametrize("change", ["options", "size", "time", "new file", "behind a link"])
def test_what_was_read_of_other_files_is_forgotten(change, tmp_path):
  raw = tmp_path / "raw"
  (raw / "deep").mkdir(parents=True)
  (tmp_path / "elsewhere").mkdir()
  (tmp_path / "elsewhere" / "take").write_text("x")
  (raw / "deep" / "link").symlink_to(tmp_path / "elsewhere")
  (raw / "deep" / "up").symlink_to(raw)
  (raw / "take").write_text("x")
  break_off(tmp_path, {"options": {"seed": 0}, "files": raw})
  if change == "size":
    (raw / "take").write_text("xx")
  elif change == "time":
    os.utime(raw / "take", (1, 1))
  elif change == "new file":
    (raw / "deep" / "other").write_text("")
  elif change == "behind a link":
    (tmp_path / "elsewhere" / "take").write_text("y" * 5)
  names: list[str] = []
  with keeping(tmp_path, {"options": {"seed": 1 if change == "options" else 0}, "files": raw}):
    run(lambda name: names.append(name) or read(name))
  assert set(names) == set(itertools.chain(*NAMES.values()))


def test_what_was_kept_by_halves_is_read_again(tmp_path):
  break_off(tmp_path, {})
  files = sorted((tmp_path / "set").glob("*/*.kept"))
  assert len(files) == 4
  for path in files:
    path.write_bytes(path.read_bytes()[:-30])
  with keeping(tmp_path, {}):
    assert_same(run()[0], run()[0])


def test_kept_files_run_nothing(tmp_path):
  break_off(tmp_path, {})
  for path in (tmp_path / "set").glob("*/*.kept"):
    path.write_bytes(b"cos\nsystem\n(S'touch " + os.fsencode(tmp_path / "ran") + b"'\ntR.")
  with keeping(tmp_path, {}):
    assert_same(run()[0], run()[0])
  assert not (tmp_path / "ran").exists()


def test_two_builds_of_one_data_set_do_not_meet(tmp_path):
  with (
    keeping(tmp_path, {}),
    pytest.raises(ValueError, match="1.0.0 is being built by another process"),
    keeping(tmp_path, {}),
  ):
    pass


def test_an_error_of_the_files_keeps_nothing(tmp_path):
  with pytest.raises(ValueError, match="none of 10"), keeping(tmp_path, {}):
    run(lambda name: read("b1"))
  assert not list((tmp_path / "set").iterdir())
