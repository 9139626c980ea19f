r"""How the game of ISO's joint training is balanced: one change a run, judged on the source alone.

python -m benchmarks.iso_balance --config=synthetic_iso --variant=published --data_dir=DIR [--steps=4000] [--seed=0]

A run trains configs/CONFIG.py with the variant's changes for --steps steps, appends its figures to --output (JSON), and
prints a row of docs/iso.md's table. The shares of target poses that the discriminator judges real are shown and take
no part in any choice.
"""

import json
import pathlib
import tempfile

import numpy as np
from absl import flags
from ml_collections import ConfigDict

from benchmarks.iso_variants import SIZES, VARIANTS
from configs import cmu_iso, synthetic_iso
from jaxpose import config as configs
from jaxpose import experiment, metric_writer
from jaxpose.train import loop
from launch import app

CONFIGS = {"synthetic_iso": synthetic_iso, "cmu_iso": cmu_iso}

_CONFIG = flags.DEFINE_enum("config", "synthetic_iso", list(CONFIGS), "Which joint training.")
_VARIANT = flags.DEFINE_enum("variant", "published", list(VARIANTS), "Which changes to it.")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Where launch.build_data put the data sets.", required=True)
_STEPS = flags.DEFINE_integer("steps", 4000, "Steps of training.")
_SEED = flags.DEFINE_integer("seed", 0, "Seed of training.")
_OUTPUT = flags.DEFINE_string("output", "benchmarks/results/iso_balance.json", "A JSON list that the run is added to.")


def build(name: str, variant: str) -> ConfigDict:
  """configs/NAME.py as published, with the variant's changes."""
  config = changed(CONFIGS[name].get_config("published"), VARIANTS[variant])
  if lift := config.method_options.get("lift"):
    config = changed(config, {"method_options": {"size": SIZES[name][lift]}})
  return config


def changed(config: ConfigDict, changes: dict) -> ConfigDict:
  """The config with nested changes, which may add options that the config leaves at their defaults."""
  with config.unlocked():
    for key, value in changes.items():
      if isinstance(value, dict):
        config[key] = changed(config.get(key, ConfigDict()), value)
      else:
        config[key] = value
  return config


def figures(lines: list[dict], steps: int) -> dict:
  """What the rule looks at, from a run's log: the discriminator over the second half, both heads at the end."""
  trained = [line for line in lines if "train/loss" in line]
  validated = [line for line in lines if "validation/mpjpe_mm" in line]
  late = [line["train/discriminator_accuracy"] for line in trained if line["step"] > steps // 2]
  last = {k.removeprefix("validation/"): round(v, 4) for k, v in validated[-1].items() if k != "step"}
  curve = lambda rows, name: [[r["step"], round(r[name], 4)] for r in rows if name in r]  # noqa: E731
  return {
    "accuracy": {"least": min(late), "mean": float(np.mean(late)), "most": max(late)},
    "generator": float(np.mean([line["train/generator"] for line in trained if line["step"] > steps // 2])),
    "cycle_3d": trained[-1].get("train/cycle_3d"),
    "ratio": last["self_supervised_mpjpe_mm"] / last["mpjpe_mm"],
    **last,
    "curves": {
      "accuracy": curve(trained, "train/discriminator_accuracy"),
      "real_judged_real": curve(trained, "train/real_judged_real"),
      "mpjpe_mm": curve(validated, "validation/mpjpe_mm"),
      "self_supervised_mpjpe_mm": curve(validated, "validation/self_supervised_mpjpe_mm"),
    },
  }


def main() -> None:
  raw = build(_CONFIG.value, _VARIANT.value)
  raw.update(num_steps=_STEPS.value, seed=_SEED.value, log_every=100, eval_every=1000, eval_max_frames=4000)
  config = configs.from_dict(raw)
  clips = {name: experiment.load_clips(getattr(config, name), _DATA_DIR.value) for name in ("train", "validation")}
  watched = {name: experiment.load_clips(data, _DATA_DIR.value) for name, data in config.targets.items()}
  with tempfile.TemporaryDirectory() as workdir:
    loop.train(config, workdir, clips["train"], clips["validation"], watched=watched)
    run = figures(metric_writer.read(workdir), _STEPS.value)
  about = {"config": _CONFIG.value, "variant": _VARIANT.value, "steps": _STEPS.value, "seed": _SEED.value}
  path = pathlib.Path(_OUTPUT.value)
  path.parent.mkdir(parents=True, exist_ok=True)
  kept = json.loads(path.read_text()) if path.exists() else []
  kept = [r for r in kept if any(r[k] != v for k, v in about.items())]
  runs = [*kept, {**about, "changes": VARIANTS[_VARIANT.value], **run}]
  path.write_text("[\n" + ",\n".join(json.dumps(r) for r in runs) + "\n]\n")  # a run a line
  print(row({**about, **run}))


def row(run: dict) -> str:
  accuracy = run["accuracy"]
  shares = ", ".join(f"{100 * v:.0f}" for k, v in run.items() if k.endswith("_judged_real"))
  return (
    f"| {run['config']} | {run['variant']} | {run['seed']} | {accuracy['least']:.2f} to {accuracy['most']:.2f} | "
    f"{run['generator']:.1f} | {run['mpjpe_mm']:.1f} | {run['self_supervised_mpjpe_mm']:.1f} | {run['ratio']:.2f} | "
    f"{shares} |"
  )


if __name__ == "__main__":
  app.run(main)
