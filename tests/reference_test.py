"""The reference recipe at a tiny size, twice, and what is said of numbers that differ."""

import copy
import json

import pytest

from data_builders import build
from jaxpose import reference
from tests import helpers

_BUILT = dict(train=2, validation=1, target=2, frames=40)


@pytest.fixture(scope="module")
def twice(tmp_path_factory):
  """(config, data's folder, folders, reports) of two runs of one recipe."""
  data_dir = tmp_path_factory.mktemp("data")
  build.build("synthetic_mocap", data_dir, **_BUILT)
  data = {s: dict(dataset="synthetic_mocap", splits=(s,), rig="fixed_four") for s in ("train", "validation")}
  config = helpers.config(
    train=data["train"], validation=data["validation"], targets=dict(new=data["validation"]), num_steps=30,
    log_every=10, eval_every=30,
  )  # fmt: skip
  folders = [tmp_path_factory.mktemp(name) for name in ("first", "second")]
  return config, folders, [reference.run(config, str(data_dir), folder, "new", 20) for folder in folders]


def test_two_runs_are_bit_equal_and_the_exported_program_scores_as_its_run(twice):
  config, _, reports = twice
  now, before = (reference.collected(config, {0: r}) for r in reports)
  verdicts = reference.compared(now, before)
  assert [(told, ok) for _, told, ok in verdicts] == [("bit-equal", True)] * 3
  metrics = now["seeds"]["0"]
  assert abs(metrics["trained"]["mpjpe_mm"] - metrics["exported"]["mpjpe_mm"]) < 0.01
  assert metrics["trained"]["mpjpe_mm"] != metrics["adapted"]["mpjpe_mm"]


def test_the_page_has_all_of_it(twice, tmp_path):
  config, folders, reports = twice
  now = reference.collected(config, {0: reports[0]})
  reference.page(tmp_path / "index.html", now, reports[0], reference.compared(now, now), folders[0], "40 frames")
  text = (tmp_path / "index.html").read_text()
  for part in ("Preprocessing", "40 frames", "mpjpe_mm", "bit-equal", "jaxlib", "seed 0", "protocol generic"):
    assert part in text
  assert text.count("data:image/png;base64,") == 3 and "<script" not in text


def stored(values):
  """Results of another machine whose MPJPE by seed are these."""
  rows = {str(s): {row: {"mpjpe_mm": v} for row in reference.ROWS} for s, v in enumerate(values)}
  return dict(recipe={"a": 1}, scored=["x"], machine={"platform": "other"}, versions={"jax": "0"}, seeds=rows)


def test_elsewhere_a_number_must_lie_in_the_interval_of_stored_seeds():
  """Of 10, 11, 12, 13, 14: 12 -+ 2.776 sqrt(2.5) sqrt(1.2)."""
  low, high = reference.interval([10, 11, 12, 13, 14])
  assert abs(low - (12 - 2.776445 * 2.5**0.5 * 1.2**0.5)) < 1e-3 and abs(low + high - 24) < 1e-9
  before = stored([10, 11, 12, 13, 14])
  for value, holds in ((16.7, True), (16.9, False)):
    now = {**stored([value]), "machine": {"platform": "here"}}
    assert [ok for _, _, ok in reference.compared(now, before)] == [holds] * 3
  here = copy.deepcopy(before)
  here["seeds"]["0"]["adapted"]["mpjpe_mm"] += 1e-9
  assert [ok for _, _, ok in reference.compared(here, before)].count(False) == 1


def test_what_cannot_be_compared_is_named(tmp_path):
  with pytest.raises(ValueError, match="the stored results have another recipe"):
    reference.compared({**stored([1]), "recipe": {}}, stored([1]))
  with pytest.raises(ValueError, match="2 stored seeds give no interval"):
    reference.compared({**stored([1]), "machine": {}}, stored([1, 2]))
  (tmp_path / "x.json").write_text(json.dumps({"recipe": 1}))
  for name, message in (("x.json", "it has no 'scored'"), ("y.json", "No such file")):
    with pytest.raises(ValueError, match=message):
      reference.read(str(tmp_path / name))
