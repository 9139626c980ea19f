"""How fast data sets are built, and how long the published ones would take:

python -m benchmarks.build_speed --output=OUT.json [--datasets=human36m/official,lsp/lsp]

Each data set's fixture is written larger than tests need it, and built as downloaded files are: read, encoded and
written, read back and counted. CPU time is that of all threads; where it is less than the wall clock, the machine was
busy with something else. Fixtures have the files' formats: a slow disk takes its own time besides.
"""

import functools
import os
import pathlib
import tempfile
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from absl import app, flags, logging

from data_builders import build, verification
from jaxpose import report

_OUTPUT = flags.DEFINE_string("output", None, "The JSON to write.", required=True)
_DATASETS = flags.DEFINE_list("datasets", [], "Which; all when empty.")


class Case(NamedTuple):
  """Options of the fixture, and how many frames the data set as published has."""

  fixture: Mapping[str, Any]
  published: int


# Published: totals of the builders' `checks`; of 3DPW and AMASS (40 hours at 60 Hz) only the order of size is known.
CASES = {
  "human36m/official": Case(dict(frames=3000, only={"S1": ("Walking 1", "Walking"), "S9": ("Walking 1",)}), 2_110_396),
  "human36m/cpn_ft_h36m_dbb": Case(
    dict(frames=3000, only={"S1": ("Walking 1", "Walking"), "S9": ("Walking 1",)}), 2_103_096
  ),
  "human36m/motionbert": Case(
    dict(frames=1500, only={"S1": ("Walking 1", "Walking"), "S9": ("Walking 1",)}), 2_126_672
  ),
  "mpi_inf_3dhp/univ": Case(dict(frames=1000, test_frames=1000), 1_077_624),
  "mpi_inf_3dhp/pstmo": Case(dict(frames=1000, test_frames=1000), 1_077_624),
  "pw3d/h36m_17": Case(dict(frames=600), 51_000),
  "pw3d/smpl_24": Case(dict(frames=600), 51_000),
  "amass_h36m": Case(dict(frames=1500), 8_600_000),
  "mpii": Case(dict(train=1500, test=300, images=0), 40_706),
  "lsp/lsp": Case(dict(people=2000, images=0), 2_000),
  "lsp/lspet": Case(dict(people=4000, images=0), 10_000),
}


def clocks() -> tuple[float, float]:
  return time.perf_counter(), time.process_time()


def measure(name: str, case: Case) -> dict[str, float]:
  """Seconds of one build of a large fixture, and of reading it back, on the wall clock and of all threads."""
  entry, config = build.find(name)
  with tempfile.TemporaryDirectory() as folder:
    raw = pathlib.Path(folder, "raw")
    write = functools.partial(entry.write_fixture, raw, **({"config": config} if entry.builder.BUILDER_CONFIGS else {}))
    write(**case.fixture)
    began = clocks()
    built = build.build(name, pathlib.Path(folder, "data"), raw)
    done = clocks()
    verification.examples_of(built.directory)
    counted = clocks()
  frames = sum(split.frames for split in built.splits.values())
  reading = counted[0] - done[0]
  wall, cpu = done[0] - began[0] - reading, done[1] - began[1] - (counted[1] - done[1])
  return {
    "frames": frames,
    "seconds": wall,
    "cpu_seconds": cpu,
    "frames_per_second": frames / wall,
    "published_minutes": (wall + reading) / frames * case.published / 60,
    "published_cpu_minutes": (cpu + counted[1] - done[1]) / frames * case.published / 60,
  }


def main(argv) -> None:
  del argv
  logging.set_verbosity(logging.ERROR)
  results: dict[str, Any] = {"cores": len(os.sched_getaffinity(0)), "builds": {}}
  for name in _DATASETS.value or CASES:
    measure(name, CASES[name]._replace(fixture={}))  # compiles and imports, outside the clock
    results["builds"][name] = measure(name, CASES[name])
  report.write_json(_OUTPUT.value, results)
  lines = [["data set", "frames built", "frames/s", "frames/s of CPU", "published frames", "minutes", "CPU minutes"]]
  for name, r in results["builds"].items():
    rates = f"{r['frames_per_second']:,.0f}", f"{r['frames'] / r['cpu_seconds']:,.0f}"
    whole = f"{CASES[name].published:,}", f"{r['published_minutes']:.1f}", f"{r['published_cpu_minutes']:.1f}"
    lines.append([name, f"{r['frames']:,.0f}", *rates, *whole])
  print(report.grid(lines, markdown=True))
  print(f"cores: {results['cores']}")


if __name__ == "__main__":
  app.run(main)
