import sys

import numpy as np
import pytest

from data_builders import build
from jaxpose.data import source
from jaxpose.synthetic import motion

TINY = {"train": 3, "validation": 2, "target": 2, "frames": 20}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
  folder = tmp_path_factory.mktemp("data")
  built = build.build("synthetic_mocap", folder, **TINY)
  assert built.splits == {"train": (3, 60), "validation": (2, 40), "target": (2, 40)}
  return folder


def test_what_is_read_is_what_was_simulated(data_dir):
  for split in ("train", "validation", "target"):
    read = source.load("synthetic_mocap", [split], str(data_dir))
    made = list(motion.motions(split, TINY[split], frames=20))
    for one, other in zip(read, made, strict=True):
      np.testing.assert_array_equal(one.positions_world, other.positions_world)
      assert (one.subject, one.action, one.sequence, one.fps, one.up) == (
        (other.subject, other.action, other.sequence, 30.0, "y")
      )
      assert one.skeleton.name == "h36m_17"


def test_the_seed_is_kept_and_changes_the_numbers(data_dir, tmp_path):
  with pytest.raises(ValueError, match="was built with options"):
    build.build("synthetic_mocap", data_dir, **TINY, seed=1)
  build.build("synthetic_mocap", tmp_path, **TINY, seed=1)
  first, second = (source.load("synthetic_mocap", ["train"], str(folder))[0] for folder in (data_dir, tmp_path))
  assert np.abs(first.positions_world - second.positions_world).max() > 0.05


@pytest.mark.parametrize("options", [{"train": 0}, {"frames": 0}, {"seed": -1}])
def test_impossible_options_are_named(options, tmp_path):
  with pytest.raises(ValueError, match=next(iter(options))):
    build.build("synthetic_mocap", tmp_path, **options)


def test_no_tensorflow(data_dir):
  assert "tensorflow" not in sys.modules
