"""The reference recipe: a run is trained, scored, adapted and exported, the exported program scored, all on one page.

What was measured is compared with stored results of the same recipe: bit by bit where machine and versions are the
same, else by the interval in which a further seed's number is expected.
"""

import base64
import html
import importlib.metadata
import json
import pathlib
import platform
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from scipy import stats

from jaxpose import config as configs
from jaxpose import experiment, four_rows, metric_writer, plot, report, runs, whole_file
from jaxpose.config import Config
from jaxpose.data import source
from jaxpose.graphs import bundle
from jaxpose.train import loop

ROWS = ("trained", "adapted", "exported")
_PACKAGES = ("jaxpose", "jax", "jaxlib", "flax", "optax", "numpy")
_LEVEL = 0.95


def run(config: Config, data_dir: str, folder: pathlib.Path, target: str, stride: int) -> dict[str, dict[str, Any]]:
  """The reports of one seed, by ROWS; writes the run, `lift.jaxpose`, curves.png, gallery.png and intervals.png."""
  workdir, one = str(folder / "run"), jax.local_devices()[:1]  # how many there are moves numbers by rounding
  validation = experiment.load_clips(config.validation, data_dir)
  loop.train(config, workdir, experiment.load_training(config, data_dir), validation, devices=one)
  trained = experiment.load(workdir)
  name, data, clips = runs.load_target(trained, data_dir, target, stride)
  adapt = runs.RECOMMENDED["online"]
  bundle.write(folder / "lift.jaxpose", trained, bundle.recipe())
  windows: dict[str, int] = dict(window=config.window, overlap=config.overlap)
  predictions = {
    "trained": runs.predict(trained, clips)[0],
    "adapted": runs.predict(trained, clips, adapt=adapt, devices=one)[0],
    "exported": bundle.predict(folder / "lift.jaxpose", clips, **windows),
  }
  reports = {}
  for row, poses in predictions.items():
    options: dict[str, Any] = dict(
      adapt=adapt if row == "adapted" else None, built=source.facts(data.dataset, data_dir)
    )
    reports[row] = runs.score(trained, name, data, clips, poses, **options)
  four_rows.pictures(str(folder), clips, predictions, reports)
  lines = [line for line in metric_writer.read(workdir) if "train/loss" in line]
  plot.curves({"loss": ([x["step"] for x in lines], [x["train/loss"] for x in lines])}, folder / "curves.png")
  return reports


def collected(config: Config, seeds: Mapping[int, Mapping[str, dict[str, Any]]]) -> dict[str, Any]:
  """What is stored: the recipe, the machine, the versions, and each seed's metrics by row."""
  settings = {name: value for name, value in configs.to_dict(config).items() if name != "seed"}
  measured = {str(seed): {row: result["metrics"] for row, result in reports.items()} for seed, reports in seeds.items()}
  frames = {report["fingerprint"]["scored_sha256"] for reports in seeds.values() for report in reports.values()}
  machine = {"platform": platform.platform(), "processor": _processor(), "device": jax.devices()[0].device_kind}
  versions = {name: importlib.metadata.version(name) for name in _PACKAGES}
  result = dict(recipe=settings, scored=sorted(frames), machine=machine, versions=versions, seeds=measured)
  return json.loads(json.dumps(result))


