"""Learning from hidden joints: what is seen of a body says where the rest of it is."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxpose import losses
from jaxpose.adapt.objectives import Metrics, Objective, Variables
from jaxpose.codec import Codec
from jaxpose.codec.root_rms import RootRms, unit_rms
from jaxpose.models import lifter as lifters
from jaxpose.models.lifter import Lifter


def masked_joints(
  lifter: Lifter, codec: Codec, probability: float = 0.2, weight_2d: float = 10.0, weight_3d: float = 1.0
) -> Objective:
  """Each joint but the root hidden with `probability`; F(hidden x) must still explain the whole input.

  weight_2d |project(F(x')) - x|^2 over the hidden joints + weight_3d |F(x') - F(x)|^2 over all, F(x) without gradient;
  sums over joints and coordinates, averages over rows and frames, in the codec's units. `copies` masks a row, one drawn
  for each frame; the frames of a clip hide different joints, so that a temporal model can look them up.

  Reconstruction of hidden 2D joints is MotionBERT's pretraining (Zhu et al., ICCV 2023, section 3.3); at test time it
  trains a trunk without labels as the masked autoencoders of Gandelsman et al. (Test-Time Training with Masked
  Autoencoders, NeurIPS 2022) do. Trap: a model that never saw missing joints in training (augment.missing) learns
  what a missing joint is before it learns anything of the body.

  Raises ValueError if probability is not in (0, 1).
  """
  if not 0 < probability < 1:
    raise ValueError(f"masked_joints: probability={probability} must be between 0 and 1")

  def objective(variables: Variables, inputs: Array, key: jax.Array, copies: int = 1) -> tuple[Array, Metrics]:
    full = jnp.repeat(inputs, copies, 0)
    flat = full[..., :2]
    present = jnp.any(flat != 0, -1)
    hidden = hide(key, present, codec.skeleton.root, probability)
    partial = lifters.predict(lifter, variables, without(full, hidden, codec))
    target = jax.lax.stop_gradient(jnp.repeat(lifters.predict(lifter, variables, inputs), copies, 0))
    error = losses.squared_error(codec.project(partial), flat)
    in_2d = jnp.where(hidden, error, 0).sum(-1).mean()
    in_3d = losses.squared_error(partial, target).sum(-1).mean()
    return weight_2d * in_2d + weight_3d * in_3d, {"masked_2d": in_2d, "masked_3d": in_3d}

  return objective


def hide(key: jax.Array, present: Bool[Array, "*b J"], root: int, probability: float) -> Bool[Array, "*b J"]:
  """Which joints to hide: those present, each with this probability. Never the root, which inputs are centred on."""
  drawn = jax.random.bernoulli(key, probability, present.shape)
  others = np.arange(present.shape[-1]) != root
  return drawn & present & others.reshape((1,) * (present.ndim - 1) + (-1,))


def without(inputs: Float[Array, "*b J C"], hidden: Bool[Array, "*b J"], codec: Codec) -> Float[Array, "*b J C"]:
  """The inputs as the codec encodes them when the hidden joints are missing: 0, also in channels after x and y.

  A codec that divides each pose by its rms divides by that of the joints that are left.
  """
  left = jnp.where(hidden[..., None], 0, inputs)
  if not isinstance(codec, RootRms):
    return left
  present = jnp.any(left[..., :2] != 0, -1, keepdims=True)
  # The root is at exactly 0 and looks missing. It counts as a joint in encode's rms, unless the detector missed it.
  present = present.at[..., codec.skeleton.root, :].set(True)
  return jnp.concatenate([unit_rms(left[..., :2], present), left[..., 2:]], -1)
