"""Reports on disk and on screen."""

import errno
import json

import pytest

from jaxpose import report

FINGERPRINT = {
  "protocol": "h36m",
  "flip_averaging": True,
  "checkpoint_step": 5,
  "bootstrap": {"seed": 0},
  "codec": None,
}
REPORT = {
  "metrics": {"mpjpe_mm": 87.12, "pck_150": 83.6, "mpjve_mm": None},
  "intervals": {"mpjpe_mm": [85.0, 89.31], "pck_150": None, "mpjve_mm": None},
  "fingerprint": FINGERPRINT,
}


def test_round_trip_into_a_new_folder(tmp_path):
  path = tmp_path / "new" / "OUT.json"
  report.write_json(path, REPORT)
  assert report.read_json(path) == REPORT
  report.write_json(str(path), {**REPORT, "metrics": {}})
  assert report.read_json(str(path))["metrics"] == {}
  assert [p.name for p in path.parent.iterdir()] == ["OUT.json"]


def test_a_full_disk_leaves_the_old_report_and_nothing_else(tmp_path, monkeypatch):
  path = tmp_path / "OUT.json"
  report.write_json(path, REPORT)

  def full(descriptor):
    raise OSError(errno.ENOSPC, "No space left on device")

  monkeypatch.setattr(report.os, "fsync", full)
  with pytest.raises(OSError, match="No space left"):
    report.write_json(path, {**REPORT, "metrics": {}})
  assert report.read_json(path) == REPORT
  assert [p.name for p in tmp_path.iterdir()] == ["OUT.json"]


@pytest.mark.parametrize(
  "value, where", [(float("nan"), r"report\['metrics'\]\['x'\]\[1\] = nan"), ({1, 2}, r"\[1\] = \{1, 2\}")]
)
def test_what_json_cannot_hold_is_named_and_nothing_is_written(tmp_path, value, where):
  with pytest.raises(ValueError, match=where):
    report.write_json(tmp_path / "OUT.json", {"metrics": {"x": [0, value]}, "fingerprint": {}})
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
  "text, message",
  [
    (None, "there is no report at"),
    ("{", "it is not JSON"),
    ("[1]", "it has no metrics and no fingerprint"),
    ('{"metrics": {}}', "it has no fingerprint"),
  ],
)
def test_what_is_not_a_report_is_refused(tmp_path, text, message):
  path = tmp_path / "OUT.json"
  if text is not None:
    path.write_text(text)
  with pytest.raises(ValueError, match=message):
    report.read_json(path)


@pytest.mark.parametrize("field", report.MODEL_FIELDS + report.INTERVAL_FIELDS)
def test_the_model_may_differ(field):
  other = {**REPORT, "fingerprint": {**FINGERPRINT, field: "another"}}
  assert report.fingerprint_differences(FINGERPRINT, other["fingerprint"]) == {}
  report.check_comparable(REPORT, other)


@pytest.mark.parametrize("field, value", [("protocol", "generic"), ("flip_averaging", False), ("rig", "sphere")])
def test_nothing_else_may(field, value):
  other = {**REPORT, "fingerprint": {**FINGERPRINT, field: value}}
  assert report.fingerprint_differences(FINGERPRINT, other["fingerprint"]) == {field: (FINGERPRINT.get(field), value)}
  for a, b in ((REPORT, other), (other, REPORT)):
    with pytest.raises(ValueError, match=f"not comparable.*\n  {field}: .* against "):
      report.check_comparable(a, b)


def test_a_long_value_is_cut():
  other = {**REPORT, "fingerprint": {**FINGERPRINT, "dropped": {str(i): "" for i in range(1000)}}}
  with pytest.raises(ValueError, match="not comparable") as error:
    report.check_comparable(REPORT, other)
  assert len(str(error.value)) < 400


def test_table_is_aligned():
  rows = {"baseline": REPORT, "iso": {**REPORT, "metrics": {"mpjpe_mm": 101.0, "pck_150": 7}}}
  assert report.table(rows, ["mpjpe_mm", "pck_150", "mpjve_mm"]).split("\n") == [
    "                    mpjpe_mm  pck_150  mpjve_mm",
    "baseline   87.1 [85.0, 89.3]     83.6         -",
    "iso       101.0 [85.0, 89.3]      7.0         -",
  ]


def test_markdown_table():
  lines = report.table({"iso": REPORT}, markdown=True).split("\n")
  assert lines == [
    "|     |          mpjpe_mm | pck_150 | mpjve_mm |",
    "| --- | ----------------: | ------: | -------: |",
    "| iso | 87.1 [85.0, 89.3] |    83.6 |        - |",
  ]


def test_table_options():
  assert report.table({"a": REPORT}, ["pck_150"], digits=3).endswith("83.600")
  assert report.cell({"metrics": {"auc": 1.25}}, "auc", 2) == "1.25"
  with pytest.raises(ValueError, match="at least one report"):
    report.table({})


def test_file_is_plain_json(tmp_path):
  report.write_json(tmp_path / "OUT.json", REPORT)
  assert json.loads((tmp_path / "OUT.json").read_text()) == REPORT
