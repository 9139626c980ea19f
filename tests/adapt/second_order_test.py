"""Adaptation that solves: what it may and may not depend on, and people whose bones a stream learns."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial import transform

from jaxpose import skeleton
from jaxpose.adapt import adapter as adapters
from jaxpose.adapt import person, second_order
from jaxpose.adapt.second_order import Known
from jaxpose.adaptation import DOUBT
from jaxpose.data import transforms
from jaxpose.geometry import camera as cameras
from jaxpose.models.lifter import Lifter
from jaxpose.train import statistics
from tests import helpers
from tests.adapt import clip_models, tiny

H36M = skeleton.get("h36m_17")
BONES = np.array(H36M.bones)
KEY = jax.random.key(0)
LENGTHS = np.array(helpers.statistics()["bone_lengths_m"])
STRANGER = person.prior(H36M, LENGTHS)
OPTIONS = dict(tau=np.float32(1.0), prior_m=np.float32(0.15))
BEND = 0.1  # metres by which an offset of 1 moves a coordinate, in `Recall`
close = functools.partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-4)


def instances(clip, codec, window=1, noise=0.14):
  """A clip's windows, as `adaptation` makes them: [N, T, ...]."""

  def cut(x):
    return np.asarray(x).reshape(-1, window, *np.shape(x)[1:])

  count = len(clip) // window
  seen = {"keypoints_2d": cut(clip.keypoints_2d), "confidence": cut(clip.confidence)}
  camera = jax.tree.map(lambda x: np.stack([np.asarray(x)] * count), clip.camera)
  mirrored = transforms.flip({**seen, "camera": camera}, codec.skeleton)

  def encode(x):
    return np.asarray(codec.encode(x["keypoints_2d"], x["camera"], x["confidence"]))

  inputs = {"inputs": encode({**seen, "camera": camera}), "flipped": encode(mirrored)}
  return {
    **inputs,
    **seen,
    "camera": camera,
    "valid": np.ones((count, window), bool),
    "noise": np.full((count, window), noise, np.float32),
    "fresh": np.ones(count, np.float32),
  }


def known(belief=None, **numbers):
  """What is known of someone; of a stranger when None."""
  return Known(STRANGER if belief is None else belief, STRANGER, **numbers)


def pick(instances, rows):
  return jax.tree.map(lambda x: x[rows], instances)


@functools.cache
def model(window=1):
  """(run, windows): run(instance, belief) -> the state after one, and its predictions; of an MLP or a DSTformer."""
  if window == 1:
    lifter, variables, _ = tiny.model()
    codec = tiny.CODEC
  else:
    lifter, variables, codec = clip_models.method().lifter, clip_models.variables(), clip_models.CODEC
  own = second_order.adapter(lifter, codec, window)

  @jax.jit
  def run(instance):
    state = own.adapt(variables, own.init(variables, known(**OPTIONS)), instance, KEY)
    outputs = own.predict(variables, state, jax.tree.map(lambda x: x[None], instance), KEY)
    return state, jax.tree.map(lambda x: x[0], outputs)

  return run, instances(helpers.clip(6), codec, window)


@pytest.mark.parametrize("window", [1, 3])
def test_any_model_is_solved_for(window):
  run, own = model(window)
  state, outputs = run(pick(own, 0))
  assert all(np.isfinite(x).all() for x in jax.tree.leaves((state.known.belief, state.offsets, outputs)))
  assert outputs["inputs"].shape == outputs["flipped"].shape == (window, 17, 3)
  assert np.trace(state.known.belief.information) > np.trace(STRANGER.information)


@pytest.mark.parametrize("window", [1, 3])
def test_pixels_of_missing_joints_have_no_influence(window):
  run, own = model(window)
  clip = helpers.clip(6)
  clip.confidence[:, 5] = clip.confidence[1, 12] = 0
  points = np.array(clip.keypoints_2d)
  points[:, 5], points[1, 12] = 7e4, -3.0
  other = clip.replace(keypoints_2d=points)
  codec = tiny.CODEC if window == 1 else clip_models.CODEC
  for index in range(len(own["fresh"])):
    one, same = (run(pick(instances(c, codec, window), index)) for c in (clip, other))
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-5), one, same)
  complete, _ = run(pick(own, 0))
  assert np.abs(complete.offsets - run(pick(instances(clip, codec, window), 0))[0].offsets).max() > 1e-3


def test_a_frame_with_nothing_in_it_teaches_nothing():
  run, own = model()
  empty = instances(helpers.clip(6, confidence=np.zeros((6, 17), np.float32)), tiny.CODEC)
  state, outputs = run(pick(empty, 0))
  jax.tree.map(np.testing.assert_array_equal, state.known.belief, STRANGER)
  assert np.isfinite(outputs["inputs"]).all() and not np.any(state.recent.information)
  np.testing.assert_allclose(state.offsets, 0, atol=1e-6)


