"""Builds a data set by name: the one call behind launch.build_data."""

import inspect
import json
import os
from typing import Any, NamedTuple

import tensorflow_datasets as tfds
from absl import logging
from etils import epath


def _cmu_mocap():
  from data_builders.cmu_mocap.cmu_mocap_dataset_builder import Builder

  return Builder


def _bvh_mocap():
  from data_builders.bvh_mocap.bvh_mocap_dataset_builder import Builder

  return Builder


def _synthetic_mocap():
  from data_builders.synthetic_mocap.synthetic_mocap_dataset_builder import Builder

  return Builder


# Each is imported when it is asked for: a data set's own dependencies concern nobody else.
DATASETS = {"cmu_mocap": _cmu_mocap, "bvh_mocap": _bvh_mocap, "synthetic_mocap": _synthetic_mocap}


class Split(NamedTuple):
  sequences: int
  frames: int


class Built(NamedTuple):
  """A built data set: its folder, its splits, the files left out with the reason, and whether it was there before."""

  directory: str
  splits: dict[str, Split]
  skipped: dict[str, str]
  reused: bool


def build(
  dataset: str, data_dir: str | os.PathLike, manual_dir: str | os.PathLike | None = None, **options: Any
) -> Built:
  """Builds a data set into `data_dir`, unless it is there, and reads it back once to count it.

  manual_dir: folder of raw files, or a zip where the data set has one. options: of the data set's builder.
  Writes beside its final folder and renames at the end: an error, a full disk or a kill leaves no half of a data set.
  Raises ValueError for an unknown name or option, for options other than those it was built with, and for raw files of
  which none can be read; FileNotFoundError for a missing or empty folder.
  """
  if dataset not in DATASETS:
    raise ValueError(f"unknown data set {dataset!r}; known are {', '.join(DATASETS)}")
  builder_class = DATASETS[dataset]()
  folder = None
  if manual_dir is not None:
    source = epath.Path(manual_dir)
    if not source.exists() or (source.is_dir() and not any(source.iterdir())):
      state = "is empty" if source.exists() else "does not exist"
      raise FileNotFoundError(f"{os.fspath(source)!r} {state}; give the folder of the raw files as manual_dir")
    if source.is_dir():
      folder = os.fspath(source)
    else:
      options = {"archive": os.fspath(source), **options}
  _check_options(dataset, builder_class, options)
  builder = builder_class(data_dir=os.fspath(data_dir), file_format="array_record", **options)
  asked = json.loads(json.dumps(options, default=os.fspath))
  directory = epath.Path(builder.data_dir)
  reused = directory.exists()
  if reused:
    _check_same(builder, asked)
  else:
    for left in directory.parent.glob("incomplete.*") if directory.parent.exists() else ():
      logging.warning("%s was left by a build that was killed; delete it unless that still runs", left)
    if builder.info.metadata is not None:
      builder.info.metadata["options"] = asked
    try:
      builder.download_and_prepare(
        download_dir=os.fspath(epath.Path(data_dir) / "downloads"),
        download_config=tfds.download.DownloadConfig(manual_dir=folder),
      )
    finally:
      tfds.enable_progress_bar()  # builders that show their own switch it off
  return _count(directory, reused)


def table(built: Built) -> str:
  """A text table: sequences and frames of each split and in all, then the files left out."""
  rows = [("split", "sequences", "frames"), *((name, *map(str, split)) for name, split in built.splits.items())]
  totals = [sum(column) for column in zip(*built.splits.values())]
  rows.append(("total", *map(str, totals)))
  width = max(len(row[0]) for row in rows)
  lines = [f"{name:<{width}}  {sequences:>9}  {frames:>9}" for name, sequences, frames in rows]
  if built.skipped:
    lines.append(f"{len(built.skipped)} files left out:")
    lines += [f"  {name}: {reason}" for name, reason in built.skipped.items()]
  note = " (built before; nothing was read anew, delete the folder to rebuild)" if built.reused else ""
  return "\n".join([*lines, f"{built.directory}{note}"])


def _check_options(dataset: str, builder_class: type, options: dict[str, Any]) -> None:
  parameters = inspect.signature(builder_class.__init__).parameters.values()
  known = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.name != "file_format"]
  unknown = sorted(set(options) - set(known))
  if "archive" in unknown:
    raise ValueError(f"{options['archive']!r} is a file; {dataset} reads a folder: give its folder as manual_dir")
  if unknown:
    raise ValueError(f"data set {dataset!r} has no options {unknown}; it has {known or 'none'}")


def _check_same(builder: tfds.core.DatasetBuilder, asked: dict[str, Any]) -> None:
  built_with = (builder.info.metadata or {}).get("options", asked)
  if built_with != asked:
    raise ValueError(
      f"{builder.data_dir} was built with options {built_with}, not {asked}; "
      "delete it to rebuild, or use another data_dir"
    )


def _count(directory: epath.Path, reused: bool) -> Built:
  """Reads every example back: what is counted here can be loaded."""
  builder = tfds.builder_from_directory(directory)
  counts = {}
  for name in builder.info.splits:
    lengths = [_frames(example) for example in builder.as_data_source(split=name)]
    counts[name] = Split(len(lengths), sum(lengths))
  return Built(os.fspath(directory), counts, dict((builder.info.metadata or {}).get("skipped", {})), reused)


def _frames(example: Any) -> int:
  return len(example["positions_world"] if "positions_world" in example else example["valid"])
