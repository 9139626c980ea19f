"""The rows of the table: ways to predict clips. Each takes a run and clips and gives poses [T, J, 3] and seconds."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jaxpose import evaluate, experiment, runs, stopwatch
from jaxpose.adapt import fit, person
from jaxpose.adapt.fit import Problem
from jaxpose.data import jitter
from jaxpose.data.clip import Clip
from jaxpose.experiment import Trained
from jaxpose.runs import RECOMMENDED, AdaptConfig

Row = Callable[[Trained, Sequence[Clip]], tuple[list[np.ndarray], dict[str, float]]]
WORSE_THAN_SOURCE = 8.0  # the control's factor on the source's error covariance


def adapted(config: AdaptConfig | None) -> Row:
  """The run, adapted as `config` says."""
  return lambda trained, clips: runs.predict(trained, clips, adapt=config, show_progress=False)


def true_bones(trained: Trained, clips: Sequence[Clip]):
  """Vanilla with the person's true bones, which an oracle gives: how far knowing them could go."""
  ends = [trained.codec.skeleton.names[child] for child, _ in trained.codec.skeleton.bones]
  bones = {}
  for subject in {c.subject for c in clips}:
    joints = np.concatenate([c.joints_3d[c.valid] for c in clips if c.subject == subject])
    lengths = np.median(_lengths(joints, trained), 0)
    bones[subject] = {name: float(np.clip(length, 0.021, 1.49)) for name, length in zip(ends, lengths)}
  config = AdaptConfig(mode="vanilla", optimizer="gauss_newton", bones=bones)
  return runs.predict(trained, clips, adapt=config, show_progress=False)


def _lengths(joints: np.ndarray, trained: Trained) -> np.ndarray:
  child, parent = np.array(trained.codec.skeleton.bones).T
  return np.linalg.norm(joints[..., child, :] - joints[..., parent, :], axis=-1)


def pose_itself(data_dir: str) -> Row:
  """The control: no weight is moved. The prediction is corrected by offsets of the pose, whose prior is the covariance
  of the model's own errors on its validation set, times `WORSE_THAN_SOURCE`; the same residuals, bones and solver."""

  def predict(trained: Trained, clips: Sequence[Clip]):
    factor = _error_factor(trained, data_dir)
    plain, _ = runs.predict(trained, clips)
    codec = trained.codec
    belief = person.prior(codec.skeleton, np.asarray(trained.statistics["bone_lengths_m"]))
    moments = person.moments(belief)
    bones = np.array(codec.skeleton.bones)

    @jax.jit
    def solve(views, poses):
      def one(view, pose):
        rays, weight, there = fit.observe(view, codec, view["noise"])
        mean, *_ = moments
        lift = lambda offsets: pose + (factor @ offsets).reshape(pose.shape)  # noqa: E731
        like = jax.ShapeDtypeStruct((factor.shape[1],), jnp.float32)
        certain = there[:, None] / (fit.BONE_NOISE * mean)
        problem = Problem(lift, like, bones, rays, weight, certain, *moments, 1.0, 0.2)
        return lift(fit.solve(problem).offsets)

      return jax.vmap(one)(views, poses)

    rows = evaluate.cut(clips, 1, valid_only=True)
    seen = {name: rows.batch[name] for name in ("keypoints_2d", "confidence", "camera")}
    seen["noise"] = np.concatenate([jitter.noise(c) for c in clips])[rows.frame]
    poses = np.concatenate(plain)[rows.frame]
    root = codec.skeleton.root
    poses = poses - poses[:, :, root : root + 1]
    with stopwatch.measure() as times:
      solved = evaluate.in_batches(lambda t: solve(*t), (seen, poses), 64)
    count = len(poses)
    return evaluate.scatter(clips, rows, solved), {"seconds_per_instance": times["seconds"] / count, **times}

  return predict


_FACTORS: dict[int, np.ndarray] = {}


def _error_factor(trained: Trained, data_dir: str) -> np.ndarray:
  if id(trained) not in _FACTORS:
    clips = [c.subsample(15) for c in experiment.load_clips(trained.config.validation, data_dir)]
    poses, _ = runs.predict(trained, clips)
    valid = np.concatenate([c.valid for c in clips])
    error = (np.concatenate(poses) - np.concatenate([c.joints_3d for c in clips]))[valid]
    error -= error[:, trained.codec.skeleton.root][:, None]
    flat = error.reshape(len(error), -1)
    covariance = WORSE_THAN_SOURCE * flat.T @ flat / len(flat)
    values, vectors = np.linalg.eigh(covariance)
    _FACTORS[id(trained)] = (vectors * np.sqrt(np.maximum(values, 1e-8))).astype(np.float32)
  return _FACTORS[id(trained)]


def rows(data_dir: str) -> dict[str, Row]:
  """By name, "none" first."""
  return {
    "none": adapted(None),
    "vanilla": adapted(RECOMMENDED["vanilla"]),
    "online": adapted(RECOMMENDED["online"]),
    "video": adapted(RECOMMENDED["video"]),
    "vanilla, true bones (oracle)": true_bones,
    "pose itself (control)": pose_itself(data_dir),
  }
