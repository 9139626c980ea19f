"""What a study is asked to do, and which runs it is about."""

import dataclasses
import os
from typing import Any

from benchmarks.iso_study.methods import METHODS
from configs import cmu_baseline, cmu_iso, synthetic_baseline, synthetic_iso
from jaxpose import config as configs
from jaxpose.config import Config

# name: (config of the baseline, config of joint training, whether the motion is simulated)
BENCHMARKS = {
  "cmu": (cmu_baseline, cmu_iso, False),
  "synthetic": (synthetic_baseline, synthetic_iso, True),
}
OBJECTIVES = {"joint_adversary": "adversary", "joint_cycle": "cycle"}
NOISE_PX = (0.0, 5.0, 10.0)  # the paper's Table 5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
  """stride: every n-th frame of the targets is scored. stream_stride: online modes see every n-th frame, and are scored
  on the same frames as the rest. rows: the methods that tables and figures are about; what needs others leaves them
  out. sweep_seeds: how many of the seeds the sweeps of Figure 4 take. sweep_stride: they score, and their online modes
  see, every n-th of the frames that the tables do.
  """

  benchmark: str
  data_dir: str
  workdir: str
  seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
  stride: int = 96
  stream_stride: int = 8
  rows: tuple[str, ...] = tuple(METHODS)
  sweep_seeds: int = 1
  sweep_stride: int = 4
  num_steps: int | None = None  # of training; the configs' own when None

  def __post_init__(self):
    if self.benchmark not in BENCHMARKS:
      raise ValueError(f"unknown benchmark {self.benchmark!r}; known are {', '.join(BENCHMARKS)}")
    if not self.seeds or len(set(self.seeds)) != len(self.seeds):
      raise ValueError(f"seeds={self.seeds}; give each seed once, as in --seeds=0,1,2")
    if self.stride < 1 or self.stream_stride < 1 or self.stride % self.stream_stride:
      raise ValueError(
        f"stride={self.stride} must be a multiple of stream_stride={self.stream_stride}: the frames that are scored "
        "must be among those that the online modes see"
      )
    unknown = [r for r in self.rows if r not in METHODS]
    if unknown or len(set(self.rows)) != len(self.rows):
      raise ValueError(f"rows={', '.join(self.rows)}; give some of {', '.join(METHODS)}, each once")
    if "Baseline" not in self.rows:
      raise ValueError(f"rows={', '.join(self.rows)} need Baseline, which every other row is compared with")
    if self.sweep_stride < 1:
      raise ValueError(f"sweep_stride={self.sweep_stride} must be 1 or more")
    if not 1 <= self.sweep_seeds <= len(self.seeds):
      raise ValueError(f"sweep_seeds={self.sweep_seeds} must be between 1 and the number of seeds, {len(self.seeds)}")
    if self.num_steps is not None and self.num_steps < 100:
      raise ValueError(f"num_steps={self.num_steps}; train for 100 steps at least")

  @property
  def synthetic(self) -> bool:
    """Whether the motion is simulated."""
    return BENCHMARKS[self.benchmark][2]

  @property
  def kinds(self) -> tuple[str, ...]:
    """The kinds of runs that the rows start from."""
    return tuple(dict.fromkeys(METHODS[r].run for r in METHODS if r in self.rows))

  def run_dir(self, kind: str, seed: int) -> str:
    return os.path.join(self.workdir, f"{kind}_{seed}")


def config(settings: Settings, kind: str, seed: int) -> Config:
  """The config of one run: the config file's, with its seed and, in joint training, its objective."""
  baseline, joint, _ = BENCHMARKS[settings.benchmark]
  values: Any = (baseline if kind == "baseline" else joint).get_config()
  values.seed = seed
  if kind != "baseline":
    values.method_options.objective = OBJECTIVES[kind]
  if settings.num_steps is not None:
    values.num_steps = settings.num_steps
    values.log_every = min(values.log_every, settings.num_steps)
    values.eval_every = min(values.eval_every, settings.num_steps // values.log_every * values.log_every)
  return configs.from_dict(values)
