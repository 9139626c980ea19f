r"""How the game of ISO's joint training is balanced: one change a run, judged on the source alone.

python -m benchmarks.iso_balance --config=synthetic_iso --variant=published --data_dir=DIR [--steps=4000] [--seed=0]

A run trains configs/CONFIG.py with the variant's changes for --steps steps, appends its figures to --output (JSON), and
prints a row of docs/iso.md's table. The shares of target poses that the discriminator judges real are shown and take
no part in any choice.
"""

import json
import pathlib
import tempfile

from absl import flags

from benchmarks.iso_variants import CONFIGS, VARIANTS, build, figures
from jaxpose import config as configs
from jaxpose import experiment, metric_writer
from jaxpose.train import loop
from launch import app

_CONFIG = flags.DEFINE_enum("config", "synthetic_iso", list(CONFIGS), "Which joint training.")
_VARIANT = flags.DEFINE_enum("variant", "published", list(VARIANTS), "Which changes to it.")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Where launch.build_data put the data sets.", required=True)
_STEPS = flags.DEFINE_integer("steps", 4000, "Steps of training.")
_SEED = flags.DEFINE_integer("seed", 0, "Seed of training.")
_OUTPUT = flags.DEFINE_string("output", "benchmarks/results/iso_balance.json", "A JSON list that the run is added to.")


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
