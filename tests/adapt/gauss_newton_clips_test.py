"""Gauss-Newton without a Jacobian against the Jacobian written out, on clips and layers that run in one loop."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jaxpose.adapt.gauss_newton import Solver
from numpy.testing import assert_allclose

from jaxpose import adaptation, runs
from jaxpose.adapt import adapt, gauss_newton, matrix_free, online, residuals
from jaxpose.methods import supervised
from jaxpose.models import lifter as lifters
from tests import helpers
from tests.adapt import clip_models, tiny

LENGTHS = np.linspace(0.1, 0.5, 16).astype(np.float32)
RESIDUALS = residuals.weigh(
  {"reprojection": 1.0, "bone_lengths": 10.0}, residuals.available(clip_models.CODEC, LENGTHS)
)
STEPS, DAMPING = 2, 0.1


def solver(head_depth=1, iterations=300):
  lifter = clip_models.method(head_depth).lifter
  return Solver(lifter, RESIDUALS, num_steps=STEPS, damping=DAMPING, carry=0.4, iterations=iterations)


def kernels_of(params):
  """Every kernel below params["trunk"], by path."""
  flat = jax.tree_util.tree_leaves_with_path(params["trunk"])
  return {jax.tree_util.keystr(p): x for p, x in flat if jax.tree_util.keystr(p).endswith("['kernel']")}


def with_kernels(params, kernels):
  trunk = jax.tree_util.tree_map_with_path(lambda p, x: kernels.get(jax.tree_util.keystr(p), x), params["trunk"])
  return {**params, "trunk": trunk}


def reference(variables, rows, lifter):
  """Levenberg-Marquardt, J written out and solved in float64: outputs, the loss before each step, mean diagonals.

  The damping's mean diagonal is the estimate that the library makes, from J itself.
  """
  params, losses, diagonals, kernels = variables["params"], [], [], kernels_of(variables["params"])

  def explained(kernels):
    outputs = lifters.predict(lifter, {"params": with_kernels(params, kernels)}, rows)
    error = RESIDUALS(outputs, rows).reshape(-1)
    return error, (error, outputs)

  jacobian_of = jax.jit(jax.jacrev(explained, has_aux=True))
  for _ in range(STEPS):
    blocks, (error, _) = jacobian_of(kernels)
    error = np.asarray(error, np.float64)
    jacobian = np.concatenate([np.asarray(b, np.float64).reshape(len(error), -1) for b in blocks.values()], 1)
    signs = jax.random.rademacher(jax.random.key(0), (matrix_free.PROBES, len(rows), len(error) // len(rows)))
    estimate = (np.asarray(signs).reshape(-1, len(error)) @ jacobian) ** 2
    gram, level = jacobian @ jacobian.T, estimate.sum(1).mean() / len(error)
    step = -jacobian.T @ np.linalg.solve(gram + DAMPING * level * np.eye(len(gram)), error)
    parts = np.split(step, np.cumsum([k.size for k in kernels.values()])[:-1])
    kernels = {n: k + np.float32(p.reshape(k.shape)) for (n, k), p in zip(kernels.items(), parts)}
    losses.append((error**2).sum() / len(rows))
    diagonals.append((level, np.trace(gram) / len(gram)))
  return np.asarray(jacobian_of(kernels)[1][1]), losses, diagonals


def test_it_is_levenberg_marquardt_with_the_jacobian_written_out():
  """Every layer of the loop, each with weights of its own, in all frames and joints."""
  variables, own = clip_models.variables(0), clip_models.instances()
  instance = {name: x[1] for name, x in sorted(own.items())}
  solved = jax.jit(functools.partial(gauss_newton.adapt_one, solver(0)))(variables, instance)
  outputs, losses, diagonals = reference(variables, jnp.stack(list(instance.values())), solver(0).lifter)
  assert_allclose(solved.losses, losses, rtol=1e-4)
  for k, name in enumerate(instance):
    assert_allclose(solved.outputs[name], outputs[k], atol=2e-3)
  assert losses[-1] < 0.5 * losses[0]
  for estimate, exact in diagonals:
    assert_allclose(estimate, exact, rtol=0.5)
  assert {path[0] for path in solved.changes} == {"trunk"}
  moved = {path: np.abs(change).max((-1, -2)) for path, change in solved.changes.items()}
  assert all(np.all(size > 1e-4) for size in moved.values())
  assert {size.shape for path, size in moved.items() if "layers" in path} == {(clip_models.DEPTH,)}


def exact_diagonal(back, like):
  rows = jax.vmap(back)(jnp.eye(like.size).reshape(like.size, *like.shape))
  return matrix_free.square(rows) / like.size


def frames(**changes):
  """A solver of the single-frame model of `tiny`, its variables and instances."""
  lifter, variables, inputs = tiny.model()
  own = {"inputs": np.asarray(inputs), "flipped": np.asarray(inputs)[:, :, ::-1] * np.float32([-1, 1])}
  return Solver(lifter, RESIDUALS, num_steps=STEPS, carry=0.4, **changes), variables, own


def test_conjugate_gradients_and_the_exact_solution_agree_where_both_can_be_had(monkeypatch):
  monkeypatch.setattr(matrix_free, "mean_diagonal", exact_diagonal)
  solve, variables, own = frames(iterations=300)
  instance = {name: x[1] for name, x in own.items()}
  free, exact = (
    jax.jit(functools.partial(gauss_newton.adapt_one, s))(variables, instance)
    for s in (solve, solve._replace(iterations=0))
  )
  for name in instance:
    assert_allclose(free.outputs[name], exact.outputs[name], atol=1e-4)
  assert_allclose(free.losses, exact.losses, rtol=1e-3)
  both = [gauss_newton.apply(variables["params"], s.first)["trunk"] for s in (free, exact)]
  jax.tree.map(functools.partial(assert_allclose, atol=1e-4), *both)
  moved = jax.tree.map(lambda new, old: np.abs(new - old).max(), both[0], variables["params"]["trunk"])
  assert max(jax.tree.leaves(moved)) > 0.01


def test_neither_order_chunk_nor_neighbours_matter_and_a_stream_carries_first_steps():
  solve, variables, own = frames(iterations=30)
  split = adapt.split_variables(variables, ("trunk",))
  options = dict(
    infer=supervised.create(solve.lifter, tiny.CODEC).infer, objective=None, tx=optax.identity(), num_steps=STEPS
  )
  run = functools.partial(adapt.vanilla, split, base_key=tiny.KEY, solver=solve, **options)
  outputs, losses = run(own, np.arange(6), chunk=3, side_by_side=False)
  assert losses.shape == (6, STEPS) and np.all(losses[:, -1] < losses[:, 0])
  turned, _ = run({n: x[::-1] for n, x in own.items()}, np.arange(6), chunk=4, side_by_side=True)
  assert_allclose(turned["inputs"][::-1], outputs["inputs"], atol=1e-3)
  streamed, _, end = online.online(split, own, np.arange(6), tiny.KEY, solver=solve, **options)
  params, one = dict(split.adapted), jax.jit(functools.partial(gauss_newton.adapt_one, solve))
  for t in range(6):  # Algorithm 1, as a loop
    solved = one(adapt.merge(adapt.Split(params, split.frozen)), {n: x[t] for n, x in own.items()})
    assert_allclose(streamed["inputs"][t], solved.outputs["inputs"], atol=2e-3)
    params = gauss_newton.apply(params, solved.first, solve.carry)
  jax.tree.map(functools.partial(assert_allclose, atol=1e-3), end.adapted, params)


def test_residuals_that_no_weight_can_change_leave_everything_as_it_is():
  none = {"w": jnp.zeros(3)}
  change, first, losses = matrix_free.solve(
    lambda c: jnp.full((2, 4), 3.0) + 0 * c["w"].sum(), none, num_steps=2, damping=0.1, iterations=5
  )
  assert not np.any(change["w"]) and not np.any(first["w"])
  assert_allclose(losses, 36)


@pytest.mark.parametrize("mode", ["vanilla", "online"])
def test_the_recommended_settings_take_clips(mode):
  """Two windows and a tail that overlaps them, and a clip shorter than a window."""
  model, clips = clip_models.trained(1), [helpers.clip(7), helpers.clip(2, seed=1, sequence="short")]
  settings = dataclasses.replace(runs.RECOMMENDED[mode], num_steps=2)
  poses, facts = adaptation.adapt_clips(model, clips, settings, False, devices=jax.devices()[:1])
  plain, _ = runs.predict(model, clips)
  assert facts["instances"] == 4
  for own, source, clip in zip(poses, plain, clips):
    assert own.shape == clip.joints_3d.shape and np.isfinite(own).all()
    assert np.abs(own - source).max((1, 2)).min() > 1e-3


def test_what_has_no_factors_is_solved_by_iterations():
  params, settings = clip_models.variables(1)["params"], runs.RECOMMENDED["vanilla"]
  assert gauss_newton.loops(params) and not gauss_newton.loops(tiny.model()[1]["params"])
  assert adaptation.build_solver(clip_models.trained(1), settings).iterations == adaptation.ITERATIONS
  assert set(gauss_newton.kernels(params, ("head",))) > {("head", "pose"), ("head", "layers", "fusion")}
  with pytest.raises(ValueError, match="name trunk, head or both"):
    gauss_newton.kernels(params, ())
  with pytest.raises(ValueError, match="no linear layers in neck"):
    gauss_newton.kernels(params, ("neck",))
