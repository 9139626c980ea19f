"""Vanilla adaptation against a plain loop written from Algorithm 1, and what must not change a result."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxpose import codec as codecs
from jaxpose import distributed, skeleton
from jaxpose.adapt import adapt
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


def run(split, instances, ids=IDS, **changes):
  options = dict(infer=METHOD.infer, objective=METHOD.objectives["cycle"], tx=TX, num_steps=3, copies=4, chunk=3)
  return adapt.vanilla(split, instances, ids, BASE, **{**options, **changes})


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
  outputs, losses = run(adapt.split_variables(variables), instances)
  expected = algorithm_1(variables, instances, IDS, adapt.PAPER_GROUPS)
  for name in instances:
    close(outputs[name], expected[name])
  assert losses.shape == (len(IDS), 3) and np.isfinite(losses).all()
  unadapted = METHOD.infer(variables, jnp.asarray(instances["inputs"]), BASE)
  assert np.abs(outputs["inputs"] - unadapted).max() > 0.01
  jax.tree.map(np.testing.assert_array_equal, before, variables)  # the source weights are untouched, to the bit


def test_neither_order_nor_chunk_size_matters():
  variables, instances = data()
  split = adapt.split_variables(variables)
  outputs, _ = run(split, instances)
  order = np.argsort(IDS)
  shuffled, _ = run(split, {k: v[order] for k, v in instances.items()}, IDS[order], chunk=100)
  close(outputs["inputs"][order], shuffled["inputs"])
  close(outputs["flipped"][order], shuffled["flipped"])


def test_eight_devices_give_what_one_gives():
  variables, instances = data()
  split = adapt.split_variables(variables)
  sharding = distributed.over_data(distributed.make_mesh())
  assert sharding.num_devices == 8
  spread, _ = run(split, instances, chunk=8, sharding=sharding)
  close(spread["inputs"], run(split, instances)[0]["inputs"])
  beside, _ = run(split, instances, chunk=8, sharding=sharding, side_by_side=True)
  close(beside["inputs"], spread["inputs"])
  with pytest.raises(ValueError, match="chunk=3 must be a positive multiple of the 8 devices"):
    run(split, instances, sharding=sharding)


def test_zero_steps_are_inference():
  variables, instances = data()
  outputs, losses = run(adapt.split_variables(variables), instances, num_steps=0)
  np.testing.assert_allclose(
    outputs["inputs"], METHOD.infer(variables, jnp.asarray(instances["inputs"]), BASE), rtol=1e-5, atol=1e-6
  )
  assert losses.shape == (len(IDS), 0)


def test_only_the_selected_parts_move():
  variables, instances = data()
  split = adapt.split_variables(variables, ("trunk",))
  assert set(split.adapted) == {"trunk"}
  jax.tree.map(np.testing.assert_array_equal, adapt.merge(split), variables)
  one = {k: v[0] for k, v in instances.items()}
  options = dict(objective=METHOD.objectives["cycle"], tx=TX, num_steps=2, copies=4)
  adapted, losses = jax.jit(functools.partial(adapt.adapt_one, **options))(split, one, BASE)
  assert losses.shape == (2,) and jax.tree.structure(adapted) == jax.tree.structure(split.adapted)
  moved = jax.tree.map(lambda a, b: bool(np.any(a != b)), adapted, split.adapted)
  assert any(jax.tree.leaves(moved))


def test_groups_are_checked():
  variables, _ = data()
  with pytest.raises(ValueError, match="no parameters named 'trunc'; this model's are discriminator, head, self_sup"):
    adapt.split_variables(variables, ("trunc", "head"))
  with pytest.raises(ValueError, match="selects no parameters; this model's are discriminator"):
    adapt.split_variables(variables, ())


def test_a_supervised_model_adapts_by_reprojection():
  variables, instances = data()
  plain = supervised.create(METHOD.lifter, CODEC)
  own = {c: {n: v for n, v in parts.items() if n in ("trunk", "head")} for c, parts in variables.items()}
  split = adapt.split_variables(own)
  assert set(split.adapted) == {"trunk"}
  options = dict(infer=plain.infer, objective=plain.objectives["reprojection"], tx=optax.adam(1e-3), num_steps=8)
  _, losses = adapt.vanilla(split, instances, IDS, BASE, **options, copies=1)
  assert (losses[:, -1] < losses[:, 0]).all()
  _, same = adapt.vanilla(split, instances, IDS, BASE, **options, copies=4)
  close(losses, same)


def test_a_step_draws_equally_often_from_every_row():
  _, instances = data()
  recent = {k: v[:2] for k, v in instances.items()}
  rows, copies = adapt.drawn_from(recent, 6)
  np.testing.assert_array_equal(rows, recent["inputs"])
  assert copies == 3
  rows, copies = adapt.drawn_from(recent, 8, flip_rows=True)
  np.testing.assert_array_equal(rows[2:], recent["flipped"])
  assert copies == 2
  with pytest.raises(ValueError, match="copies=6 must be a positive multiple of the 4 different rows"):
    adapt.drawn_from(recent, 6, flip_rows=True)
  with pytest.raises(ValueError, match="needs 'flipped'"):
    adapt.drawn_from({"inputs": recent["inputs"]}, 4, flip_rows=True)


@pytest.mark.parametrize("num_steps", [1, 2, 4])
def test_side_by_side_is_one_after_another(num_steps):
  variables, instances = data()
  split = adapt.split_variables(variables)
  # 4 at a time, where a single step takes several together
  both = [run(split, instances, num_steps=num_steps, side_by_side=s, chunk=4) for s in (True, False)]
  jax.tree.map(close, *both)
  assert both[0][1].shape == (len(IDS), num_steps)


def test_one_compilation_serves_every_chunk_and_call():
  variables, instances = data()
  split = adapt.split_variables(variables)
  run(split, instances)
  before = adapt.vanilla_chunk._cache_size()
  seen = []
  run(split, instances, progress=seen.append)
  run(split, {k: v[:4] for k, v in instances.items()}, IDS[:4])
  assert adapt.vanilla_chunk._cache_size() == before
  assert seen == [3, 3, 1]


def test_every_instance_has_an_id():
  variables, instances = data()
  with pytest.raises(ValueError, match="2 ids for 7 instances"):
    run(adapt.split_variables(variables), instances, IDS[:2])


def test_modes_are_the_papers():
  modes = {name: (m.online, m.num_steps, m.learning_rate, m.every) for name, m in adapt.MODES.items()}
  assert modes == {
    "none": (False, 0, 0.0, 1),
    "vanilla": (False, 10, 2e-5, 1),
    "vanilla_lr": (False, 1, 2e-4, 1),
    "online": (True, 1, 2e-5, 1),
    "online_skip": (True, 1, 2e-5, 10),
  }


def test_objectives_of_a_method_are_in_evaluation_mode():
  """A row's loss does not depend on the other rows: batch statistics have no say."""
  variables, instances = data()
  rows, objective = jnp.asarray(instances["inputs"]), jax.jit(METHOD.objectives["reprojection"])
  alone = [objective(variables, rows[i : i + 1], BASE)[0] for i in range(len(rows))]
  close(objective(variables, rows, BASE)[0], np.mean(alone))
