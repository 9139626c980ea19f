"""The runs of a study: those that are missing are trained, those that are there are reused."""

import json
import pathlib

from benchmarks.iso_study.settings import Settings, config
from jaxpose import checkpoint, experiment
from jaxpose import config as configs
from jaxpose.config import Config
from jaxpose.experiment import Trained
from jaxpose.train import loop


def runs(settings: Settings) -> dict[tuple[str, int], Trained]:
  """{(kind, seed): the trained run at its best checkpoint}, of all kinds that the rows need; it resumes what stopped.

  Raises ValueError when a folder holds a run of another config: its numbers would stand under a wrong name.
  """
  result = {}
  for seed in settings.seeds:
    for kind in settings.kinds:
      wanted, workdir = config(settings, kind, seed), settings.run_dir(kind, seed)
      _check_same(wanted, workdir)
      if wanted.num_steps not in checkpoint.steps(workdir):
        print(f"training {kind}, seed {seed}, for {wanted.num_steps} steps in {workdir}", flush=True)
        clips = (experiment.load_clips(c, settings.data_dir) for c in (wanted.train, wanted.validation))
        loop.train(wanted, workdir, *clips)
      result[kind, seed] = experiment.load(workdir)
  return result


def _check_same(wanted_config: Config, workdir: str) -> None:
  path = pathlib.Path(workdir) / "config.json"
  if not path.exists():
    return
  present, wanted = (configs.to_dict(c) for c in (configs.from_dict(json.loads(path.read_text())), wanted_config))
  different = [name for name in wanted if present[name] != wanted[name]]
  if different:
    lines = ", ".join(f"{n} is {present[n]!r} and not {wanted[n]!r}" for n in different)
    raise ValueError(f"{workdir} holds a run of another config: {lines}; choose another --workdir")
