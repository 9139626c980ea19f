import dataclasses

import numpy as np
import pytest

from jaxpose.synthetic import body


def test_proportions_add_up_to_the_stature():
  one = body.proportioned(1.75)
  crown = one.ankle + one.leg + one.torso + one.neck + one.head
  assert crown == pytest.approx(1.75, abs=1e-6)
  assert one.leg + one.ankle == pytest.approx(0.530 * 1.75)  # Drillis & Contini's height of the hip


def test_adults_are_plausible_and_differ():
  adults = [body.sample_adult(np.random.default_rng(i)) for i in range(60)]
  statures = np.array([a.stature for a in adults])
  assert statures.min() > 1.45 and statures.max() < 1.95
  assert np.mean(statures) == pytest.approx((1.756 + 1.629) / 2, abs=0.04)
  assert len({round(a.thigh / a.stature, 4) for a in adults}) > 40


def test_children_have_longer_heads_and_shorter_legs():
  adult, child = body.proportioned(1.7), body.proportioned(1.1, child=1.0)
  assert child.head / child.stature > 1.2 * adult.head / adult.stature
  assert child.leg / child.stature < adult.leg / adult.stature


@pytest.mark.parametrize("kind", body.OTHER_BODIES)
def test_other_bodies_are_positive_and_true_to_their_kind(kind):
  rng = np.random.default_rng(0)
  adult = body.proportioned(1.7)
  for _ in range(10):
    one = body.sample_other(rng, kind)
    assert all(length > 0 for length in dataclasses.astuple(one))
    expected = {
      "child": one.stature < 1.7,
      "tall": one.stature > 1.9,
      "short": one.stature < 1.5,
      "broad": one.shoulder / one.stature > 1.15 * adult.shoulder / adult.stature,
      "long_limbed": one.arm / one.stature > 1.02 * adult.arm / adult.stature,
    }
    assert expected[kind]


def test_errors_name_the_way_out():
  with pytest.raises(ValueError, match="child, tall"):
    body.sample_other(np.random.default_rng(0), "giant")
  with pytest.raises(ValueError, match="175"):
    body.proportioned(175.0)
