"""Online adaptation: causal, resumable, skipping, side by side; against a plain loop of the same steps."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxpose import codec as codecs
from jaxpose import distributed, skeleton
from jaxpose.adapt import adapt, online, teacher
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
OPTIONS = dict(infer=METHOD.infer, objective=METHOD.objectives["cycle"], tx=TX, copies=6, chunk=3)
ALL = dict(OPTIONS, every=2, memory=3, carry_optimizer=True)
# Reprojection draws nothing at random, and compiles in no time.
CHEAP = dict(ALL, objective=METHOD.objectives["reprojection"])
TAUGHT = dict(CHEAP, teacher=teacher.Teacher(decay=0.8, reset=0.25))


@functools.cache
def data():
  clip = helpers.clip(COUNT)
  camera = jax.tree.map(lambda x: jnp.asarray(x)[None], clip.camera)
  keypoints = jnp.asarray(clip.keypoints_2d)[None]
  one = {"keypoints_2d": keypoints, "confidence": jnp.ones(keypoints.shape[:-1]), "camera": camera}
  inputs = np.asarray(CODEC.encode(clip.keypoints_2d, clip.camera))[:, None]
  flipped = (inputs * np.float32([-1, 1]))[:, :, list(SKELETON.flip)]
  variables = jax.jit(METHOD.init)(BASE, one)
  return adapt.split_variables(variables), {"inputs": inputs, "flipped": flipped}


def take(stream, rows):
  return {k: v[rows] for k, v in stream.items()}


def plain_loop(split, stream, every=1, memory=1, carry_optimizer=False, copies=6):
  cycle = METHOD.objectives["cycle"]

  @jax.jit
  def step(adapted, opt_state, rows, key):
    grads = jax.grad(lambda a: cycle(adapt.merge(adapt.Split(a, split.frozen)), rows, key)[0])(adapted)
    updates, opt_state = TX.update(grads, opt_state, adapted)
    return optax.apply_updates(adapted, updates), opt_state

  adapted, fresh, outputs = split.adapted, TX.init(split.adapted), []
  opt_state = fresh
  for t in range(COUNT):
    if t % every == 0:
      key, _ = jax.random.split(jax.random.fold_in(BASE, IDS[t]))
      latest = [max(i, 0) for i in range(t - memory + 1, t + 1)]
      rows = stream["inputs"][[latest[i % memory] for i in range(copies)]]
      adapted, opt_state = step(adapted, opt_state if carry_optimizer else fresh, rows, jax.random.split(key, 1)[0])
    outputs.append(INFER(adapt.merge(adapt.Split(adapted, split.frozen)), stream["inputs"][t][None], BASE)[0])
  return np.stack(outputs), adapted


@pytest.mark.parametrize("options", [{}, {"every": 2, "memory": 3, "carry_optimizer": True}])
def test_online_is_the_plain_loop(options):
  split, stream = data()
  source = jax.tree.map(np.array, split)
  outputs, losses, state = online.online(split, stream, IDS, BASE, **OPTIONS, **options)
  expected, adapted = plain_loop(split, stream, **options)
  close(outputs["inputs"], expected)
  jax.tree.map(close, state.adapted, adapted)
  assert outputs["flipped"].shape == outputs["inputs"].shape
  assert losses.shape == (-(-COUNT // options.get("every", 1)), 1)
  jax.tree.map(np.testing.assert_array_equal, source, split)


def test_the_future_does_not_matter():
  split, stream = data()
  changed = {k: v.copy() for k, v in stream.items()}
  for v in changed.values():
    v[7:] = v[7:][::-1] + 0.3
  before, _, _ = online.online(split, stream, IDS, BASE, **ALL)
  after, _, _ = online.online(split, changed, IDS, BASE, **ALL)
  np.testing.assert_array_equal(before["inputs"][:7], after["inputs"][:7])
  assert np.abs(before["inputs"][7:] - after["inputs"][7:]).max() > 1e-3


@pytest.mark.parametrize("cuts", [(6,), (1, 4, 5)])
def test_a_stream_can_be_cut_anywhere_and_resumed(cuts):
  split, stream = data()
  whole, losses, end = online.online(split, stream, IDS, BASE, **TAUGHT)
  state, outputs, more = None, [], []
  for start, stop in zip((0, *cuts), (*cuts, COUNT)):
    rows = slice(start, stop)
    own, lost, state = online.online(split, take(stream, rows), IDS[rows], BASE, state=state, **TAUGHT)
    state = jax.tree.map(np.asarray, state)  # as a checkpoint gives it back
    outputs.append(own["inputs"])
    more.append(lost)
  close(np.concatenate(outputs), whole["inputs"])
  close(np.concatenate(more), losses)
  jax.tree.map(close, state, end)
  assert state.seen == COUNT
  with pytest.raises(ValueError, match="state holds .3, 1, 17, 2. recent 'inputs', expected .2, 1, 17, 2."):
    online.online(split, stream, IDS, BASE, state=state, **{**TAUGHT, "memory": 2})


def test_a_teacher_follows_and_pulls_back():
  split, stream = data()
  taught, _, state = online.online(split, stream, IDS, BASE, **TAUGHT)
  expected, adapted, slow = taught_loop(split, stream)
  close(taught["inputs"], expected)
  jax.tree.map(close, state.adapted, adapted)
  jax.tree.map(close, state.teacher, slow)
  _, _, held = online.online(
    split, stream, IDS, BASE, **{**CHEAP, "teacher": teacher.Teacher(reset=1.0, anchor="source")}
  )
  jax.tree.map(np.testing.assert_array_equal, held.adapted, split.adapted)


def taught_loop(split, stream, decay=0.8, reset=0.25):
  """TAUGHT by NumPy's average: the weights after each step, pulled back to their slow average."""
  adapted, slow, end, outputs = split.adapted, split.adapted, None, []
  alone = {**CHEAP, "every": 1}
  for t in range(COUNT):
    if t % 2 == 0:
      state = None
      if end is not None:  # the instance between is only remembered
        between = {k: np.concatenate([v[1:], stream[k][t - 1 : t]]) for k, v in end.recent.items()}
        state = end._replace(adapted=adapted, recent=between)
      _, _, end = online.online(split, take(stream, slice(t, t + 1)), IDS[t : t + 1], BASE, state=state, **alone)
      slow = jax.tree.map(lambda a, b: decay * np.asarray(a) + (1 - decay) * np.asarray(b), slow, end.adapted)
      adapted = jax.tree.map(lambda a, b: (1 - reset) * np.asarray(a) + reset * b, end.adapted, slow)
    outputs.append(INFER(adapt.merge(adapt.Split(adapted, split.frozen)), stream["inputs"][t][None], BASE)[0])
  return np.stack(outputs), adapted, slow


