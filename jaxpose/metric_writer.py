"""Scalar metrics to metrics.jsonl (one object a line) and to TensorBoard event files."""

import json
import os
import pathlib
from collections.abc import Mapping

import tensorboardX


class MetricWriter:
  """Appends scalars by step. A resumed run first cuts what lies after `resume_step`: the log has no doubles."""

  def __init__(self, workdir: str, resume_step: int = 0):
    folder = pathlib.Path(workdir)
    folder.mkdir(parents=True, exist_ok=True)
    self.path = folder / "metrics.jsonl"
    kept = [line for line in _lines(self.path) if line["step"] <= resume_step] if resume_step else []
    temporary = self.path.with_suffix(".tmp")
    temporary.write_text("".join(json.dumps(line) + "\n" for line in kept))
    os.replace(temporary, self.path)
    self._file = self.path.open("a")
    self._board = tensorboardX.SummaryWriter(str(folder / "tensorboard"), purge_step=resume_step + 1)

  def write(self, step: int, scalars: Mapping[str, float]) -> None:
    """Writes and flushes one line {"step": step, **scalars}."""
    self._file.write(json.dumps({"step": step, **{k: float(v) for k, v in scalars.items()}}) + "\n")
    self._file.flush()
    for name, value in scalars.items():
      self._board.add_scalar(name, float(value), step)

  def close(self) -> None:
    self._file.close()
    self._board.close()


def _lines(path: pathlib.Path) -> list[dict]:
  lines = []
  for text in path.read_text().splitlines() if path.exists() else []:
    try:
      lines.append(json.loads(text))
    except json.JSONDecodeError:  # the last line of a killed run may be cut
      continue
  return lines


def read(workdir: str) -> list[dict]:
  """The lines of a run's metrics.jsonl."""
  return _lines(pathlib.Path(workdir) / "metrics.jsonl")
