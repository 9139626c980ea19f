"""Compares two reports of launch.evaluate or launch.adapt: jaxpose compare A.json B.json

  jaxpose compare adapted.json plain.json

Refuses reports whose fingerprints differ in anything but the model, and says in which field. A lifter of single frames
and one of clips may be compared on the same frames; that one saw more is said. Else prints both, and
the paired difference A - B of every metric with its 95 % interval over sequences.
"""

import sys
from collections.abc import Sequence

from absl import app, flags

from jaxpose import bootstrap, report

_METRICS = flags.DEFINE_list("metrics", None, "Metrics to print; all that both reports have, by default.")
_MARKDOWN = flags.DEFINE_bool("markdown", False, "Print Markdown tables.")
_RESAMPLES = flags.DEFINE_integer("resamples", 1000, "Resamples of the bootstrap.", lower_bound=1)
_SEED = flags.DEFINE_integer("seed", 0, "Seed of the bootstrap.")


def main(argv: Sequence[str]) -> None:
  # Not launch.app's: that one refuses arguments that are not flags.
  if len(argv) != 3:
    print(f"error: expected two reports, A.json B.json, got {list(argv[1:])}", file=sys.stderr)
    sys.exit(2)
  options = dict(markdown=_MARKDOWN.value, seed=_SEED.value, resamples=_RESAMPLES.value)
  try:
    print(compare(argv[1], argv[2], _METRICS.value, **options))
  except (ValueError, OSError) as error:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(1)


def compare(
  path_a: str, path_b: str, metrics: Sequence[str] | None, *, markdown: bool, seed: int, resamples: int
) -> str:
  """The text that the command prints; `bootstrap.paired_difference` says what the interval is."""
  a, b = report.read_json(path_a), report.read_json(path_b)
  report.check_comparable(a, b)
  metrics = metrics or [m for m in a["metrics"] if m in b["metrics"]]
  lines = [["A - B", "difference", "A better in"]]
  for metric in metrics:
    paired = bootstrap.paired_difference(a, b, metric, seed=seed, resamples=resamples)
    # Errors (in mm) are better when lower, PCK and AUC when higher.
    better = [d < 0 if "_mm" in metric else d > 0 for d in paired["per_sequence"].values()]
    difference = report.number(paired["difference"], (paired["low"], paired["high"]), digits=2)
    lines.append([metric, difference, f"{sum(better)} of {len(better)} sequences"])
  rows = {f"A {path_a}": a, f"B {path_b}": b}
  tables = (report.table(rows, metrics, markdown=markdown), report.grid(lines, markdown), report.seen_differently(a, b))
  return "\n\n".join(filter(None, tables))


if __name__ == "__main__":
  app.run(main)
