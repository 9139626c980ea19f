"""The builder that docs/adding_a_dataset.md prints is a whole one: it builds what it says, of the files it names."""

import importlib
import pathlib
import re

import numpy as np
import tensorflow_datasets as tfds

from jaxpose import skeleton as skeletons
from jaxpose.data import features

DOCUMENT = pathlib.Path(__file__).parents[2] / "docs" / "adding_a_dataset.md"
COCO = skeletons.get("coco_17")


def test_the_builder_of_the_document_builds(tmp_path, monkeypatch):
  (code,) = re.findall(r"```python\n(\"\"\"FreeMoCap.*?)```", DOCUMENT.read_text(), re.DOTALL)
  package = tmp_path / "freemocap"
  package.mkdir()
  (package / "__init__.py").touch()
  (package / "freemocap_dataset_builder.py").write_text(code)
  monkeypatch.syspath_prepend(tmp_path)
  positions = np.random.default_rng(0).normal(size=(5, 17, 3)).astype(np.float32)
  cells = [
    ["" if (t, j) == (3, 2) else f"{1000 * x}" for j, p in enumerate(pose) for x in p]
    for t, pose in enumerate(positions)
  ]
  header = [f"{joint}_{axis}" for joint in COCO.names for axis in "xyz"]
  (tmp_path / "raw").mkdir()
  (tmp_path / "raw" / "walk.csv").write_text("\n".join(",".join(row) for row in [header, *cells]))
  (tmp_path / "raw" / "other.csv").write_text("a,b\n1,2\n")
  module = importlib.import_module("freemocap.freemocap_dataset_builder")

  builder = module.Builder(data_dir=tmp_path / "data", file_format="array_record", fps=60)
  builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=tmp_path / "raw"))
  (motion,) = (features.example_to_motion(example) for example in builder.as_data_source("train"))
  assert motion.fps == 60 and motion.skeleton == COCO and motion.valid.tolist() == [True, True, True, False, True]
  np.testing.assert_allclose(motion.positions_world[motion.valid], positions[motion.valid], atol=1e-5)
  assert list(builder.info.metadata["skipped"]) == ["other.csv"]
