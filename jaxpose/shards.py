"""Adapting to more than one machine's worth of clips: independent processes adapt a shard each, `collect` scores them.

A shard is the clips of the streams whose names' hash says so: no stream is split, and which clips a shard has depends
on no other shard. It writes one file, whole or not at all, so that whatever was killed is begun again by starting all
shards once more: those whose files are there are skipped.
"""

import dataclasses
import functools
import json
import pathlib
import re
import shutil
import zipfile
import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from absl import logging

from jaxpose import adaptation, checkpoint, evaluate, experiment, runs, whole_file
from jaxpose import config as configs
from jaxpose.adapt.settings import MODES, AdaptConfig
from jaxpose.data.clip import Clip
from jaxpose.experiment import Trained

_PLACES = ("workdir", "data_dir")  # where things are, and not what they are: may differ from shard to shard


class Shard(NamedTuple):
  """The index-th (from 0) of `count` parts of the streams."""

  index: int
  count: int


def parse(text: str) -> Shard:
  """The shard of "i/n", 0 <= i < n; raises ValueError for any other text."""
  match = re.fullmatch(r"(\d+)/(\d+)", text.strip())
  shard = Shard(*map(int, match.groups())) if match else None
  if shard is None or shard.index >= shard.count:
    raise ValueError(f"shard {text!r} must be i/n with 0 <= i < n, as 0/20 for the first of 20")
  return shard


def path(output: str, shard: Shard) -> pathlib.Path:
  """The file of a shard of the report OUT.json: OUT-00003-of-00020.npz."""
  out = pathlib.Path(output)
  return out.with_name(f"{out.stem}-{shard.index:05d}-of-{shard.count:05d}.npz")


def of_clips(clips: Sequence[Clip], count: int, stream: str) -> np.ndarray:
  """The shard of each clip, int [len(clips)], from the name of the stream (`adaptation.stream_of`) that it is in."""
  names, owner = adaptation.stream_of(clips, np.arange(len(clips)), stream)
  return np.array([zlib.crc32(name.encode()) % count for name in names], int)[owner]


def adapt(
  trained: Trained,
  task: runs.Task,
  config: AdaptConfig,
  shard: Shard,
  output: str,
  *,
  workdir: str,
  data_dir: str,
  state_dir: str = "",
  show_progress: bool = True,
) -> bool:
  """Adapts to a shard's clips and writes their poses to `path(output, shard)`; False if that was there already.

  state_dir: of the online modes; each shard's streams are saved in a folder of its own in there. Raises ValueError if
  the file that is there is of another adaptation, and names the field.
  """
  if config.mode == "none":
    raise ValueError("mode 'none' adapts nothing, so there is nothing to share among shards; call evaluate")
  described = _describe(trained, task, config, shard) | {"workdir": workdir, "data_dir": data_dir}
  target = path(output, shard)
  if target.exists() and _is_done(target, described):
    return False
  mine = np.flatnonzero(of_clips(task.clips, shard.count, config.stream) == shard.index).tolist()
  poses, timing = [], {"instances": 0.0, "seconds": 0.0}
  unfinished = target.with_suffix(".unfinished")
  if len(mine):
    windows = evaluate.cut(task.clips, trained.config.window, valid_only=True, overlap=trained.config.overlap).clip
    options: dict[str, Any] = {"part": adaptation.Part(np.flatnonzero(np.isin(windows, mine)), len(windows))}
    if MODES[config.mode].streams and config.mode != "video":
      options["unfinished"] = str(unfinished)
      options["state_dir"] = str(pathlib.Path(state_dir) / f"{shard.index}-of-{shard.count}") if state_dir else ""
    factors = runs.factors(task)
    poses, timing = runs.predict(
      trained,
      [task.clips[c] for c in mine],
      adapt=config,
      show_progress=show_progress,
      factors=None if factors is None else [factors[c] for c in mine],
      **options,
    )
  described |= {"timing": timing, "environment": runs.environment()}
  joints = trained.codec.skeleton.num_joints
  arrays = {"poses": np.concatenate([np.zeros((0, joints, 3), np.float32), *poses]), "clips": np.array(mine, int)}
  with whole_file.writing(target) as temporary, temporary.open("wb") as file:
    np.savez(file, **arrays, described=np.frombuffer(json.dumps(described).encode(), np.uint8))
  shutil.rmtree(unfinished, ignore_errors=True)
  return True


def _describe(trained: Trained, task: runs.Task, config: AdaptConfig, shard: Shard) -> dict[str, Any]:
  """What must be equal of all shards of one adaptation, but for the index, and what `collect` makes the report of."""
  described = {
    "shard": shard.index,
    "shards": shard.count,
    "model": checkpoint.digest(trained.variables),
    "checkpoint_step": trained.step,
    "selection": trained.selection,
    "target": task.name,
    "data": dataclasses.asdict(task.data),
    "stride": task.stride,
    "noise_px": task.noise_px,
    "adapt": dataclasses.asdict(config),
    "fingerprint": {**runs.facts(trained, task, adapt=config), "protocol": task.protocol},
    "clips_sha256": checkpoint.digest([(c.name, len(c), c.valid, c.keypoints_2d) for c in task.clips]),
  }
  return json.loads(json.dumps(described))


