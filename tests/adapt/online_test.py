"""Online adaptation: causal, resumable, skipping, side by side; against a plain loop of the same steps."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxpose import codec as codecs
from jaxpose import distributed, skeleton
from jaxpose.adapt import adapter as adapters
from jaxpose.adapt import first_order
from jaxpose.methods import iso
from jaxpose.models import discriminator, mlp
from tests import helpers

SKELETON = skeleton.get("h36m_17")
CODEC = codecs.build("root_rms", SKELETON)
BASE = jax.random.key(5)
COUNT = 12
IDS = np.arange(100, 100 + COUNT)
LIFTER = mlp.create(width=16, trunk_blocks=0, head_blocks=0, stem_norm=True)
METHOD = iso.create(LIFTER, CODEC, discriminator.create(width=16, blocks=0))
TX = optax.adam(1e-2)
close = functools.partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-4)
INFER = jax.jit(METHOD.infer)
ALL = dict(every=2, length=3)


@functools.cache
def data():
  clip = helpers.clip(COUNT)
  camera = jax.tree.map(lambda x: jnp.asarray(x)[None], clip.camera)
  keypoints = jnp.asarray(clip.keypoints_2d)[None]
  one = {"keypoints_2d": keypoints, "confidence": jnp.ones(keypoints.shape[:-1]), "camera": camera}
  inputs = np.asarray(CODEC.encode(clip.keypoints_2d, clip.camera))[:, None]
  flipped = (inputs * np.float32([-1, 1]))[:, :, list(SKELETON.flip)]
  variables = jax.jit(METHOD.init)(BASE, one)
  return variables, {"inputs": inputs, "flipped": flipped}


def take(stream, rows):
  return {k: v[rows] for k, v in stream.items()}


@functools.cache
def made(objective="cycle", **changes):
  own = dict(num_steps=1, copies=6, carried=True, keep_moments=True)
  return first_order.adapter(METHOD.infer, METHOD.objectives[objective], TX, **{**own, **changes})


# Reprojection draws nothing at random, and compiles in no time.
CHEAP = made("reprojection", copies=1, num_steps=2)


def run(adapter, stream, ids=IDS, state=None, **options):
  """One stream: outputs and the last state."""
  variables, _ = data()
  outputs, states = adapters.online(
    adapter, variables, [stream], [ids], BASE, starts=[state], **{"length": 3, **options}
  )
  return outputs[0], states[0]


def plain_loop(variables, stream, every=1, keep_moments=False):
  cycle = METHOD.objectives["cycle"]

  @jax.jit
  def step(params, opt_state, rows, key):
    grads = jax.grad(lambda p: cycle(first_order.merge(variables, p), rows, key, copies=6)[0])(params)
    updates, opt_state = TX.update(grads, opt_state, params)
    return optax.apply_updates(params, updates), opt_state

  params, outputs = first_order.select(variables, first_order.PAPER_GROUPS), []
  opt_state = fresh = TX.init(params)
  for t in range(COUNT):
    if t % every == 0:
      key, _ = jax.random.split(jax.random.fold_in(BASE, IDS[t]))
      rows = stream["inputs"][t][None]
      params, opt_state = step(params, opt_state if keep_moments else fresh, rows, jax.random.split(key, 1)[0])
    outputs.append(INFER(first_order.merge(variables, params), stream["inputs"][t][None], BASE)[0])
  return np.stack(outputs), params


@pytest.mark.parametrize(("every", "keep_moments"), [(1, False), (2, True)])
def test_online_is_the_plain_loop(every, keep_moments):
  variables, stream = data()
  source = jax.tree.map(np.array, variables)
  outputs, state = run(made(keep_moments=keep_moments), stream, every=every)
  expected, params = plain_loop(variables, stream, every, keep_moments)
  close(outputs["inputs"], expected)
  jax.tree.map(close, state.params, params)
  assert outputs["flipped"].shape == outputs["inputs"].shape
  jax.tree.map(np.testing.assert_array_equal, source, variables)


def test_the_future_does_not_matter():
  _, stream = data()
  changed = {k: v.copy() for k, v in stream.items()}
  for v in changed.values():
    v[7:] = v[7:][::-1] + 0.3
  (before, _), (after, _) = (run(made(), s, every=2) for s in (stream, changed))
  np.testing.assert_array_equal(before["inputs"][:7], after["inputs"][:7])
  assert np.abs(before["inputs"][7:] - after["inputs"][7:]).max() > 1e-3


@pytest.mark.parametrize("cuts", [(6,), (1, 4, 5)])
def test_a_stream_can_be_cut_anywhere_and_resumed(cuts):
  _, stream = data()
  whole, end = run(CHEAP, stream, every=3)
  state, outputs = None, []
  for start, stop in zip((0, *cuts), (*cuts, COUNT)):
    rows = slice(start, stop)
    own, state = run(CHEAP, take(stream, rows), IDS[rows], state, every=3)
    state = jax.tree.map(np.asarray, state), stop  # as a checkpoint gives it back
    outputs.append(own["inputs"])
  close(np.concatenate(outputs), whole["inputs"])
  jax.tree.map(close, state[0], end)


def test_chunks_are_a_matter_of_dispatch():
  _, stream = data()
  seen = []
  eleven = take(stream, slice(0, 11))  # six groups, the last with one instance
  one, end = run(CHEAP, eleven, IDS[:11], **ALL, progress=seen.append)
  assert seen == [6, 5] and len(one["inputs"]) == 11
  before = adapters._online._cache_size()
  short, _ = run(CHEAP, take(stream, slice(0, 9)), IDS[:9], **ALL)
  assert adapters._online._cache_size() == before  # five groups, padded to six
  close(short["inputs"], one["inputs"][:9])
  other, same = run(CHEAP, eleven, IDS[:11], every=2, length=100)
  close(one["inputs"], other["inputs"])
  jax.tree.map(close, end, same)


@pytest.mark.parametrize("side_by_side", [True, False])
def test_streams_side_by_side_are_streams_alone(side_by_side):
  variables, stream = data()
  pieces, ids = [take(stream, slice(0, 7)), take(stream, slice(7, None))], [IDS[:7], IDS[7:]]
  outputs, states = adapters.online(CHEAP, variables, pieces, ids, BASE, **ALL, side_by_side=side_by_side)
  for i in range(2):
    alone, end = run(CHEAP, pieces[i], ids[i], **ALL)
    assert outputs[i]["inputs"].shape == (*pieces[i]["inputs"].shape[:-1], 3)
    close(outputs[i]["flipped"], alone["flipped"])
    jax.tree.map(close, states[i], end)


def test_streams_on_eight_devices_are_streams_on_one():
  variables, stream = data()
  cuts = [(0, 4), (4, 7), (7, 12), (2, 5), (1, 3), (0, 2), (3, 8), (5, 6), (6, 9), (8, 12)]  # sixteen places for ten
  pieces, ids = [take(stream, slice(*c)) for c in cuts], [IDS[slice(*c)] for c in cuts]
  sharding = distributed.over_data(distributed.make_mesh())
  assert sharding.num_devices == 8
  run_all = functools.partial(adapters.online, CHEAP, variables, pieces, ids, BASE, every=2)
  jax.tree.map(close, run_all(sharding=sharding), run_all())