def test_frames_that_only_fill_a_window_take_no_part():
  run, own = model(3)
  there = np.array([True, True, False])
  one = {**pick(own, 0), "present": there}
  other = {name: x.copy() if isinstance(x, np.ndarray) else x for name, x in one.items()}
  for name in ("inputs", "flipped", "keypoints_2d", "confidence"):
    other[name][2] = other[name][2][::-1] * 0.5
  (state, outputs), (again, same) = run(one), run(other)
  jax.tree.map(close, state.known.belief, again.known.belief)
  for name in outputs:
    close(outputs[name][:2], same[name][:2])
  whole, _ = run({**one, "present": np.ones(3, bool)})
  assert np.abs(whole.known.belief.information - state.known.belief.information).max() > 1


def test_every_bone_has_its_mirror():
  order = second_order.mirrored_bones(H36M)
  np.testing.assert_array_equal(order[order], np.arange(16))
  for (child, _), bone in zip(H36M.bones, order):
    assert skeleton.mirror_name(H36M.names[child]) == H36M.names[H36M.bones[bone][0]]


class Recall(nn.Module):
  """A trunk that knows the poses of the inputs it has seen, and moves them by its first layer's offsets."""

  count: int

  @nn.compact
  def __call__(self, x, train=False):
    seen = jnp.asarray(self.param("seen", nn.initializers.zeros, (self.count, 17, 2)))
    poses = jnp.asarray(self.param("poses", nn.initializers.zeros, (self.count, 17, 3)))
    nearest = jnp.argmin(((x[:, :, None] - seen[None, None]) ** 2).sum((-1, -2)), -1)
    bent = nn.Dense(48, name="stem")(jnp.zeros((*x.shape[:2], 1))).reshape(*x.shape[:2], 16, 3)
    return poses[nearest] + BEND * jnp.concatenate([jnp.zeros((*x.shape[:2], 1, 3)), bent], 2)


class Hand(nn.Module):
  """A head that hands on what it is given."""

  @nn.compact
  def __call__(self, x, train=False):
    return x


COUNT = 60


def someone(seed, factors):
  """COUNT root-relative poses [N, 17, 3] of a person whose bones are the source's times `factors`, bent at random."""
  rng = np.random.default_rng(seed)
  poses, body = np.zeros((COUNT, 17, 3)), transform.Rotation.random(COUNT, random_state=seed).as_matrix()
  for (child, parent), factor in zip(H36M.bones, factors):
    bone = helpers.STANDING[child] - helpers.STANDING[parent]
    bend = transform.Rotation.from_rotvec(rng.normal(0, 0.4, (COUNT, 3))).as_matrix()
    poses[:, child] = poses[:, parent] + factor * np.einsum("nij,njk,k->ni", body, bend, bone)
  return np.float32(poses)


def filmed(poses, seed=0, wrong_m=0.06):
  """(adapter, variables, instances) of a lifter that sees these poses, each coordinate wrong by `wrong_m`."""
  rng = np.random.default_rng(seed)
  joints = poses + np.float32([0, 0, 4])
  clip = helpers.clip(len(poses))
  clip = clip.replace(keypoints_2d=np.asarray(cameras.project(joints, clip.camera), np.float32))
  own = instances(clip, tiny.CODEC, noise=0.01)
  wrong = poses + rng.normal(0, wrong_m, poses.shape)
  wrong = np.float32(wrong - wrong[:, :1])
  seen = np.concatenate([own["inputs"], own["flipped"]])[:, 0]
  lifter = Lifter(trunk=Recall(2 * len(poses)), head=Hand())
  table = {"seen": seen, "poses": np.concatenate([wrong, np.asarray(transforms.flip_pose(wrong, H36M))])}
  stem = {"kernel": np.zeros((1, 48), np.float32), "bias": np.zeros(48, np.float32)}
  made = second_order.adapter(lifter, tiny.CODEC, 1)
  return made, {"params": {"trunk": {**table, "stem": stem}, "head": {}}}, own


WRONG = dict(tau=np.float32(0.06 / BEND), prior_m=np.float32(0.06))  # of `filmed`


def proportions(belief):
  mean = np.asarray(person.moments(belief)[0])
  return mean / mean.sum()


FACTORS = np.random.default_rng(9).uniform(0.8, 1.25, 16)


@functools.cache
def film(seed=0):
  return filmed(someone(seed, FACTORS), seed)


def stream(made, variables, own, start=None, doubt=np.inf):
  told = known(**WRONG, doubt=np.float32(doubt))
  starts = [(made.init(variables, told), 0) if start is None else start]
  outputs, states = adapters.online(made, variables, [own], [np.arange(len(own["fresh"]))], KEY, starts=starts)
  return outputs[0], states[0]