def test_a_gate_lets_pass_what_it_is_told_to():
  split, stream = data()
  free, losses, end = online.online(split, stream, IDS, BASE, **CHEAP)
  everything, same, last = online.online(split, stream, IDS, BASE, adapt_to=np.ones(COUNT, bool), **CHEAP)
  close(free["inputs"], everything["inputs"])
  close(losses, same)
  jax.tree.map(close, end, last)
  still, none, held = online.online(split, stream, IDS, BASE, adapt_to=np.zeros(COUNT, bool), **CHEAP)
  jax.tree.map(np.testing.assert_array_equal, held.adapted, split.adapted)
  assert none.shape == (0, 1)
  source = INFER(adapt.merge(split), stream["inputs"], BASE)
  close(still["inputs"], source)
  late = np.arange(COUNT) >= 6
  some, own, _ = online.online(split, stream, IDS, BASE, adapt_to=late, **CHEAP)
  np.testing.assert_array_equal(some["inputs"][:6], still["inputs"][:6])
  assert np.abs(some["inputs"][6:] - still["inputs"][6:]).max() > 1e-3 and own.shape == (3, 1)
  with pytest.raises(ValueError, match="adapt_to has 11 values for the 12 instances of stream 0"):
    online.online(split, stream, IDS, BASE, adapt_to=late[1:], **CHEAP)


def test_chunks_are_a_matter_of_dispatch():
  split, stream = data()
  seen = []
  eleven = take(stream, slice(0, 11))  # six groups, the last with one instance
  one, _, end = online.online(split, eleven, IDS[:11], BASE, **CHEAP, progress=seen.append)
  assert seen == [6, 5] and len(one["inputs"]) == 11
  before = online._advance._cache_size()
  short, _, _ = online.online(split, take(stream, slice(0, 9)), IDS[:9], BASE, **CHEAP)
  assert online._advance._cache_size() == before  # five groups, padded to six
  close(short["inputs"], one["inputs"][:9])
  other, _, same = online.online(split, eleven, IDS[:11], BASE, **{**CHEAP, "chunk": 100})
  close(one["inputs"], other["inputs"])
  jax.tree.map(close, end, same)


def test_streams_side_by_side_are_streams_alone():
  split, stream = data()
  pieces, ids = [take(stream, slice(0, 7)), take(stream, slice(7, None))], [IDS[:7], IDS[7:]]
  outputs, losses, states = online.streams(split, pieces, ids, BASE, **ALL)
  for i in range(2):
    alone, alone_losses, end = online.online(split, pieces[i], ids[i], BASE, **ALL)
    assert outputs[i]["inputs"].shape == (*pieces[i]["inputs"].shape[:-1], 3)
    close(outputs[i]["flipped"], alone["flipped"])
    close(losses[i], alone_losses)
    jax.tree.map(close, states[i], end)
  with pytest.raises(ValueError, match="one id for each"):
    online.streams(split, pieces, [IDS[:7], IDS[:1]], BASE, **ALL)


def test_streams_on_eight_devices_are_streams_on_one():
  split, stream = data()
  cuts = [(0, 4), (4, 7), (7, 12), (2, 5), (1, 3), (0, 2), (3, 8), (5, 6), (6, 9), (8, 12)]  # sixteen places for ten
  pieces, ids = [take(stream, slice(*c)) for c in cuts], [IDS[slice(*c)] for c in cuts]
  sharding = distributed.over_data(distributed.make_mesh())
  assert sharding.num_devices == 8
  spread = online.streams(split, pieces, ids, BASE, **TAUGHT, sharding=sharding)
  for side_by_side in (False, True):
    one = online.streams(split, pieces, ids, BASE, **TAUGHT, side_by_side=side_by_side)
    jax.tree.map(close, spread, one)
