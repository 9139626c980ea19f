"""Windows of long and short clips: cut, predicted with masks, laid or blended together."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxpose import codec as codecs
from jaxpose import evaluate, skeleton
from jaxpose.graphs.lift import lift
from jaxpose.methods import supervised
from jaxpose.models import dstformer
from tests import helpers

KEY = jax.random.key(0)
CODEC = codecs.build("root_rms", skeleton.get("h36m_17"))


@functools.cache
def model():
  lifter = dstformer.create(dim_in=2, dim_feat=16, dim_rep=16, depth=2, num_heads=2, mlp_ratio=1, maxlen=8)
  method = supervised.create(lifter, CODEC)
  variables = lifter.init(KEY, np.zeros((1, 8, 17, 2), np.float32))
  return method, jax.tree.map(lambda x: x + 0.1 * jax.random.normal(jax.random.key(1), x.shape), variables)


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 60), st.integers(2, 20), st.data())
def test_blended_windows_leave_no_seam(frames, window, data):
  overlap = data.draw(st.integers(0, window // 2))
  clip = helpers.clip(frames)
  rows = evaluate.cut([clip], window, overlap=overlap)
  assert set(rows.frame.ravel()) == set(range(frames))
  # Where windows agree, blending changes nothing.
  track = np.arange(frames, dtype=np.float32)[rows.frame][..., None, None] * np.ones((17, 3), np.float32)
  (out,) = evaluate.scatter([clip], rows, track, overlap)
  np.testing.assert_allclose(out[:, 0, 0], np.arange(frames), rtol=1e-6)
  # Where a window is off by 1 as a whole, the step from frame to frame is a share of that.
  off = (np.arange(len(rows.clip)) % 2).astype(np.float32)[:, None, None, None]
  (out,) = evaluate.scatter([clip], rows, np.broadcast_to(off, track.shape).copy(), overlap)
  assert out.min() >= 0 and out.max() <= 1
  if overlap:
    assert np.abs(np.diff(out[:, 0, 0])).max(initial=0) <= 1 / (overlap + 1) + 1e-6


def test_overlap_must_leave_the_windows_a_step():
  with pytest.raises(ValueError, match="overlap=5"):
    evaluate.cut([helpers.clip(9)], 5, overlap=5)


def test_only_windows_with_valid_frames_and_nan_elsewhere():
  valid = np.zeros(12, bool)
  valid[9] = True
  clip = helpers.clip(12, valid=valid)
  rows = evaluate.cut([clip], 4, valid_only=True, overlap=2)
  (out,) = evaluate.scatter([clip], rows, np.ones((*rows.frame.shape, 17, 3), np.float32), 2)
  assert np.isnan(out[:6]).all() and (out[6:] == 1).all()


def test_a_short_clip_is_predicted_as_if_it_were_alone():
  method, variables = model()
  short, long = helpers.clip(5), helpers.clip(8, seed=1)
  rows = evaluate.cut([short, long], 8)
  assert rows.batch["present"].tolist() == [[True] * 5 + [False] * 3, [True] * 8]
  assert "present" not in evaluate.cut([long], 8).batch
  predict = functools.partial(evaluate.predict, method.graphs["lift"], variables)
  for overlap in (0, 3):
    both = predict([short, long], window=8, overlap=overlap)
    np.testing.assert_allclose(both[0], predict([short], window=5)[0], atol=2e-5)
    np.testing.assert_allclose(both[1], predict([long], window=8)[0], atol=2e-5)
  unmasked = method.infer(variables, CODEC.encode(rows.batch["keypoints_2d"], rows.batch["camera"]), KEY)
  alone = method.infer(variables, CODEC.encode(short.keypoints_2d, short.camera)[None], KEY)
  assert np.abs(np.asarray(unmasked)[0, :5] - np.asarray(alone)[0]).max() > 1e-3  # the mask is what does it


def test_a_model_that_drifts_within_its_window_leaves_no_jump_at_the_borders():
  drift = lambda variables, x, key: jnp.zeros((*x.shape[:3], 3)) + jnp.arange(8.0)[None, :, None, None]  # noqa: E731
  graph = lift(CODEC, drift, masked=False)
  steps = {}
  for overlap in (0, 4):
    (poses,) = evaluate.predict(graph, {}, [helpers.clip(40)], window=8, overlap=overlap, flip=False)
    steps[overlap] = np.abs(np.diff(poses[:, 3, 0])).max()
  assert steps[0] == 7 and steps[4] < 1.001


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("name", codecs.CODECS)
def test_the_roots_own_output_is_overwritten_and_moves_no_other_joint(name, flip):
  """P-STMO's and D3DP's rule, for each codec: every other joint is decoded as if the root had been given as 0."""
  clip = helpers.clip(6)
  codec = codecs.build(name, skeleton.get("h36m_17"), clips=[clip])
  batch = evaluate.cut([clip], 6).batch
  outputs = {key: jax.random.normal(jax.random.key(i), (1, 6, 17, 3)) for i, key in enumerate(("inputs", "flipped"))}
  outputs = outputs if flip else {"inputs": outputs["inputs"]}
  poses = []
  for said in (0.0, 0.3):
    root = {key: out.at[..., codec.skeleton.root, :].set(said) for key, out in outputs.items()}
    poses.append(np.asarray(evaluate.decode_both(root, batch, codec=codec)))
  assert not poses[1][..., codec.skeleton.root, :].any()
  np.testing.assert_array_equal(*poses)
