"""Gradient steps on instances alone against a plain loop of Algorithm 1, and what must not change a result."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxpose import codec as codecs
from jaxpose import distributed, skeleton
from jaxpose.adapt import adapter as adapters
from jaxpose.adapt import first_order, settings
from jaxpose.methods import iso, supervised
from jaxpose.models import discriminator, mlp
from tests import helpers

SKELETON = skeleton.get("h36m_17")
CODEC = codecs.build("root_rms", SKELETON)
BASE = jax.random.key(11)
IDS = np.array([40, 7, 23, 11, 5, 99, 3])
LIFTER = mlp.create(width=16, trunk_blocks=0, head_blocks=0, stem_norm=True)
METHOD = iso.create(LIFTER, CODEC, discriminator.create(width=16, blocks=0))
INFER = jax.jit(METHOD.infer)
TX = optax.adam(1e-2)
close = functools.partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-4)


@functools.cache
def data():
  clip = helpers.clip(len(IDS))
  camera = jax.tree.map(lambda x: jnp.asarray(x)[None], clip.camera)
  one = {
    "keypoints_2d": jnp.asarray(clip.keypoints_2d)[None],
    "confidence": jnp.ones((1, len(IDS), 17)),
    "camera": camera,
  }
  inputs = np.asarray(CODEC.encode(clip.keypoints_2d, clip.camera))[:, None]
  flipped = (inputs * np.float32([-1, 1]))[:, :, list(SKELETON.flip)]
  return jax.jit(METHOD.init)(BASE, one), {"inputs": inputs, "flipped": flipped}


@functools.cache
def made(objective="cycle", **changes):
  return first_order.adapter(
    METHOD.infer, METHOD.objectives[objective], TX, **{**dict(num_steps=3, copies=4), **changes}
  )


def run(adapter, variables, instances, ids=IDS, **changes):
  return adapters.alone(adapter, variables, instances, ids, BASE, **{**dict(chunk=3, together=1), **changes})[0]


def algorithm_1(variables, instances, ids, groups, num_steps=3, copies=4):
  """Instance by instance, without vmap, scan or splitting: Adam, in NumPy, on the chosen parts."""
  cycle, predictions = METHOD.objectives["cycle"], []
  gradient = jax.jit(jax.grad(lambda p, x, k: cycle({**variables, "params": p}, x, k)[0]))

  def adam(t, weight, grad, moments):
    moments[0], moments[1] = 0.9 * moments[0] + 0.1 * grad, 0.999 * moments[1] + 0.001 * grad**2
    return weight - np.float32(1e-2) * (moments[0] / (1 - 0.9**t)) / (np.sqrt(moments[1] / (1 - 0.999**t)) + 1e-8)

  for i, id in enumerate(ids):
    params = jax.tree.map(np.asarray, variables["params"])
    key, _ = jax.random.split(jax.random.fold_in(BASE, id))
    rows = np.stack([instances["inputs"][i]] * copies)
    moments = jax.tree.map(lambda x: [np.zeros_like(x), np.zeros_like(x)], params)
    for t, step_key in enumerate(jax.random.split(key, num_steps), start=1):
      grads = jax.tree.map(np.asarray, gradient(params, rows, step_key))
      for g in groups:
        params[g] = jax.tree.map(functools.partial(adam, t), params[g], grads[g], moments[g])
    adapted = {**variables, "params": params}
    predictions.append({k: INFER(adapted, v[i][None], key)[0] for k, v in instances.items()})
  return {k: np.stack([p[k] for p in predictions]) for k in instances}


def test_vanilla_is_algorithm_1():
  variables, instances = data()
  before = jax.tree.map(np.array, variables)
  outputs = run(made(), variables, instances)
  expected = algorithm_1(variables, instances, IDS, first_order.PAPER_GROUPS)
  for name in instances:
    close(outputs[name], expected[name])
  unadapted = INFER(variables, jnp.asarray(instances["inputs"]), BASE)
  assert np.abs(outputs["inputs"] - unadapted).max() > 0.01
  jax.tree.map(np.testing.assert_array_equal, before, variables)  # the source weights are untouched, to the bit


def test_neither_order_nor_chunk_size_matters():
  variables, instances = data()
  outputs = run(made(), variables, instances)
  order = np.argsort(IDS)
  shuffled = run(made(), variables, {k: v[order] for k, v in instances.items()}, IDS[order], chunk=100)
  close(outputs["inputs"][order], shuffled["inputs"])
  close(outputs["flipped"][order], shuffled["flipped"])


def test_eight_devices_give_what_one_gives():
  variables, instances = data()
  sharding = distributed.over_data(distributed.make_mesh())
  assert sharding.num_devices == 8
  spread = run(made(), variables, instances, chunk=8, sharding=sharding)
  close(spread["inputs"], run(made(), variables, instances)["inputs"])
  beside = run(made(), variables, instances, chunk=16, together=2, sharding=sharding)
  close(beside["inputs"], spread["inputs"])


def test_only_the_selected_parts_move():
  variables, instances = data()
  adapter = made(groups=("trunk",), carried=True)
  state = adapter.init(variables)
  assert set(state.params) == {"trunk"} and state.moments == ()
  jax.tree.map(np.testing.assert_array_equal, first_order.merge(variables, state.params), variables)
  after = jax.jit(adapter.adapt)(variables, state, {k: v[0] for k, v in instances.items()}, BASE)
  assert jax.tree.structure(after) == jax.tree.structure(state)
  moved = jax.tree.map(lambda a, b: bool(np.any(a != b)), after.params, state.params)
  assert any(jax.tree.leaves(moved))


def test_groups_are_checked():
  variables, _ = data()
  with pytest.raises(ValueError, match="no parameters named 'trunc'; this model's are discriminator, head, self_sup"):
    first_order.select(variables, ("trunc", "head"))
  with pytest.raises(ValueError, match="selects no parameters; this model's are discriminator"):
    first_order.select(variables, ())


def test_a_supervised_model_adapts_by_reprojection():
  variables, instances = data()
  plain = supervised.create(METHOD.lifter, CODEC)
  own = {c: {n: v for n, v in parts.items() if n in ("trunk", "head")} for c, parts in variables.items()}
  assert set(first_order.select(own, first_order.PAPER_GROUPS)) == {"trunk"}
  objective, tx = plain.objectives["reprojection"], optax.adam(1e-3)
  one, four = (first_order.adapter(plain.infer, objective, tx, num_steps=8, copies=n) for n in (1, 4))
  outputs = run(one, own, instances)

  def error(poses):
    return ((CODEC.project(poses) - instances["inputs"]) ** 2).sum((-1, -2, -3))

  assert (error(outputs["inputs"]) < error(plain.infer(own, jnp.asarray(instances["inputs"]), BASE))).all()
  close(outputs["inputs"], run(four, own, instances)["inputs"])


@pytest.mark.parametrize("num_steps", [1, 2, 4])
def test_side_by_side_is_one_after_another(num_steps):
  variables, instances = data()
  adapter = made(num_steps=num_steps)
  four, two, one = (run(adapter, variables, instances, together=n, chunk=4) for n in (4, 2, 1))
  jax.tree.map(close, four, one)
  jax.tree.map(close, two, one)


def test_what_a_stream_needs_of_the_last_step_changes_no_prediction():
  variables, instances = data()
  jax.tree.map(close, *(run(made(carried=carried), variables, instances) for carried in (False, True)))


def test_one_compilation_serves_every_chunk_and_call():
  variables, instances = data()
  run(made(), variables, instances)
  before = adapters._alone._cache_size()
  seen = []
  run(made(), variables, instances, progress=seen.append)
  run(made(), variables, {k: v[:4] for k, v in instances.items()}, IDS[:4])
  assert adapters._alone._cache_size() == before
  assert seen == [3, 3, 1]


def test_what_is_kept_of_the_states_is_by_instance():
  variables, instances = data()
  adapter = made("reprojection", groups=("trunk",), carried=True)
  _, kept = adapters.alone(adapter, variables, instances, IDS, BASE, chunk=3, together=3, keep=lambda s: s.params)
  for i in (0, 6):
    key, _ = jax.random.split(jax.random.fold_in(BASE, IDS[i]))
    one = adapter.adapt(variables, adapter.init(variables), {k: v[i] for k, v in instances.items()}, key)
    jax.tree.map(lambda a, b, i=i: close(a[i], b), kept, one.params)


def test_modes_are_the_papers():
  modes = {name: (m.streams, m.num_steps, m.learning_rate, m.every) for name, m in settings.MODES.items()}
  assert modes == {
    "none": (False, 0, 0.0, 1),
    "vanilla": (False, 10, 2e-5, 1),
    "vanilla_lr": (False, 1, 2e-4, 1),
    "online": (True, 1, 2e-5, 1),
    "online_skip": (True, 1, 2e-5, 10),
    "video": (True, 0, 0.0, 1),  # the library's
  }


def test_objectives_of_a_method_are_in_evaluation_mode():
  """A row's loss does not depend on the other rows: batch statistics have no say."""
  variables, instances = data()
  rows, objective = jnp.asarray(instances["inputs"]), jax.jit(METHOD.objectives["reprojection"])
  alone = [objective(variables, rows[i : i + 1], BASE)[0] for i in range(len(rows))]
  close(objective(variables, rows, BASE)[0], np.mean(alone))
