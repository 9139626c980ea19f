"""What a report says of how its number came about."""

import numpy as np
import pytest

from jaxpose import codec as codecs
from jaxpose import experiment, report, runs, targets
from jaxpose.adapt.settings import AdaptConfig
from jaxpose.config import DataConfig
from tests import helpers

HELD_OUT = DataConfig(dataset="synthetic_mocap", splits=("validation",))


def trained(codec="screen", **changes):
  config = helpers.config(codec=codec, validation=dict(dataset="synthetic_mocap", splits=("validation",)))
  made = codecs.build(codec, helpers.clip().skeleton, clips=[helpers.clip()])
  return experiment.Trained(config, made, experiment.build_method(config, made), {}, 7, {}, **changes)


def scored(run, data=HELD_OUT, **options):
  clip = helpers.clip(5)
  return runs.score(run, "target", data, [clip], [np.zeros((5, 17, 3), np.float32)], **options)


@pytest.mark.parametrize(
  ("codec", "seen"), [("screen", "not used"), ("canonical", "calibrated"), ("root_rms", "calibrated")]
)
def test_a_report_says_whether_the_calibration_was_used(codec, seen):
  run = trained(codec)
  assert scored(run)["fingerprint"]["intrinsics"] == seen
  solved = runs.facts(run, runs.Task("t", HELD_OUT, [], {}, "generic"), adapt=AdaptConfig(optimizer="gauss_newton"))
  assert solved["intrinsics"] == "calibrated"


def test_a_report_says_what_computed_it():
  made = scored(trained())["environment"]
  assert set(made) == {"device", "precision", "jaxpose", "jax"} and all(isinstance(x, str) and x for x in made.values())


def test_a_checkpoint_selected_on_what_is_scored_had_an_oracle():
  best, latest = (scored(trained(selection=how)) for how in ("best", "latest"))
  assert best["fingerprint"]["selection"] == "best mpjpe_mm on synthetic_mocap validation"
  assert best["fingerprint"]["oracles"] == [runs.SELECTED] and latest["fingerprint"]["oracles"] == []
  with pytest.raises(ValueError, match='oracles: \\["checkpoint selection"\\] against \\[\\]'):
    report.check_comparable(best, latest)
  elsewhere = scored(trained(selection="best"), DataConfig(dataset="synthetic_mocap", splits=("target",)))
  assert elsewhere["fingerprint"]["oracles"] == []


@pytest.mark.parametrize(
  ("changes", "shared"),
  [
    ({}, True),
    (dict(dataset="synthetic_mocap/other"), True),
    (dict(dataset="cmu_mocap"), False),
    (dict(splits=("target",)), False),
    (dict(splits=("target", "validation")), True),
    (dict(include=("b",)), False),
    (dict(include=("b", "a")), True),
    (dict(exclude=("a",)), False),
    (dict(exclude=("b",)), True),
  ],
)
def test_which_data_overlap(changes, shared):
  one = DataConfig(dataset="synthetic_mocap", splits=("validation",), include=("a",))
  other = DataConfig(**{**dict(dataset="synthetic_mocap", splits=("validation",)), **changes})
  assert targets.overlap(one, other) == targets.overlap(other, one) == shared
