import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jaxpose.adapt.gauss_newton import Solver
from numpy.testing import assert_allclose

from jaxpose import distributed, models
from jaxpose.adapt import adapt, gauss_newton, objectives, online, residuals, structure
from jaxpose.models import lifter as lifters
from tests.adapt.tiny import CODEC, KEY, LIFTER, SKELETON, model

LENGTHS = np.linspace(0.1, 0.5, len(SKELETON.bones)).astype(np.float32)
KNOWN = residuals.available(CODEC, LENGTHS)
RESIDUALS = residuals.weigh({"reprojection": 1.0, "bone_lengths": 10.0}, KNOWN)
SOLVER = Solver(LIFTER, RESIDUALS, num_steps=3, damping=0.1, carry=0.4)
_NO_OPTIMIZER = optax.identity()


def _infer(variables, inputs, key):
  del key
  return lifters.predict(LIFTER, variables, inputs)


vanilla = functools.partial(adapt.vanilla, infer=_infer, objective=None, tx=_NO_OPTIMIZER, num_steps=3, solver=SOLVER)


def instances(window=1):
  _, variables, inputs = model(window)
  return variables, {"inputs": np.asarray(inputs), "flipped": np.asarray(inputs)[:, :, ::-1] * np.float32([-1, 1])}


def split_of(variables):
  return adapt.split_variables(variables, ("trunk",))


def kernels_of(params):
  """Every kernel below params["trunk"], by path."""
  flat = jax.tree_util.tree_leaves_with_path(params["trunk"])
  return {jax.tree_util.keystr(p): x for p, x in flat if jax.tree_util.keystr(p).endswith("['kernel']")}


def with_kernels(params, kernels):
  trunk = jax.tree_util.tree_map_with_path(lambda p, x: kernels.get(jax.tree_util.keystr(p), x), params["trunk"])
  return {**params, "trunk": trunk}


def reference(variables, rows, num_steps, damping):
  """Levenberg-Marquardt with a written-out Jacobian and float64 solves: the outputs, and the loss before each step."""
  params, losses = variables["params"], []

  def outputs_of(kernels):
    return lifters.predict(LIFTER, {**variables, "params": with_kernels(params, kernels)}, rows)

  for _ in range(num_steps):
    kernels = kernels_of(params)
    error = np.asarray(RESIDUALS(outputs_of(kernels), rows), np.float64).reshape(-1)
    blocks = jax.jacrev(lambda k: RESIDUALS(outputs_of(k), rows).reshape(-1))(kernels)
    jacobian = np.concatenate([np.asarray(b, np.float64).reshape(len(error), -1) for b in blocks.values()], 1)
    gram = jacobian @ jacobian.T
    step = -jacobian.T @ np.linalg.solve(gram + damping * np.trace(gram) / len(gram) * np.eye(len(gram)), error)
    parts = np.split(step, np.cumsum([k.size for k in kernels.values()])[:-1])
    moved = {n: k + np.float32(p.reshape(k.shape)) for (n, k), p in zip(kernels.items(), parts)}
    params = with_kernels(params, moved)
    losses.append((error**2).sum() / len(rows))
  return np.asarray(lifters.predict(LIFTER, {**variables, "params": params}, rows)), losses


@pytest.mark.parametrize("window", [1, 3])
def test_it_is_levenberg_marquardt_with_the_jacobian_written_out(window):
  variables, own = instances(window)
  instance = {name: x[1] for name, x in own.items()}
  solved = jax.jit(functools.partial(gauss_newton.adapt_one, SOLVER))(variables, instance)
  outputs, losses = reference(variables, jnp.stack(list(instance.values())), 3, 0.1)
  assert_allclose(solved.losses, losses, rtol=1e-3)
  assert losses[-1] < 0.2 * losses[0]
  for k, name in enumerate(instance):
    assert_allclose(solved.outputs[name], outputs[k], atol=1e-4)


def test_a_change_as_factors_is_the_change_written_out():
  variables, own = instances()
  rows = jnp.asarray(own["inputs"][:2])
  changes, _ = gauss_newton.solve(SOLVER, variables, rows)
  written = {**variables, "params": gauss_newton.apply(variables["params"], changes)}
  by_factors = gauss_newton.predict(SOLVER, variables, changes, rows)
  assert_allclose(by_factors, lifters.predict(LIFTER, written, rows), atol=1e-5)
  assert not np.allclose(by_factors, lifters.predict(LIFTER, variables, rows), atol=1e-3)


def test_the_first_step_is_a_solve_of_one_step():
  variables, own = instances()
  rows = jnp.asarray(own["inputs"][:2])
  all_steps, _ = gauss_newton.solve(SOLVER, variables, rows)
  one_step, _ = gauss_newton.solve(SOLVER._replace(num_steps=1), variables, rows)
  jax.tree.map(lambda a, b: assert_allclose(a, b, atol=1e-6), gauss_newton.first_step(SOLVER, all_steps), one_step)


