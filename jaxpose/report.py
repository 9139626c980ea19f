"""Reports on disk and on screen: OUT.json written whole or not at all, fingerprints compared, tables printed."""

import json
import os
import pathlib
from collections.abc import Sequence

from jaxpose import whole_file

# Fields of a fingerprint that say which model was measured, and how it was made or adapted. They may differ between two
# numbers that are compared: that difference is what the comparison is about. Every other field must be equal.
MODEL_FIELDS = ("checkpoint_step", "seed", "model", "method", "codec", "adaptation", "mode", "objective", "selection")
# Of these, what a model saw: more frames than another, or the camera's calibration. It may differ, and is said.
SEEN_FIELDS = ("window", "overlap", "intrinsics")
MODEL_FIELDS += SEEN_FIELDS
# The bootstrap's settings move an interval by its own noise and never the number.
INTERVAL_FIELDS = ("bootstrap",)


def fingerprint_differences(a: dict, b: dict) -> dict[str, tuple]:
  """{field: (value in a, value in b)} for every field of two fingerprints that decides comparability and differs.

  A field that one of them lacks counts as different, with None in its place, unless the other's is None too.
  """
  fields = [f for f in {**a, **b} if f not in MODEL_FIELDS + INTERVAL_FIELDS]
  return {f: (a.get(f), b.get(f)) for f in fields if a.get(f) != b.get(f)}


def check_comparable(report_a: dict, report_b: dict) -> None:
  """Raises a ValueError that names each differing field, if two reports do not measure the same thing."""
  differences = fingerprint_differences(report_a["fingerprint"], report_b["fingerprint"])
  if differences:
    lines = (f"  {field}: {_json(a)} against {_json(b)}" for field, (a, b) in differences.items())
    raise ValueError(
      "these reports are not comparable, their fingerprints differ in\n"
      + "\n".join(lines)
      + "\nEvaluate both models with the same protocol, data and options."
    )


def seen_differently(report_a: dict, report_b: dict) -> str:
  """One line on what the model of one report saw and the other's did not; empty where they saw the same."""
  a, b = report_a["fingerprint"], report_b["fingerprint"]
  apart = [f"{f} {a.get(f, 'not known')} against {b.get(f, 'not known')}" for f in SEEN_FIELDS if a.get(f) != b.get(f)]
  return f"The models saw different things of the same frames: {', '.join(apart)}." if apart else ""


def write_json(path: str | os.PathLike, report: dict) -> None:
  """Writes a report so that `path` holds all of it or what it held before: temporary file, flush to disk, rename.

  Raises a ValueError if the report holds something that JSON has no word for, NaN among it; an OSError if the disk is
  full, and then leaves no temporary file.
  """
  try:
    text = json.dumps(report, indent=2, allow_nan=False) + "\n"
  except (TypeError, ValueError) as error:
    raise ValueError(f"cannot write {path}: {_first_unfit(report)} is not JSON ({error})") from error
  whole_file.write(path, text.encode())


def read_json(path: str | os.PathLike) -> dict:
  """A report written by `write_json`. Raises a ValueError if the file is missing, is not JSON or is not a report."""
  path = pathlib.Path(path)
  try:
    report = json.loads(path.read_text())
  except FileNotFoundError as error:
    raise ValueError(f"there is no report at {path}; jaxpose evaluate --output={path} writes one") from error
  except (UnicodeDecodeError, json.JSONDecodeError) as error:
    raise ValueError(f"{path} is not a report: it is not JSON ({error})") from error
  missing = [k for k in ("metrics", "fingerprint") if not isinstance(report, dict) or k not in report]
  if missing:
    raise ValueError(f"{path} is not a report: it has no {' and no '.join(missing)}")
  return report


def cell(report: dict, metric: str, digits: int = 1) -> str:
  """One number with its interval, `87.1 [85.0, 89.3]`; `-` where the report has none."""
  value = report["metrics"].get(metric)
  return number(value, report.get("intervals", {}).get(metric), digits)


def number(value: float | int | None, interval: Sequence | None = None, digits: int = 1) -> str:
  """`87.1 [85.0, 89.3]`, or `87.1` without an interval, or `-` without a value."""
  if value is None:
    return "-"
  text = f"{value:.{digits}f}"
  if interval is None or None in interval:
    return text
  low, high = interval
  return f"{text} [{low:.{digits}f}, {high:.{digits}f}]"


def table(
  rows: dict[str, dict], metrics: Sequence[str] | None = None, *, markdown: bool = False, digits: int = 1
) -> str:
  """Reports as a table: a row a report, a column a metric, each number with its interval.

  `metrics` defaults to those of the first report, in its order. Plain text with aligned columns, or Markdown. It prints
  whatever it is given: run `check_comparable` on the rows first.
  """
  if not rows:
    raise ValueError("a table needs at least one report, got none")
  metrics = list(next(iter(rows.values()))["metrics"]) if metrics is None else list(metrics)
  return grid([["", *metrics], *([n, *(cell(r, m, digits) for m in metrics)] for n, r in rows.items())], markdown)


def grid(lines: Sequence[Sequence[str]], markdown: bool = False) -> str:
  """Lines of cells, the first one the heading, as a table whose first column is text and whose others are numbers."""
  widths = [max(len(c) for c in column) for column in zip(*lines)]
  padded = [[line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:]))] for line in lines]
  if not markdown:
    return "\n".join("  ".join(line).rstrip() for line in padded)
  rule = ["-" * max(widths[0], 3), *("-" * max(w - 1, 2) + ":" for w in widths[1:])]
  return "\n".join(f"| {' | '.join(line)} |" for line in (padded[0], rule, *padded[1:]))


def summary(report: dict) -> str:
  """One line for under a number: what was scored, from what input, with which help."""
  f = report["fingerprint"]
  return ", ".join(
    (
      f"protocol {f['protocol']} v{f['protocol_version']}",
      f"{f['dataset']} {f['split']}",
      f"{f['frames']} frames of {f['sequences']} sequences",
      f"2D {f['keypoints_source']}",
      f"flip averaging {'on' if f['flip_averaging'] else 'off'}",
      f"oracles {' '.join(f['oracles']) or 'none'}",
      f"step {f['checkpoint_step']}, seed {f['seed']}",
    )
  )


def _json(value: object) -> str:
  return short(json.dumps(value, default=str), 100)


def short(text: str, length: int) -> str:
  """The text, cut to `length` characters."""
  return text if len(text) <= length else f"{text[: length - 3]}..."


def _first_unfit(value, where: str = "report") -> str:
  """Where in a nested report the first thing that JSON cannot hold stands."""
  inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else ()
  for key, item in inside:
    try:
      json.dumps(item, allow_nan=False)
    except (TypeError, ValueError):
      return _first_unfit(item, f"{where}[{key!r}]")
  return f"{where} = {value!r}"
