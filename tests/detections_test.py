"""Which detector sees which clip: never one that has trained on it."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from jaxpose import codec as codecs
from jaxpose import detections, experiment
from jaxpose import skeleton as skeletons
from jaxpose.config import DataConfig
from jaxpose.graphs import graph as graphs
from jaxpose.graphs import picture
from jaxpose.graphs.graph import InferenceGraph
from jaxpose.methods.method import Method
from jaxpose.synthetic import images
from tests import helpers

DATA = dict(dataset="synthetic_mocap", splits=("train",), rig="fixed_four")
CLIPS = images.pictured([helpers.clip(4, sequence=f"train_00{i}_walk", seed=i) for i in range(4)], "lab")


def run(away, **part):
  """A run whose detections are `away` pixels from the truth."""

  def see(variables, arrays):
    points = jnp.asarray(arrays["keypoints_2d"])
    return {"keypoints_2d": points + away, "confidence": jnp.full(points.shape[:-1], 0.5)}

  codec = codecs.build("canonical", skeletons.get("h36m_17"))
  outputs = (picture.KEYPOINTS, picture.CONFIDENCE)
  graph = InferenceGraph("detect", (*graphs.SEEN, *picture.SCENE), outputs, see, (), codec)
  graph = dataclasses.replace(graph, mirrored=graph)
  config = helpers.config(train={**DATA, **part}, method="image")
  method = Method("image", codec, _never, _never, {"detect": graph}, _never)
  return experiment.Trained(config, codec, method, {}, 1, {})


def _never(*args):
  raise AssertionError(args)


def lifter():
  one = run(0.0)
  return dataclasses.replace(
    one, config=helpers.config(method="supervised"), method=dataclasses.replace(one.method, graphs={})
  )


@pytest.fixture
def runs(monkeypatch):
  known = {
    "even": run(1.0, exclude=("train_??[02468]_*",)),
    "odd": run(2.0, exclude=("train_??[13579]_*",)),
    "some": run(3.0, include=("train_003_walk",)),
    "elsewhere": run(4.0, splits=("validation",)),
    "lifter": lifter(),
  }
  monkeypatch.setattr(experiment, "load", known.__getitem__)


@pytest.mark.parametrize(
  "detectors, away",
  [(("even", "odd"), [1, 2, 1, 2]), (("odd", "even"), [1, 2, 1, 2]), (("some", "odd"), [3, 3, 3, 2]),
   (("elsewhere",), [4, 4, 4, 4])],
)  # fmt: skip
def test_a_clip_is_detected_in_by_who_has_not_trained_on_it(runs, detectors, away):
  found = detections.by_runs(CLIPS, DataConfig(**DATA, look="lab", detectors=detectors))
  for clip, seen, shift in zip(CLIPS, found, away):
    np.testing.assert_allclose(seen.keypoints_2d, clip.keypoints_2d + shift, rtol=1e-6)
    assert (seen.confidence == 0.5).all() and seen.sequence == clip.sequence
    np.testing.assert_array_equal(seen.joints_3d, clip.joints_3d)


def test_bad_detectors_are_one_clear_error(runs):
  with pytest.raises(ValueError, match="each of the detectors even was trained on 'train_001_walk' itself"):
    detections.by_runs(CLIPS, DataConfig(**DATA, look="lab", detectors=("even",)))
  with pytest.raises(ValueError, match="run in 'lifter' has method 'supervised', which sees no images"):
    detections.by_runs(CLIPS, DataConfig(**DATA, look="lab", detectors=("lifter",)))
  with pytest.raises(ValueError, match="has no pictures to detect in; give its data set a look"):
    detections.detect(run(0.0).method.graphs["detect"], {}, [helpers.clip()])
  with pytest.raises(ValueError, match="need images to detect in: give it a look"):
    DataConfig(**DATA, detectors=("even",))
