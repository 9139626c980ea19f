"""Reading built data sets back: by configuration, in another joint set, at another rate."""

import json

import numpy as np
import pytest
import tensorflow_datasets as tfds

from jaxpose import skeleton
from jaxpose.data import features, source
from tests import helpers

CLIPS = [helpers.clip(frames=10, seed=s, sequence=f"walk {s}", fps=50.0) for s in range(2)]


class Filmed(tfds.core.GeneratorBasedBuilder):
  """Clips, in two configurations."""

  VERSION = tfds.core.Version("1.0.0")
  BUILDER_CONFIGS = [tfds.core.BuilderConfig(name=n, version="1.0.0", description=n) for n in ("gt", "cpn")]

  def _info(self):
    source_2d = "CPN" if self.builder_config.name == "cpn" else "ground truth"
    return tfds.core.DatasetInfo(
      builder=self,
      features=features.clip_features(skeleton.get("h36m_17")),
      metadata=tfds.core.MetadataDict(skeleton="h36m_17", keypoints_source=source_2d, fixture=True),
      disable_shuffling=True,
    )

  def _split_generators(self, dl_manager):
    return {"test": [(c.name, features.clip_to_example(c)) for c in CLIPS]}

  def _generate_examples(self):
    raise AssertionError("not called")


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
  folder = tmp_path_factory.mktemp("data")
  tfds.disable_progress_bar()
  Filmed(config="gt", data_dir=folder, file_format="array_record").download_and_prepare()
  return folder


def test_a_name_without_configuration_is_the_one_that_was_built(data_dir, tmp_path):
  assert source.directory("filmed", data_dir) == source.directory("filmed/gt", data_dir)
  with pytest.raises(FileNotFoundError, match="no data set 'filmed/cpn'.*--dataset=filmed/cpn"):
    source.directory("filmed/cpn", data_dir)
  for config in ("gt", "cpn"):
    Filmed(config=config, data_dir=tmp_path, file_format="array_record").download_and_prepare()
  with pytest.raises(ValueError, match="'filmed' .*several forms; name one of filmed/cpn, filmed/gt"):
    source.directory("filmed", tmp_path)
  assert source.directory("filmed/cpn", tmp_path) == tmp_path / "filmed" / "cpn" / "1.0.0"


def test_facts_say_what_was_built(data_dir):
  expected = dict(dataset="filmed/gt", dataset_version="1.0.0", fixture=True, keypoints_source="ground truth")
  assert source.facts("filmed", data_dir) == source.facts("filmed/gt", data_dir) == expected
  json.dumps(source.facts("filmed", data_dir))


def test_clips_in_another_joint_set(data_dir):
  joints = skeleton.get("h36m_16")
  clips = source.load_clips("filmed", ("test",), data_dir, skeleton="h36m_16")
  for clip, original in zip(clips, CLIPS):
    assert clip.skeleton == joints and clip.name == original.name
    kept = [original.skeleton.index(name) for name in joints.names]
    np.testing.assert_array_equal(clip.joints_3d, original.joints_3d[:, kept])
    np.testing.assert_array_equal(clip.keypoints_2d, original.keypoints_2d[:, kept])
  with pytest.raises(ValueError, match="lack left_eye, right_eye, left_ear, right_ear of 'coco_17'"):
    source.load_clips("filmed", ("test",), data_dir, skeleton="coco_17")


def test_keypoints_without_ground_truth_may_lack_joints():
  flat = CLIPS[0].replace(joints_3d=None)
  clip = source.mapped(flat, skeleton.get("coco_17"))
  assert clip.joints_3d is None
  missing = clip.skeleton.index("left_eye")
  assert not clip.confidence[:, missing].any() and clip.confidence[:, clip.skeleton.index("left_hip")].all()


def test_real_cameras_keep_their_frames_or_every_nth(data_dir):
  clips = source.load_clips("filmed", ("test",), data_dir, fps=10.0)
  assert [len(c) for c in clips] == [2, 2] and clips[0].fps == 10
  np.testing.assert_array_equal(clips[0].joints_3d, CLIPS[0].joints_3d[::5])
  for fps in (30.0, 100.0):
    with pytest.raises(ValueError, match=f"50.0 frames a second, which is no multiple of fps={fps}"):
      source.load_clips("filmed", ("test",), data_dir, fps=fps)
  with pytest.raises(ValueError, match="filmed by real cameras: leave out the rig 'h36m'"):
    source.load_clips("filmed", ("test",), data_dir, rig="h36m")
