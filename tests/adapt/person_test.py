"""What is believed of a person's bones, against normal distributions written out with NumPy and SciPy."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from jaxpose import skeleton
from jaxpose.adapt import person
from jaxpose.adapt.person import Belief
from tests import helpers

H36M = skeleton.get("h36m_17")
LENGTHS = np.array(helpers.statistics()["bone_lengths_m"])
BONES = len(H36M.bones)


def end(name):
  """The place of the bone that ends at a joint."""
  return [child for child, _ in H36M.bones].index(H36M.index(name))


def frames(seed, count, precision=1e3):
  """What `count` frames say: information of lower rank than there are bones, as a camera's is."""
  rng = np.random.default_rng(seed)
  seen = rng.normal(size=(count, BONES, 5))
  information = precision * seen @ seen.swapaxes(1, 2)
  measured = LENGTHS * rng.uniform(0.9, 1.1, (count, BONES))
  return jnp.float32(information), jnp.float32(np.einsum("nij,nj->ni", information, measured))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.permutations(range(4)))
def test_frames_add_up_in_any_order(seed, order):
  information, vector = frames(seed, 4)
  belief = other = person.prior(H36M, LENGTHS)
  for i, j in zip(range(4), order):
    belief, other = person.add(belief, information[i], vector[i]), person.add(other, information[j], vector[j])
  whole = person.add(person.prior(H36M, LENGTHS), information.sum(0), vector.sum(0))
  for a in (other, whole):
    np.testing.assert_allclose(a.information, belief.information, rtol=1e-4, atol=1e-1)
    np.testing.assert_allclose(a.vector, belief.vector, rtol=1e-4, atol=1e-1)


def test_a_frame_that_is_not_finite_is_left_out():
  belief = person.prior(H36M, LENGTHS)
  (information, vector), broken = (x[0] for x in frames(0, 1)), jnp.full(BONES, np.nan)
  for own in ((information, broken), (information / 0.0, vector)):
    added = person.add(belief, *own)
    np.testing.assert_array_equal(added.information, belief.information)
    np.testing.assert_array_equal(added.vector, belief.vector)


def test_a_stranger_is_the_sources_mean_and_is_less_known_where_data_sets_differ():
  mean, covariance, _ = person.moments(person.prior(H36M, LENGTHS))
  np.testing.assert_allclose(mean, LENGTHS, rtol=1e-5)
  limbs = {f"{side}_{joint}" for side in ("left", "right") for joint in ("knee", "ankle", "elbow", "wrist")}
  spread = [0.1 if H36M.names[child] in limbs else 0.3 for child, _ in H36M.bones]
  expected = (np.array(spread) * LENGTHS) ** 2 + (0.01 * LENGTHS) ** 2
  np.testing.assert_allclose(covariance, np.diag(expected), rtol=1e-4, atol=1e-9)


def test_moments_are_those_of_the_normal_distribution():
  (information,), (vector,) = frames(1, 1)
  belief = person.add(person.prior(H36M, LENGTHS), information, vector)
  precision = np.float64(belief.information)
  mean, covariance, _ = person.moments(belief)
  expected = np.linalg.solve(precision, np.float64(belief.vector))
  np.testing.assert_allclose(mean, expected, rtol=1e-3)
  kept = np.diag((0.01 * expected) ** 2)
  np.testing.assert_allclose(covariance, np.linalg.inv(precision) + kept, rtol=1e-2, atol=1e-6)


def test_a_measured_bone_is_known_and_the_others_stay():
  before = person.prior(H36M, LENGTHS)
  place, length = end("left_knee"), 0.55
  mean, covariance, _ = person.moments(person.know(before, H36M, {"left_knee": length}))
  spread, known = 0.1 * LENGTHS[place], 0.01 * length
  weight = spread**2 / (spread**2 + known**2)
  expected = LENGTHS.copy()
  expected[place] += weight * (length - LENGTHS[place])
  np.testing.assert_allclose(mean, expected, rtol=1e-4)
  np.testing.assert_allclose(covariance[place, place], weight * known**2 + (0.01 * expected[place]) ** 2, rtol=1e-3)


