"""Builds a data set by name: the one call behind launch.build_data."""

import contextlib
import functools
import inspect
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import tensorflow_datasets as tfds
from etils import epath

from data_builders import verification
from data_builders.verification import Check, Example


class DataSet(NamedTuple):
  """A data set's builder, its published counts by name of a configuration, and what writes its fixture, if any does."""

  builder: type[tfds.core.GeneratorBasedBuilder]
  checks: Callable[[str], tuple[Check, ...]]
  write_fixture: Callable[..., None] | None


def _nothing_published(config: str = "") -> tuple[Check, ...]:
  del config
  return ()


def _human36m() -> DataSet:
  from data_builders.human36m import fixture, takes
  from data_builders.human36m import human36m_dataset_builder as module

  # Every subject, so that recipes that name them can be run dry.
  only = {subject: ("Directions 1", "Walking 1") for subject in takes.SUBJECTS} | fixture.TAKES
  return DataSet(module.Builder, module.checks, functools.partial(fixture.write, only=only))


def _mpi_inf_3dhp() -> DataSet:
  from data_builders.mpi_inf_3dhp import fixture
  from data_builders.mpi_inf_3dhp import mpi_inf_3dhp_dataset_builder as module

  return DataSet(module.Builder, module.checks, fixture.write)


def _pw3d() -> DataSet:
  from data_builders.pw3d import fixture
  from data_builders.pw3d import pw3d_dataset_builder as module

  return DataSet(module.Builder, module.checks, fixture.write)


def _amass_h36m() -> DataSet:
  from data_builders.amass_h36m import amass_h36m_dataset_builder as module
  from data_builders.amass_h36m import fixture

  return DataSet(module.Builder, module.checks, fixture.write)


def _mpii() -> DataSet:
  from data_builders.mpii import fixture
  from data_builders.mpii import mpii_dataset_builder as module

  return DataSet(module.Builder, module.checks, fixture.write)


def _lsp() -> DataSet:
  from data_builders.lsp import fixture
  from data_builders.lsp import lsp_dataset_builder as module

  return DataSet(module.Builder, module.checks, fixture.write)


def _coco_keypoints() -> DataSet:
  from data_builders.coco_keypoints import coco_keypoints_dataset_builder as module
  from data_builders.coco_keypoints import fixture

  return DataSet(module.Builder, module.checks, fixture.write)


def _cmu_mocap() -> DataSet:
  from data_builders.cmu_mocap.cmu_mocap_dataset_builder import Builder

  return DataSet(Builder, _nothing_published, None)


def _bvh_mocap() -> DataSet:
  from data_builders.bvh_mocap.bvh_mocap_dataset_builder import Builder

  return DataSet(Builder, _nothing_published, None)


def _arrays() -> DataSet:
  from data_builders.arrays.arrays_dataset_builder import Builder

  return DataSet(Builder, _nothing_published, None)


def _synthetic_mocap() -> DataSet:
  from data_builders.synthetic_mocap.synthetic_mocap_dataset_builder import Builder

  return DataSet(Builder, _nothing_published, None)


# Each is imported when it is asked for: a data set's own dependencies concern nobody else.
DATASETS: dict[str, Callable[[], DataSet]] = {
  "human36m": _human36m,
  "mpi_inf_3dhp": _mpi_inf_3dhp,
  "pw3d": _pw3d,
  "amass_h36m": _amass_h36m,
  "mpii": _mpii,
  "lsp": _lsp,
  "coco_keypoints": _coco_keypoints,
  "cmu_mocap": _cmu_mocap,
  "bvh_mocap": _bvh_mocap,
  "arrays": _arrays,
  "synthetic_mocap": _synthetic_mocap,
}


class Split(NamedTuple):
  sequences: int
  frames: int


class Built(NamedTuple):
  """A built data set: its folder, its splits, the files left out with the reason, whether it was there before.

  fixture: whether it was built of made-up files. examples: what was counted, for `verify`.
  """

  directory: str
  splits: dict[str, Split]
  skipped: dict[str, str]
  reused: bool
  fixture: bool = False
  examples: tuple[Example, ...] = ()


def build(
  dataset: str,
  data_dir: str | os.PathLike,
  manual_dir: str | os.PathLike | None = None,
  *,
  fixture: bool = False,
  **options: Any,
) -> Built:
  """Builds a data set into `data_dir`, unless it is there, and reads it back once to count it.

  dataset: a name, or "name/config" where a data set comes in several; without one, its first. manual_dir: folder of raw
  files, or an archive where the data set has one. fixture: build of a small made-up data set in the same file formats
  instead, marked as such for ever. options: of the data set's builder.
  Writes beside its final folder and renames at the end: an error, a full disk or a kill leaves no half of a data set.
  Raises ValueError for an unknown name, config or option, for options or files (real or made up) other than those it
  was built with, and for raw files of which none can be read; FileNotFoundError for a missing or empty folder.
  """
  entry, config = find(dataset)
  with contextlib.ExitStack() as stack:
    if fixture:
      manual_dir = stack.enter_context(_fixture_folder(dataset, entry, config, manual_dir))
    folder, options = _source(manual_dir, options)
    _check_options(dataset, entry.builder, options)
    builder = entry.builder(
      data_dir=os.fspath(data_dir), file_format="array_record", **({"config": config} if config else {}), **options
    )
    asked = {} if fixture else json.loads(json.dumps(options, default=os.fspath))
    directory = epath.Path(builder.data_dir)
    reused = directory.exists()
    if reused:
      _check_same(builder, asked, fixture)
    else:
      builder.info.metadata.update(options=asked, fixture=fixture)
      _prepare(builder, data_dir, folder)
  return _count(directory, reused)