def test_a_mirror_image_has_the_mirrored_answer():
  made, variables, own = film()
  one = pick(own, 3)
  seen = transforms.flip({name: one[name] for name in ("keypoints_2d", "confidence", "camera")}, H36M)
  mirror = {**one, **seen, "inputs": one["flipped"], "flipped": one["inputs"]}
  beliefs = [{"left_knee": 0.5, "right_elbow": 0.2}, {"right_knee": 0.5, "left_elbow": 0.2}]

  @jax.jit
  def run(instance, belief):
    state = made.adapt(variables, made.init(variables, known(belief, **WRONG)), instance, KEY)
    return state, made.predict(variables, state, jax.tree.map(lambda x: x[None], instance), KEY)

  (state, outputs), (turned, same) = (
    run(w, person.know(STRANGER, H36M, lengths)) for w, lengths in zip((one, mirror), beliefs)
  )
  order = second_order.mirrored_bones(H36M)
  close(same["flipped"], outputs["inputs"])
  close(same["inputs"], outputs["flipped"])
  close(turned.known.belief.information[order][:, order], state.known.belief.information, rtol=1e-2, atol=1.0)
  close(turned.known.belief.vector[order], state.known.belief.vector, rtol=1e-2, atol=1.0)
  assert np.abs(outputs["inputs"] - outputs["flipped"]).max() > 1e-2
  assert np.abs(state.offsets).max() > 0.1


def test_a_stream_learns_a_persons_proportions_and_predicts_better_by_them():
  made, variables, own = film()
  truth = LENGTHS * FACTORS / (LENGTHS * FACTORS).sum()
  outputs, state = stream(made, variables, own)
  errors = [np.abs(proportions(b) - truth).sum() for b in (STRANGER, state.known.belief)]
  assert errors[1] < 0.25 * errors[0]
  ends = [H36M.names[child] for child, _ in H36M.bones]
  true = person.know(STRANGER, H36M, dict(zip(ends, map(float, LENGTHS * FACTORS))))
  run = functools.partial(adapters.alone, made, variables, own, np.arange(COUNT), KEY, chunk=COUNT, together=COUNT)
  told, alone = (run(starts=jax.tree.map(_repeated, known(b, **WRONG)))[0] for b in (true, None))
  poses = someone(0, FACTORS)
  lifted = variables["params"]["trunk"]["poses"][:COUNT, None]
  found = told["inputs"], outputs["inputs"], alone["inputs"], lifted
  wrong = [np.linalg.norm(x[:, 0] - poses, axis=-1).mean() for x in found]
  assert wrong == sorted(wrong) and wrong[1] < 0.85 * wrong[2] < 0.6 * wrong[3]


def _repeated(x):
  return np.stack([np.asarray(x)] * COUNT)


def test_the_future_does_not_matter_and_a_stream_goes_on_where_it_was_cut():
  made, variables, own = film()
  whole, end = stream(made, variables, own)
  early, state = stream(made, variables, pick(own, slice(0, 23)))
  close(early["inputs"], whole["inputs"][:23])
  late, last = stream(made, variables, pick(own, slice(23, None)), start=(state, 23))
  close(late["inputs"], whole["inputs"][23:])
  close(last.known.belief.vector, end.known.belief.vector)


def test_what_frames_say_counts_by_how_fresh_they_are():
  made, variables, own = film()
  stale = {**own, "fresh": np.zeros_like(own["fresh"])}
  _, state = stream(made, variables, stale)
  jax.tree.map(np.testing.assert_array_equal, state.known.belief, STRANGER)
  _, half = stream(made, variables, pick({**own, "fresh": own["fresh"] / 2}, slice(0, 1)))
  _, one = stream(made, variables, pick(own, slice(0, 1)))
  close(
    half.known.belief.information - STRANGER.information,
    (one.known.belief.information - STRANGER.information) / 2,
    atol=1.0,
  )


def test_another_person_in_mid_stream_is_learnt_anew():
  other = np.where(np.arange(16) % 2, 0.72, 1.35)
  other /= (LENGTHS * other).sum() / LENGTHS.sum()
  poses = np.concatenate([someone(0, FACTORS), someone(1, other)])
  made, variables, own = filmed(poses)
  _, first = stream(made, variables, pick(own, slice(0, COUNT)), doubt=DOUBT)
  outputs, end = stream(made, variables, own, doubt=DOUBT)
  alone, _ = stream(made, variables, pick(own, slice(COUNT, None)))
  truth = LENGTHS * other / (LENGTHS * other).sum()
  wrong = [np.abs(proportions(b) - truth).sum() for b in (first.known.belief, end.known.belief)]
  assert wrong[1] < 0.3 * wrong[0]
  # Better than one that goes on believing in the first person, and not much worse than one that began with the second.
  never, _ = stream(made, variables, own)
  late = slice(COUNT - 20, None)
  found = (outputs, alone, never)
  wrong = [np.linalg.norm(x["inputs"][-20:, 0] - poses[COUNT:][late], axis=-1).mean() for x in found]
  assert wrong[0] < 1.3 * wrong[1] and wrong[0] < wrong[2]
  # What the first person's frames said is gone.
  assert np.trace(end.known.belief.information) < 1.5 * np.trace(first.known.belief.information)


def test_sensitivity_is_how_far_an_offset_moves_a_pose():
  made, variables, own = film()
  del made
  lifter = Lifter(trunk=Recall(2 * COUNT), head=Hand())
  found = statistics.sensitivity(lifter, tiny.CODEC, variables, own)
  np.testing.assert_allclose(found, BEND, rtol=1e-4)