@pytest.mark.parametrize("height", [1.3, 1.7, 2.0])
def test_a_height_scales_what_stands_upright_and_leaves_the_arms(height):
  upright = np.zeros(BONES)
  for name in ("knee", "ankle"):
    for side in ("left", "right"):
      upright[end(f"{side}_{name}")] = 0.5
  for name in ("spine", "thorax", "nose", "head_top"):
    upright[end(name)] = 1
  mean, covariance, _ = person.moments(person.know(person.prior(H36M, LENGTHS), H36M, {}, height))
  prior_mean, prior = LENGTHS, np.float64(person.moments(person.prior(H36M, LENGTHS))[1])
  prior -= np.diag((0.01 * LENGTHS) ** 2)
  # Conditioning on upright @ lengths = 0.96 height, standard deviation 3 % of the height.
  gain = prior @ upright / (upright @ prior @ upright + (0.03 * height) ** 2)
  np.testing.assert_allclose(mean, prior_mean + gain * (0.96 * height - upright @ prior_mean), rtol=1e-3)
  assert np.trace(covariance) < np.trace(prior)
  np.testing.assert_allclose(mean[end("left_wrist")], LENGTHS[end("left_wrist")], rtol=1e-5)


@pytest.mark.parametrize(
  ("lengths", "height", "message"),
  [
    (
      {"left_kneee": 0.4},
      None,
      "no bone ends at 'left_kneee'; a bone is named by its far joint: right_hip, right_knee",
    ),
    ({"pelvis": 0.4}, None, "no bone ends at 'pelvis'"),
    ({"left_knee": 44.0}, None, "bone 'left_knee' is said to be 44.0 long; give metres, between 0.02 and 1.5"),
    ({"left_knee": float("nan")}, None, "is said to be nan long"),
    ({}, 175.0, "height=175.0 is no person's; give metres, between 0.4 and 2.8"),
  ],
)
def test_what_no_person_has_is_refused(lengths, height, message):
  with pytest.raises(ValueError, match=message):
    person.know(person.prior(H36M, LENGTHS), H36M, lengths, height)


def test_a_height_needs_a_head():
  coco = skeleton.get("coco_17")
  belief = person.prior(coco, np.full(len(coco.bones), 0.3))
  with pytest.raises(ValueError, match="a height needs joint 'head_top', which skeleton 'coco_17' does not have"):
    person.know(belief, coco, {}, 1.7)


def test_evidence_tells_people_apart_as_the_normal_density_does():
  """A frame that measures all lengths y with covariance S is worth log N(y; m, P + S) under N(m, P)."""
  rng = np.random.default_rng(3)
  root = rng.normal(size=(BONES, BONES))
  noise = 1e-3 * (root @ root.T / BONES + np.eye(BONES))
  measured = LENGTHS * rng.uniform(0.8, 1.2, BONES)
  information, vector = np.linalg.inv(noise), np.linalg.solve(noise, measured)
  people = [person.prior(H36M, LENGTHS), person.prior(H36M, 1.3 * LENGTHS)]
  people.append(person.know(people[0], H36M, {"left_knee": 0.4, "right_elbow": 0.35}))
  expected, own = [], []
  for belief in people:
    precision = np.float64(belief.information)
    mean, covariance = np.linalg.solve(precision, np.float64(belief.vector)), np.linalg.inv(precision)
    expected.append(stats.multivariate_normal(mean, covariance + noise).logpdf(measured))
    own.append(float(person.log_evidence(belief, jnp.float32(information), jnp.float32(vector))))
  np.testing.assert_allclose(np.diff(own), np.diff(expected), rtol=2e-3, atol=2e-2)
  assert max(np.abs(np.diff(expected))) > 1


def test_a_frame_that_says_nothing_is_no_evidence():
  belief = person.prior(H36M, LENGTHS)
  nothing = Belief(jnp.zeros((BONES, BONES)), jnp.zeros(BONES))
  assert abs(person.log_evidence(belief, *nothing)) < 1e-3
