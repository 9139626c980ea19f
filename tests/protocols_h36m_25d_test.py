"""Protocol h36m_25d: hand-computed errors, the block list, tails, and its oracle from codec to fingerprint."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxpose import codec as codecs
from jaxpose import evaluate as evaluation
from jaxpose import protocols, skeleton
from jaxpose.data import transforms
from jaxpose.geometry import camera
from jaxpose.graphs.lift import lift
from jaxpose.protocols import h36m_25d
from tests import helpers

H36M = skeleton.get("h36m_17")
PINHOLE = camera.create((1000, 1000), (500, 500), (1000, 1000))
CODEC = codecs.build("image_25d", H36M)
FACTS = dict(
  dataset="human36m", split="test", flip_averaging=False, keypoints_source="ground truth", checkpoint_step=7, seed=3,
  oracles=[], codec="image_25d",
)  # fmt: skip


def clip(frames=20, take="Walking", subject="S9", depth=5.0, flat=False, **changes):
  """A standing person with noise, `depth` before a pinhole camera; all joints at one depth when `flat`."""
  one = helpers.clip(frames, sequence=take, subject=subject, action=take.split(" ")[0], camera=PINHOLE, **changes)
  joints = one.joints_3d + np.float32([0, 0, depth - 4])
  joints[..., 2] = depth if flat else joints[..., 2]
  return one.replace(joints_3d=joints, keypoints_2d=np.asarray(camera.project(joints, PINHOLE), np.float32))


def truth(one):
  """lambda P of every frame, root-relative metres: the published recipe in float64 and millimetres, frame by frame."""
  poses = []
  for joints in 1000 * one.joints_3d.astype(float):
    root = joints[0]
    left, right = (1000 * (root[0] + side) / root[2] for side in (-1000, 1000))
    ratio = (right - left + 1) / 2000
    image = np.concatenate([1000 * joints[:, :2] / joints[:, 2:], ratio * (joints[:, 2:] - root[2])], -1)
    image, body = image - image[0], joints - root
    poses.append((image * body).sum() / (image * image).sum() * image)
  return np.float32(poses) / 1000


def evaluate(clips, predictions, **facts):
  return protocols.evaluate("h36m_25d", clips, predictions, facts={**FACTS, **facts}, resamples=20)


def test_the_image_pose_is_perfect_and_the_body_is_not():
  one = clip()
  assert evaluate([one], [truth(one)])["metrics"]["mpjpe_mm"] == pytest.approx(0, abs=1e-2)
  pose = h36m_25d.prepare(one).joints_3d
  np.testing.assert_allclose(pose, truth(one), atol=1e-5)
  body = one.joints_3d - one.joints_3d[:, :1]
  apart = evaluate([one], [body])["metrics"]["mpjpe_mm"]
  assert apart == pytest.approx(1000 * np.linalg.norm(body - truth(one), axis=-1).mean(), rel=1e-3)
  assert apart > 1  # perspective inside the body, which this space leaves out


def test_hand_computed_errors():
  one = clip()
  pose = truth(one)
  wrist = pose.copy()
  wrist[:, H36M.index("left_wrist"), 2] += 0.010
  assert evaluate([one], [wrist])["metrics"]["mpjpe_mm"] == pytest.approx(10 / 17, rel=1e-3)
  scaled = evaluate([one], [1.1 * pose])["metrics"]
  assert scaled["mpjpe_mm"] == pytest.approx(100 * np.linalg.norm(pose, axis=-1).mean(), rel=1e-4)
  assert scaled["n_mpjpe_mm"] == pytest.approx(0, abs=1e-2) and scaled["pa_mpjpe_mm"] == pytest.approx(0, abs=1e-2)
  mirrored = np.asarray(transforms.flip_pose(pose, H36M))
  expected = 1000 * np.linalg.norm(mirrored - pose, axis=-1).mean()
  assert evaluate([one], [mirrored])["metrics"]["mpjpe_mm"] == pytest.approx(expected, rel=1e-4)
  assert expected > 10


def test_a_flat_body_by_hand():
  # At 5 m the box of 2 m is 400 px wide: a pixel is 5 mm, and an error of 10 px in depth is 10 factors.
  one = clip(flat=True)
  np.testing.assert_allclose(h36m_25d.factor(one), 0.005, rtol=1e-5)
  outputs = CODEC.encode_target(one.joints_3d, one.keypoints_2d, one.camera)
  outputs = outputs.at[:, H36M.index("nose"), 2].add(10 * 2 / 1000)
  pose = CODEC.decode(outputs, one.keypoints_2d, one.camera, factor=h36m_25d.factor(one))
  assert evaluate([one], [np.asarray(pose)])["metrics"]["mpjpe_mm"] == pytest.approx(50 / 17, rel=1e-4)


def test_the_files_own_factor_comes_first():
  one = clip()
  own = one.replace(extra={"factor_25d": np.full(len(one), 2.5, np.float32)})
  np.testing.assert_allclose(h36m_25d.factor(own), 0.0025)
  ratio = h36m_25d.factor(own) / h36m_25d.factor(one)
  assert evaluate([own], [ratio[:, None, None] * truth(one)])["metrics"]["mpjpe_mm"] == pytest.approx(0, abs=1e-2)
  with pytest.raises(ValueError, match=r"S9/Walking/0.*factor_25d.*shape \(3,\), expected \(20,\)"):
    h36m_25d.factor(one.replace(extra={"factor_25d": np.ones(3)}))


def test_block_list_and_the_takes_that_stay():
  takes = [("S9", "Greeting"), ("S9", "Greeting 1"), ("S9", "SittingDown 1"), ("S9", "SittingDown")]
  takes += [("S9", "Waiting 1"), ("S9", "Waiting"), ("S11", "Greeting"), ("S11", "Directions")]
  clips = [clip(5, take, subject) for subject, take in takes]
  report = evaluate(clips, [truth(c) for c in clips])
  assert list(report["fingerprint"]["dropped"]) == ["S9/Greeting/0", "S9/SittingDown 1/0", "S9/Waiting 1/0"]
  assert report["fingerprint"]["frames"] == 25
  # `h36m` keeps those and drops S11's Directions.
  facts = {**FACTS, "codec": "screen"}
  h36m = protocols.evaluate("h36m", clips, [c.joints_3d for c in clips], facts=facts, resamples=20)
  assert list(h36m["fingerprint"]["dropped"]) == ["S11/Directions/0"]


def test_tails_after_whole_windows_are_not_scored():
  one, short = clip(500), clip(100, "Eating")
  prediction = truth(one)
  prediction[486:, 3] += 9
  report = evaluate([one, short], [prediction, truth(short)])
  assert report["metrics"]["mpjpe_mm"] == pytest.approx(0, abs=1e-2)
  assert report["per_sequence"]["S9/Walking/0"]["frames"] == 2 * 243
  assert report["per_sequence"]["S9/Eating/0"]["frames"] == 100
  prediction[485, 3, 0] += 9
  assert evaluate([one], [prediction])["metrics"]["mpjpe_mm"] > 1


def test_actions_weigh_the_same():
  clips = [clip(10, "Eating"), clip(30, "Eating 1"), clip(5, "Photo")]
  predictions = [truth(c) + np.float32(e) * (np.arange(17)[:, None] > 0) * [1, 0, 0] for c, e in zip(clips, (1, 2, 10))]
  expected = 16 / 17 * ((10 * 1 + 30 * 2) / 40 + 10) / 2 * 1000
  assert evaluate(clips, predictions)["metrics"]["mpjpe_mm"] == pytest.approx(expected, rel=1e-4)


def test_fingerprint_names_the_oracle_and_metric_codecs_are_refused():
  one = clip()
  fingerprint = evaluate([one], [truth(one)], oracles=["root depth"])["fingerprint"]
  assert fingerprint["oracles"] == ["2.5d_factor", "root depth"]
  assert "not comparable with protocol 'h36m'" in fingerprint["space"] and "2.5d_factor" in fingerprint["scale"]
  assert fingerprint["whole_windows"] == 243
  with pytest.raises(ValueError, match="'screen'.*h36m_25d.*image_25d"):
    evaluate([one], [truth(one)], codec="screen")
  with pytest.raises(ValueError, match="facts lack codec"):
    protocols.evaluate("h36m_25d", [one], [truth(one)], facts={k: v for k, v in FACTS.items() if k != "codec"})


def test_invalid_frames_need_no_pose():
  one = clip(6)
  joints = one.joints_3d.copy()
  joints[2] = 0
  one = one.replace(joints_3d=joints, valid=np.arange(6) != 2)
  prediction = truth(clip(6))
  prediction[2] = np.nan
  report = evaluate([one], [prediction])
  assert report["metrics"]["mpjpe_mm"] == pytest.approx(0, abs=1e-2) and report["fingerprint"]["frames"] == 5


def oracle_free_graph(codec, root=0.0):
  """Outputs the inputs about the root, at no depth: the truth for a flat body; `root` is what it says of the root."""

  def infer(variables, inputs, key, mask=None):
    del variables, key, mask
    centred = inputs[..., :2] - inputs[..., :1, :2]
    outputs = jnp.concatenate([centred, jnp.zeros_like(centred[..., :1])], -1)
    return outputs.at[..., 0, :].add(root)

  return lift(codec, infer)


@pytest.mark.parametrize("flip", [False, True])
def test_from_keypoints_to_zero_millimetres_by_the_oracle(flip):
  """Depth and body size differ from clip to clip; only the oracle tells them. The root's own output plays no part."""
  clips = [clip(9, "Walking", flat=True, depth=4.0), clip(4, "Walking 1", flat=True, depth=6.5, seed=1)]
  graph = oracle_free_graph(CODEC, root=0.3)
  factors = protocols.factors("h36m_25d", clips)
  predictions = evaluation.predict(graph, {}, clips, window=6, flip=flip, factors=factors)
  assert evaluate(clips, predictions)["metrics"]["mpjpe_mm"] == pytest.approx(0, abs=1e-2)
  assert protocols.factors("h36m", clips) is None
  with pytest.raises(ValueError, match="'screen' decodes without a factor"):
    screen = codecs.build("screen", H36M)
    evaluation.predict(oracle_free_graph(screen), {}, clips, factors=factors)


def test_frames_of_two_windows_are_those_of_the_first():
  one = clip(8)
  rows = evaluation.cut([one], 5)
  assert rows.frame.tolist() == [[0, 1, 2, 3, 4], [3, 4, 5, 6, 7]]
  poses = np.zeros((2, 5, 17, 3), np.float32) + np.arange(2, dtype=np.float32)[:, None, None, None]
  (out,) = evaluation.scatter([one], rows, poses)
  assert out[:, 0, 0].tolist() == [0, 0, 0, 0, 0, 1, 1, 1]
  short = clip(3)
  rows = evaluation.cut([short], 5)
  (out,) = evaluation.scatter([short], rows, np.arange(5, dtype=np.float32).reshape(1, 5, 1, 1) * np.ones((17, 3)))
  assert out[:, 0, 0].tolist() == [0, 1, 2]
