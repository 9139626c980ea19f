"""The gate: scores, thresholds, and what they can judge."""

import jax
import numpy as np
import pytest

from jaxpose.adapt import gate, masked, objectives
from tests.adapt import tiny


@pytest.mark.parametrize("window", [1, 3])
def test_a_score_is_the_instances_own_loss(window):
  lifter, variables, inputs = tiny.model(window)
  objective = objectives.combine({"2d": (1.0, objectives.reprojection(lifter, tiny.CODEC)),
                                  "masked": (1.0, masked.masked_joints(lifter, tiny.CODEC))})  # fmt: skip
  ids = np.arange(len(inputs)) + 7
  found = gate.scores(variables, inputs, ids, tiny.KEY, objective=objective)
  for i, id in enumerate(ids):
    alone, _ = jax.jit(objective)(variables, inputs[i : i + 1], jax.random.fold_in(tiny.KEY, id))
    np.testing.assert_allclose(found[i], alone, rtol=1e-5)
  order = [1, 0]
  shuffled = gate.scores(variables, inputs[np.array(order)], ids[order], tiny.KEY, objective=objective)
  np.testing.assert_allclose(shuffled, found[np.array(order)], rtol=1e-5)


def test_the_threshold_is_a_quantile_of_the_source():
  source = np.arange(101.0)
  assert gate.threshold(source, 0.9) == 90 and gate.threshold(source, 1.0) == 100
  for scores, quantile, message in (
    (source, 0.0, r"gate=0.0 is a quantile of the source's scores, in \(0, 1\]"),
    (source, 1.5, "gate=1.5 is a quantile"),
    (source[:0], 0.5, "0 of 0 are"),
    (np.array([1, np.nan]), 0.5, "1 of 2 are"),
  ):
    with pytest.raises(ValueError, match=message):
      gate.threshold(scores, quantile)


def test_terms_that_need_a_past_judge_nothing():
  factors = {"teacher": 1.0, "smoothness": 2.0, "reprojection": 3.0}
  assert gate.judging(factors, 1) == {"reprojection": 3.0}
  assert gate.judging(factors, 3) == {"smoothness": 2.0, "reprojection": 3.0}
  with pytest.raises(ValueError, match=r"a gate on teacher\+smoothness has nothing to judge"):
    gate.judging({"teacher": 1.0, "smoothness": 2.0}, 1)
