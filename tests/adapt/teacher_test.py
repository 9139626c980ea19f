"""The teacher: its loss, its average, its resets."""

import functools

import jax
import numpy as np
import pytest

from jaxpose.adapt import teacher
from tests.adapt import tiny

close = functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("window", [1, 3])
def test_consistency_is_the_distance_to_the_teachers_prediction(window):
  lifter, variables, inputs = tiny.model(window)
  weights = {"trunk": jax.tree.map(lambda x: 0.9 * x + 0.01, variables["params"]["trunk"])}
  taught = {**variables, "params": {**variables["params"], **weights}}
  pose, target = (tiny.predictions(lifter, v, inputs) for v in (variables, taught))
  seen = teacher.attach(variables, weights)
  objective = teacher.consistency(lifter, weight=2.0)
  value, _ = jax.jit(objective)(seen, inputs, tiny.KEY)
  close(value, 2 * ((pose - target) ** 2).sum((-1, -2)).mean())
  assert tiny.moves(tiny.finite_gradient(objective, seen, inputs)) == {"trunk", "head"}
  to_teacher = jax.jit(jax.grad(lambda w: objective(teacher.attach(variables, w), inputs, tiny.KEY)[0]))(weights)
  assert tiny.moves(to_teacher) == set()
  close(jax.jit(objective)(teacher.attach(variables, variables["params"]), inputs, tiny.KEY)[0], 0)


def test_without_a_teacher_the_way_to_one_is_named():
  lifter, variables, inputs = tiny.model()
  with pytest.raises(ValueError, match="'teacher' needs a teacher's weights: the variables hold"):
    teacher.consistency(lifter)(variables, inputs, tiny.KEY)


def test_the_average_and_the_reset_are_what_they_say():
  one, two = {"a": np.float32([1, 2])}, {"a": np.float32([3, 6])}
  close(teacher.follow(one, two, 0.75)["a"], [1.5, 3])
  close(teacher.soft_reset(one, two, 0.25)["a"], [1.5, 3])
  for tree in (teacher.follow(one, two, 1.0), teacher.soft_reset(one, two, 0.0)):
    np.testing.assert_array_equal(tree["a"], one["a"])
  for options, message in (
    (dict(decay=1.5), "decay=1.5 is a share"),
    (dict(reset=-1.0), "reset=-1.0 is a share"),
    (dict(anchor="sauce"), "anchor='sauce', expected one of teacher, source"),
  ):
    with pytest.raises(ValueError, match=message):
      teacher.Teacher(**options)