def find(dataset: str) -> tuple[DataSet, str]:
  """The data set of "name" or "name/config", and the name of its configuration: "" where it has none."""
  name, slash, config = dataset.partition("/")
  if name not in DATASETS:
    raise ValueError(f"unknown data set {name!r}; known are {', '.join(DATASETS)}")
  entry = DATASETS[name]()
  known = [c.name for c in entry.builder.BUILDER_CONFIGS]
  if slash and config not in known:
    raise ValueError(f"data set {name!r} has no configuration {config!r}; it has {', '.join(known) or 'none'}")
  return entry, config or (known[0] if known else "")


def verify(dataset: str, built: Built) -> tuple[str, str]:
  """(table of the published counts, what was found and what was left out; the verdict): see verification.verdict."""
  entry, config = find(dataset)
  checks = entry.checks(config)
  text, _ = verification.table(checks, built.examples, fixture=built.fixture)
  return text, verification.verdict(checks, built.examples, fixture=built.fixture)


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
  if built.fixture:
    lines.append("a fixture: made-up people in the data set's file formats")
  note = " (built before; nothing was read anew, delete the folder to rebuild)" if built.reused else ""
  return "\n".join([*lines, f"{built.directory}{note}"])


@contextlib.contextmanager
def _fixture_folder(dataset: str, entry: DataSet, config: str, manual_dir) -> Iterator[str]:
  if manual_dir is not None:
    raise ValueError(f"a fixture is made up, it does not read {os.fspath(manual_dir)!r}: give one or the other")
  if entry.write_fixture is None:
    raise ValueError(f"data set {dataset!r} has no fixture; synthetic_mocap needs no files")
  with tempfile.TemporaryDirectory(prefix="jaxpose-fixture-") as folder:
    entry.write_fixture(folder, **({"config": config} if config else {}))
    yield folder


def _source(manual_dir: str | os.PathLike | None, options: dict[str, Any]) -> tuple[str | None, dict[str, Any]]:
  """(the folder of raw files, the options): a file instead of a folder is the option `archive`."""
  if manual_dir is None:
    return None, options
  source = epath.Path(manual_dir)
  if not source.exists() or (source.is_dir() and not any(source.iterdir())):
    state = "is empty" if source.exists() else "does not exist"
    raise FileNotFoundError(f"{os.fspath(source)!r} {state}; give the folder of the raw files as manual_dir")
  if source.is_dir():
    return os.fspath(source), options
  return None, {"archive": os.fspath(source), **options}


def _prepare(builder, data_dir, folder: str | None) -> None:
  try:
    with contextlib.redirect_stdout(sys.stderr):  # TFDS prints of downloads, whether there are any or not
      builder.download_and_prepare(
        download_dir=os.fspath(epath.Path(data_dir) / "downloads"),
        download_config=tfds.download.DownloadConfig(manual_dir=folder),
      )
  finally:
    tfds.enable_progress_bar()  # builders that show their own switch it off


def _check_options(dataset: str, builder_class: type, options: dict[str, Any]) -> None:
  parameters = inspect.signature(builder_class.__init__).parameters.values()
  known = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.name not in ("file_format", "config")]
  unknown = sorted(set(options) - set(known))
  if "archive" in unknown:
    raise ValueError(f"{options['archive']!r} is a file; {dataset} reads a folder: give its folder as manual_dir")
  if unknown:
    raise ValueError(f"data set {dataset!r} has no options {unknown}; it has {known or 'none'}")


def _check_same(builder: tfds.core.DatasetBuilder, asked: dict[str, Any], fixture: bool) -> None:
  metadata = builder.info.metadata or {}
  if bool(metadata.get("fixture")) != fixture:
    kinds = "a fixture, not real files" if metadata.get("fixture") else "real files, not a fixture"
    raise ValueError(f"{builder.data_dir} was built of {kinds}; delete it to rebuild, or use another data_dir")
  built_with = metadata.get("options", asked)
  if built_with != asked:
    raise ValueError(
      f"{builder.data_dir} was built with options {built_with}, not {asked}; "
      "delete it to rebuild, or use another data_dir"
    )


def _count(directory: epath.Path, reused: bool) -> Built:
  """Reads every example back: what is counted here can be loaded."""
  info = tfds.builder_from_directory(directory).info
  examples = verification.examples_of(directory)
  counts = {}
  for name in info.splits:
    lengths = [e.frames for e in examples if e.split == name]
    counts[name] = Split(len(lengths), sum(lengths))
  metadata = info.metadata or {}
  fixture = bool(metadata.get("fixture"))
  return Built(os.fspath(directory), counts, dict(metadata.get("skipped", {})), reused, fixture, tuple(examples))