def _processor() -> str:
  try:
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
  except OSError:
    return platform.processor()
  return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def compared(now: dict[str, Any], stored: dict[str, Any]) -> list[tuple[str, str, bool]]:
  """(seed and row, what the comparison says, whether it holds) for each number of now, MPJPE in mm.

  Raises ValueError where recipe or scored frames differ: such numbers are not comparable.
  """
  for field in ("recipe", "scored"):
    if now[field] != stored.get(field):
      raise ValueError(
        f"the stored results have another {field}; give --stored= of this recipe, or --store to begin one"
      )
  same = all(now[field] == stored[field] for field in ("machine", "versions"))
  verdicts = []
  for seed, rows in now["seeds"].items():
    for row, metrics in rows.items():
      before, value = stored["seeds"].get(seed, {}).get(row), metrics["mpjpe_mm"]
      if same and before is not None:
        equal = before == metrics
        verdicts.append(
          (f"seed {seed}, {row}", "bit-equal" if equal else f"{value!r} against {before['mpjpe_mm']!r}", equal)
        )
        continue
      low, high = interval([other[row]["mpjpe_mm"] for other in stored["seeds"].values()])
      verdicts.append((f"seed {seed}, {row}", f"{value:.2f} mm in [{low:.2f}, {high:.2f}]", low <= value <= high))
  return verdicts


def interval(values: Sequence[float | int]) -> tuple[float, float]:
  """Where one more value of the same normal distribution lies with 95 %: mean -+ t s sqrt(1 + 1/n).

  Raises ValueError for fewer than three values.
  """
  count = len(values)
  if count < 3:
    raise ValueError(f"{count} stored seeds give no interval; store three or more, by --seeds=5 --store")
  half = stats.t.ppf((1 + _LEVEL) / 2, count - 1) * np.std(values, ddof=1) * np.sqrt(1 + 1 / count)
  return float(np.mean(values) - half), float(np.mean(values) + half)


def read(path: str) -> dict[str, Any]:
  """Stored results. Raises ValueError for a file that is missing or holds none."""
  try:
    stored = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
    missing = [name for name in ("recipe", "scored", "machine", "versions", "seeds") if name not in stored]
  except (OSError, ValueError, TypeError) as error:
    raise ValueError(f"{path} holds no stored results ({error}); --stored={path} --store writes them") from error
  if missing:
    raise ValueError(f"{path} holds no stored results: it has no {missing[0]!r}; --stored={path} --store writes them")
  return stored


def page(
  path: pathlib.Path,
  now: dict[str, Any],
  reports: Mapping[str, dict[str, Any]],
  verdicts: Sequence[tuple[str, str, bool]],
  pictures: pathlib.Path,
  built: str,
) -> None:
  """Writes the page: preprocessing, metrics, seeds, curves, pictures, versions; the pictures are inside of it.

  reports, pictures: of the first seed. built: what the data set's builder counted.
  """
  seeds = [[f"seed {s}", *(f"{rows[r]['mpjpe_mm']:.2f}" for r in ROWS)] for s, rows in now["seeds"].items()]
  parts = {
    "Data": built,
    "Preprocessing and training": json.dumps(now["recipe"], indent=1),
    "First seed, 95 % intervals over motions": report.table(dict(reports)),
    "Scored": report.summary(reports["trained"]),
    "MPJPE in mm by seed": report.grid([["", *ROWS], *seeds]),
    "Against stored results": "\n".join(f"{'ok ' if ok else 'NOT'} {name}: {outcome}" for name, outcome, ok in verdicts)
    or "nothing stored to compare with",
    "Machine and versions": json.dumps({**now["machine"], **now["versions"]}, indent=1),
  }
  text = "".join(f"<h2>{html.escape(name)}</h2><pre>{html.escape(value)}</pre>" for name, value in parts.items())
  for name in ("curves.png", "intervals.png", "gallery.png"):
    picture = base64.b64encode((pictures / name).read_bytes()).decode()
    text += f'<h2>{name[:-4]}</h2><img alt="{name[:-4]}" style="max-width:100%" src="data:image/png;base64,{picture}">'
  head = '<!doctype html><html lang="en"><meta charset="utf-8"><title>jaxpose: the reference recipe</title>'
  style = (
    "<style>body{font:15px sans-serif;max-width:70em;margin:2em auto}pre{overflow:auto;background:#f5f5f5}</style>"
  )
  whole_file.write(path, f"{head}{style}<h1>The reference recipe</h1>{text}</html>\n".encode())