def test_vanilla_depends_on_no_order_chunk_or_device():
  variables, own = instances()
  split, ids = split_of(variables), np.arange(6)
  outputs, losses = vanilla(split, own, ids, KEY, chunk=6)
  assert losses.shape == (6, 3)
  turned, _ = vanilla(split, {n: x[::-1] for n, x in own.items()}, ids[::-1], KEY, chunk=4)
  sharding = distributed.over_data(distributed.make_mesh(jax.local_devices()))
  spread, _ = vanilla(split, own, ids, KEY, chunk=8, sharding=sharding)
  for name in outputs:
    assert_allclose(turned[name][::-1], outputs[name], atol=1e-5)
    assert_allclose(spread[name], outputs[name], atol=1e-5)
    assert not np.allclose(outputs[name], lifters.predict(LIFTER, variables, own[name]), atol=1e-3)


def stream(own, split, **options):
  solver = options.pop("solver", SOLVER)
  ids = np.arange(len(own["inputs"]))
  return online.online(
    split, own, ids, KEY, infer=_infer, objective=None, tx=_NO_OPTIMIZER, num_steps=3, solver=solver, **options
  )


def test_a_stream_that_carries_nothing_is_vanilla():
  variables, own = instances()
  outputs, _, end = stream(own, split_of(variables), solver=SOLVER._replace(carry=0.0))
  alone, _ = vanilla(split_of(variables), own, np.arange(6), KEY, chunk=6)
  for name in outputs:
    assert_allclose(outputs[name], alone[name], atol=1e-5)
  jax.tree.map(lambda a, b: assert_allclose(a, b, atol=0), end.adapted["trunk"], variables["params"]["trunk"])


def test_a_stream_carries_a_share_of_first_steps_and_goes_on_from_where_it_was_cut():
  variables, own = instances()
  split = split_of(variables)
  outputs, _, end = stream(own, split)
  params = dict(split.adapted)
  for t in range(6):  # Algorithm 1, as a loop
    current = adapt.merge(adapt.Split(params, split.frozen))
    solved = gauss_newton.adapt_one(SOLVER, current, {n: x[t] for n, x in own.items()})
    assert_allclose(outputs["inputs"][t], solved.outputs["inputs"], atol=1e-4)
    params = gauss_newton.apply(params, gauss_newton.first_step(SOLVER, solved.changes), SOLVER.carry)
  jax.tree.map(lambda a, b: assert_allclose(a, b, atol=1e-4), end.adapted, params)
  early, _, state = stream({n: x[:4] for n, x in own.items()}, split)
  late, _, _ = stream({n: x[4:] for n, x in own.items()}, split, state=state)
  assert_allclose(np.concatenate([early["inputs"], late["inputs"]]), outputs["inputs"], atol=1e-6)


def test_an_instance_that_a_gate_passes_by_is_predicted_as_the_stream_stands_and_moves_nothing():
  variables, own = instances()
  split = split_of(variables)
  outputs, _, end = stream(own, split, adapt_to=np.zeros(6, bool))
  assert_allclose(outputs["inputs"], lifters.predict(LIFTER, variables, own["inputs"]), atol=1e-6)
  jax.tree.map(lambda a, b: assert_allclose(a, b, atol=0), end.adapted, split.adapted)


def test_residuals_squared_are_the_objectives():
  lifter, variables, inputs = model()
  outputs = lifters.predict(lifter, variables, inputs)
  expected = {
    "reprojection": objectives.reprojection(lifter, CODEC, weight=1.0),
    "bone_lengths": objectives.bone_lengths(lifter, CODEC, LENGTHS, weight=1.0),
    "symmetry": structure.symmetry(lifter, SKELETON, weight=1.0),
  }
  assert set(KNOWN) == set(expected)
  for name, objective in expected.items():
    assert_allclose((KNOWN[name](outputs, inputs) ** 2).sum(-1).mean(), objective(variables, inputs, KEY)[0], rtol=1e-5)


def test_a_missing_joint_has_no_residual():
  lifter, variables, inputs = model()
  inputs = inputs.at[:, :, 5].set(0)
  errors = KNOWN["reprojection"](lifters.predict(lifter, variables, inputs), inputs).reshape(-1, 17, 2)
  assert np.all(errors[:, 5] == 0) and np.all(errors[:, 6] != 0)


def test_what_it_cannot_solve_is_refused():
  with pytest.raises(ValueError, match="'cycle' is no sum of squares.*reprojection, bone_lengths, symmetry"):
    residuals.weigh({"cycle": 1.0}, KNOWN)
  variables, own = instances()
  with pytest.raises(ValueError, match="every=2"):
    stream(own, split_of(variables), every=2)
  with pytest.raises(ValueError, match="name trunk, head or both"):
    gauss_newton.solve(SOLVER._replace(parts=()), variables, jnp.asarray(own["inputs"][:1]))
  with pytest.raises(ValueError, match="no linear layers in discriminator"):
    gauss_newton.solve(SOLVER._replace(parts=("discriminator",)), variables, jnp.asarray(own["inputs"][:1]))
  lifter = models.build("dstformer", dim_feat=8, dim_rep=8, depth=2, num_heads=2, mlp_ratio=1, maxlen=3)
  x = jnp.zeros((1, 3, 17, 2))
  with pytest.raises(ValueError, match="several layers in one loop"):
    gauss_newton.solve(SOLVER._replace(lifter=lifter), lifter.init(KEY, x), x)
