"""Shards: one piece to the bit, streams whole, and what is refused."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from data_builders import build
from jaxpose import adaptation, experiment, runs, shards
from jaxpose.adapt import saved
from jaxpose.adapt.settings import AdaptConfig
from jaxpose.train import loop
from tests import helpers

CHEAP = dict(learning_rate=1e-3, copies=1, objective="cycle")
MODES = {
  "vanilla": AdaptConfig(mode="vanilla", num_steps=2, **CHEAP),
  "online": AdaptConfig(mode="online", stream="camera", every=2, **CHEAP),
  "video": AdaptConfig(mode="video", optimizer="gauss_newton", stream="subject", noise=2.0, prior_m=0.01),
}
COUNT = 3


@pytest.fixture(scope="module")
def places(tmp_path_factory):
  """A run of no training, and the data set that it is adapted to."""
  folder = tmp_path_factory.mktemp("run")
  build.build("synthetic_mocap", folder / "data", train=2, validation=1, target=3, frames=20)
  iso = dict(method="iso", method_options=dict(objective="cycle", discriminator_options=dict(width=8, blocks=0)))
  small = dict(model_options=dict(width=8, trunk_blocks=0, head_blocks=0), num_steps=1, log_every=1, eval_every=1)
  target = dict(target=dict(dataset="synthetic_mocap", splits=("target",), rig="fixed_four"))
  config = helpers.config(**iso, **small, targets=target)
  clips = experiment.load_training(config, str(folder / "data"))
  loop.train(config, str(folder / "w"), clips, clips["train"][:1], devices=jax.devices()[:1])
  return dict(workdir=str(folder / "w"), data_dir=str(folder / "data"))


def prepared(places):
  trained = experiment.load(places["workdir"])
  return trained, runs.prepare(trained, places["data_dir"])


def adapt_all(places, config, folder, count=COUNT):
  trained, task = prepared(places)
  for i in range(count):
    shards.adapt(trained, task, config, shards.Shard(i, count), str(folder / "OUT.json"), **places, show_progress=False)
  return sorted(folder.glob("OUT-*.npz"))


@pytest.mark.parametrize("mode", MODES)
def test_shards_are_one_piece(tmp_path, places, mode):
  config = MODES[mode]
  whole = runs.evaluate(experiment.load(places["workdir"]), places["data_dir"], adapt=config, show_progress=False)
  files = adapt_all(places, config, tmp_path)
  collected = shards.collect(files)
  assert [f.name for f in files] == [f"OUT-0000{i}-of-00003.npz" for i in range(COUNT)]
  assert collected["timing"]["instances"] == whole["timing"]["instances"]
  assert collected["fingerprint"] == whole["fingerprint"]
  rest = {n: v for n, v in whole.items() if n not in ("timing", "environment")}
  if mode == "vanilla":
    assert {n: collected[n] for n in rest} == rest  # every metric of every sequence, to the bit
  else:
    for name, value in whole["metrics"].items():
      assert collected["metrics"][name] == pytest.approx(value, rel=1e-3)


def test_no_stream_is_split_and_empty_shards_count(tmp_path, places):
  trained, task = prepared(places)
  assert len({c.subject for c in task.clips}) > 1
  for kind, name in (("subject", lambda c: c.subject), ("camera", lambda c: (c.subject, c.camera_id))):
    where = shards.of_clips(task.clips, 5, kind)
    owners: dict = {}
    for clip, shard in zip(task.clips, where):
      owners.setdefault(name(clip), set()).add(int(shard))
    assert all(len(own) == 1 for own in owners.values()) and (where >= 0).all() and (where < 5).all()
    # Which clips a shard has depends on no other clip.
    np.testing.assert_array_equal(shards.of_clips(task.clips[1:], 5, kind), where[1:])
  count = 40
  assert len(set(shards.of_clips(task.clips, count, "clip"))) < count
  empty = min(set(range(count)) - set(shards.of_clips(task.clips, count, "clip")))
  where = shards.Shard(empty, count), str(tmp_path / "OUT.json")
  assert shards.adapt(trained, task, MODES["vanilla"], *where, **places)
  assert not shards.adapt(trained, task, MODES["vanilla"], *where, **places)


def test_what_is_not_one_adaptation_is_refused(tmp_path, places):
  trained, task = prepared(places)
  files = adapt_all(places, MODES["vanilla"], tmp_path)
  with pytest.raises(ValueError, match=r"1 of 3 shards are missing: 1; run jaxpose adapt --shard=i/3"):
    shards.collect([files[0], files[2]])
  twin = tmp_path / "copy.npz"
  twin.write_bytes(files[1].read_bytes())
  with pytest.raises(ValueError, match=r"shard 1/3 is there twice, .*OUT-00001-of-00003.npz and .*copy.npz"):
    shards.collect([*files, twin])
  other = tmp_path / "other"
  for config, message in (
    (dataclasses.replace(MODES["vanilla"], num_steps=1), "adapt.num_steps: 1 against 2"),
    (dataclasses.replace(MODES["vanilla"], seed=1), "adapt.seed: 1 against 0"),
  ):
    mixed = adapt_all(places, config, other)
    with pytest.raises(ValueError, match=message):
      shards.collect([files[0], mixed[1], files[2]])
    for file in mixed:
      file.unlink()
  noisy = runs.prepare(trained, places["data_dir"], noise_px=3.0)
  out = str(tmp_path / "OUT.json")
  with pytest.raises(ValueError, match=r"OUT-00000-of-00003.npz is of another adaptation: noise_px: 0.0 against 3.0"):
    shards.adapt(trained, noisy, MODES["vanilla"], shards.Shard(0, 3), out, **places)
  moved = {n: f"{v}/nowhere" for n, v in places.items()}
  assert not shards.adapt(trained, task, MODES["vanilla"], shards.Shard(0, 3), out, **moved)  # places may differ


def test_a_damaged_shard_is_adapted_again(tmp_path, places):
  trained, task = prepared(places)
  files = adapt_all(places, MODES["vanilla"], tmp_path)
  before = files[1].read_bytes()
  for damaged in (before[: len(before) // 2], b"", before[:-100] + bytes(100)):
    files[1].write_bytes(damaged)
    with pytest.raises(ValueError, match="OUT-00001-of-00003.npz is damaged"):
      shards.collect(files)
    where = shards.Shard(1, 3), str(tmp_path / "OUT.json")
    assert shards.adapt(trained, task, MODES["vanilla"], *where, **places, show_progress=False)
  assert shards.collect(files)["metrics"]["mpjpe_mm"] > 0
  with pytest.raises(ValueError, match="no shards to collect"):
    shards.collect([])


def test_a_stream_that_was_killed_goes_on(tmp_path, places, monkeypatch):
  """At every save, what was done until then is on disk: killed there and begun again, the numbers are the same."""
  trained, task = prepared(places)
  monkeypatch.setattr(adaptation, "SAVED", 6)
  monkeypatch.setattr(adaptation, "LENGTH", 2)
  config, folder, clips = MODES["online"], str(tmp_path / "unfinished"), task.clips[:2]
  options = dict(devices=jax.devices()[:1])
  whole, _ = adaptation.adapt_clips(trained, clips, config, False, **options)
  original, count = saved.save, 0

  class Killed(Exception):
    pass

  def dies(*arguments):
    nonlocal count
    original(*arguments)
    count += 1
    raise Killed

  monkeypatch.setattr(saved, "save", dies)
  for attempt in range(20):
    try:
      again, _ = adaptation.adapt_clips(trained, clips, config, False, unfinished=folder, **options)
      break
    except Killed:
      assert count == attempt + 1
  assert count > 2
  for a, b in zip(whole, again):
    np.testing.assert_allclose(a, b, atol=1e-5)
  with pytest.raises(ValueError, match="instances: saved"):  # of another call
    adaptation.adapt_clips(trained, task.clips[2:4], config, False, unfinished=folder, **options)


@pytest.mark.parametrize("text", ["", "3", "3/3", "-1/3", "a/b", "1/0", "1/2/3"])
def test_what_is_no_shard_is_refused(text):
  with pytest.raises(ValueError, match=r"must be i/n with 0 <= i < n"):
    shards.parse(text)


def test_a_shard_says_what_it_is(tmp_path, places):
  (file,) = adapt_all(places, MODES["vanilla"], tmp_path, count=1)
  with np.load(file) as archive:
    described = json.loads(archive["described"].tobytes())
  assert shards.parse(" 2/7 ") == (2, 7)
  assert described["shard"] == 0 and described["shards"] == 1 and described["fingerprint"]["dataset"]
  assert [p.name for p in tmp_path.iterdir()] == ["OUT-00000-of-00001.npz"]
