"""A teacher beside the model that adapts: the slow average of its weights, which it is held to and can be set back to.

The teacher's weights are the collection "teacher" of the variables that an objective sees, with the adapted parts only;
online.py carries it along a stream, and in vanilla mode it is the source model.
"""

import dataclasses
from typing import Any

import jax
from jaxtyping import Array

from jaxpose import losses
from jaxpose.adapt.objectives import Metrics, Objective, Variables
from jaxpose.models import lifter as lifters
from jaxpose.models.lifter import Lifter

COLLECTION = "teacher"
ANCHORS = ("teacher", "source")


@dataclasses.dataclass(frozen=True)
class Teacher:
  """How a stream's teacher follows, and how far each adapted instance is taken back.

  decay: after an instance, teacher = decay * teacher + (1 - decay) * student; 1 keeps the source as the teacher.
  reset: then student = (1 - reset) * student + reset * anchor, where the anchor is the "teacher" or the "source".
  """

  decay: float = 0.99
  reset: float = 0.0
  anchor: str = "teacher"

  def __post_init__(self):
    for name in ("decay", "reset"):
      if not 0 <= getattr(self, name) <= 1:
        raise ValueError(f"teacher: {name}={getattr(self, name)} is a share, in [0, 1]")
    if self.anchor not in ANCHORS:
      raise ValueError(f"teacher: anchor={self.anchor!r}, expected one of {', '.join(ANCHORS)}")


def consistency(lifter: Lifter, weight: float = 1.0) -> Objective:
  """weight |F(x) - F_teacher(x)|^2, summed over joints and coordinates, averaged over rows and frames; output units.

  The teacher's prediction carries no gradient. A mean teacher steadies online adaptation: Guan et al., Bilevel Online
  Adaptation for Out-of-Domain Human Mesh Reconstruction, CVPR 2021, weight 0.1; its frozen form (vanilla, or decay 1)
  keeps the prediction close to the source's.

  Raises ValueError if the variables hold no teacher.
  """

  def objective(variables: Variables, inputs: Array, key: jax.Array, copies: int = 1) -> tuple[Array, Metrics]:
    del key, copies
    if COLLECTION not in variables:
      raise ValueError(
        f"the objective 'teacher' needs a teacher's weights: the variables hold {', '.join(variables)}. Adapt by "
        "online.streams(..., teacher=Teacher()), or by vanilla on teacher.with_source(split)"
      )
    rest = {name: tree for name, tree in variables.items() if name != COLLECTION}
    taught = {**rest, "params": {**rest["params"], **variables[COLLECTION]}}
    target = jax.lax.stop_gradient(lifters.predict(lifter, taught, inputs))
    value = losses.squared_error(lifters.predict(lifter, rest, inputs), target).sum(-1).mean()
    return weight * value, {"teacher": value}

  return objective


def attach(frozen: dict[str, Any], weights: Any) -> dict[str, Any]:
  """The frozen variables with the teacher's weights among them, as `consistency` looks for them."""
  return {**frozen, COLLECTION: weights}


def follow(weights: Any, student: Any, decay: float) -> Any:
  """decay * weights + (1 - decay) * student, leaf by leaf: the exponential moving average of the students.

  Tarvainen, Valpola, Mean teachers are better role models, NeurIPS 2017.
  """
  return jax.tree.map(lambda t, s: decay * t + (1 - decay) * s, weights, student)


def soft_reset(student: Any, anchor: Any, share: float) -> Any:
  """(1 - share) * student + share * anchor, leaf by leaf.

  Towards the moving average: Dong, Wen, Sugano, Robust Long-term Test-Time Adaptation for 3D Human Pose Estimation
  through Motion Discretization, AAAI 2026 (arXiv 2511.18851). Towards the source it bounds how far a stream can drift:
  steps of size d each leave it within d / share of the source.
  """
  return jax.tree.map(lambda s, a: (1 - share) * s + share * a, student, anchor)