def _read(file: pathlib.Path) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
  """(description, clips, poses) of a shard's file; raises ValueError if it is damaged or no shard's file."""
  try:
    with file.open("rb") as opened, np.load(opened, allow_pickle=False) as archive:
      described = json.loads(archive["described"].tobytes())
      return described, archive["clips"], archive["poses"]
  except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
    raise ValueError(f"{file} is damaged, or no file of jaxpose adapt --shard: {error}") from error


def _is_done(file: pathlib.Path, wanted: dict[str, Any]) -> bool:
  try:
    described, _, _ = _read(file)
  except ValueError as error:
    logging.warning("%s; the shard is adapted once more", error)
    return False
  if problems := _differences(described, wanted):
    raise ValueError(
      f"{file} is of another adaptation: {problems}. Remove it, or choose another --output, or the flags it came from"
    )
  return True


def _differences(there: dict[str, Any], here: dict[str, Any], where: str = "") -> str:
  """Where two descriptions differ, as "field: A against B"; empty where they do not."""
  apart = []
  for name in (n for n in here if n not in _PLACES):
    a, b = there.get(name), here[name]
    if isinstance(a, dict) and isinstance(b, dict):
      apart.append(_differences(a, {**dict.fromkeys(a), **b}, f"{where}{name}."))
    elif a != b:
      apart.append(f"{where}{name}: {json.dumps(a)[:80]} against {json.dumps(b)[:80]}")
  return "; ".join(filter(None, apart))


def collect(files: Sequence[pathlib.Path], workdir: str = "", data_dir: str = "") -> dict[str, Any]:
  """The report of all shards of an adaptation, with the numbers that adapting in one piece would have given.

  workdir, data_dir: where the run and its data are, if no longer where the first shard had them. Raises ValueError if a
  shard is missing, is there twice, or is damaged, or if one was adapted in another way, to other data or from other
  weights, naming the field.
  """
  read = {file: _read(file) for file in sorted(files)}
  if not read:
    raise ValueError("no shards to collect; --inputs=OUT-*.npz are the files that jaxpose adapt --shard=i/n wrote")
  (name, (first, _, _)), *others = read.items()
  for file, (described, _, _) in others:
    apart = {n: v for n, v in first.items() if n not in ("shard", "timing", "environment")}
    if problems := _differences(described, apart):
      raise ValueError(f"{file} and {name} are not of one adaptation: {problems}")
  _check_complete(first["shards"], {file: described["shard"] for file, (described, _, _) in read.items()})
  trained = experiment.load(workdir or first["workdir"], first["checkpoint_step"])
  trained = dataclasses.replace(trained, selection=first["selection"])
  target = first["target"], configs.data_config(first["data"])
  options: dict[str, Any] = {n: first[n] for n in ("stride", "noise_px")}
  options["protocol"] = first["fingerprint"]["protocol"]
  task = runs.prepare(trained, data_dir or first["data_dir"], target=target, **options)
  settings: dict[str, Any] = {**first["adapt"], "groups": tuple(first["adapt"]["groups"])}
  config = AdaptConfig(**settings)
  now = _describe(trained, task, config, Shard(first["shard"], first["shards"]))
  if problems := _differences(first, now):
    raise ValueError(f"the run or the data are no longer those of the shards: {problems}")
  poses: dict[int, np.ndarray] = {}
  for described, clips, frames in read.values():
    mine = np.flatnonzero(of_clips(task.clips, first["shards"], config.stream) == described["shard"]).tolist()
    if clips.tolist() != mine or len(frames) != sum(len(task.clips[c]) for c in mine):
      raise ValueError(f"shard {described['shard']} does not hold the poses of its clips; adapt it once more")
    poses |= dict(zip(mine, np.split(frames, np.cumsum([len(task.clips[c]) for c in mine])[:-1])))
  timing = _sum([described["timing"] for described, _, _ in read.values()])
  report = runs.report(trained, task, [poses[c] for c in range(len(task.clips))], timing, adapt=config)
  environments = [described["environment"] for described, _, _ in read.values()]
  return {**report, "environment": [e for i, e in enumerate(environments) if e not in environments[:i]]}


def _check_complete(count: int, index: dict[pathlib.Path, int]) -> None:
  by_index: dict[int, pathlib.Path] = {}
  for file, number in index.items():
    if number in by_index:
      raise ValueError(f"shard {number}/{count} is there twice, {by_index[number]} and {file}; remove one of them")
    by_index[number] = file
  if missing := [str(i) for i in range(count) if i not in by_index]:
    shown = ", ".join(missing[:10]) + (f" and {len(missing) - 10} more" if len(missing) > 10 else "")
    raise ValueError(
      f"{len(missing)} of {count} shards are missing: {shown}; run jaxpose adapt --shard=i/{count} again"
    )


def _sum(timings: Sequence[dict[str, float]]) -> dict[str, float]:
  """Instances and seconds of all shards together, and what is a share of the instances as their mean."""
  total = functools.reduce(lambda a, b: {n: a.get(n, 0.0) + b.get(n, 0.0) for n in {**a, **b}}, timings)
  if "unexplained" in total:
    total["unexplained"] = sum(t.get("unexplained", 0.0) * t["instances"] for t in timings) / total["instances"]
  return {**total, "seconds_per_instance": total["seconds"] / max(total["instances"], 1.0)}
