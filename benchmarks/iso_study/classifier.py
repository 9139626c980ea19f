"""A two-way classifier of poses, source against target: the discriminator with another first layer (paper, 3.3)."""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxpose.models.mlp import ResidualBlock

WIDTH, BLOCKS, STEPS, BATCH, RATE = 256, 3, 1000, 128, 3e-4


class Classifier(nn.Module):
  """Poses [N, D] to logits [N], positive for target, and the last block's features [N, width]."""

  width: int = WIDTH
  blocks: int = BLOCKS

  @nn.compact
  def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    x = nn.Dense(self.width)(x)
    for i in range(self.blocks):
      x = ResidualBlock(self.width, dropout=0.0, norm=False, name=f"block_{i}")(x)
    return nn.Dense(1)(x)[..., 0], x


class Fitted(NamedTuple):
  """A trained classifier, with the mean and deviation that poses are normalised by."""

  params: dict
  mean: np.ndarray
  deviation: np.ndarray

  def __call__(self, poses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(whether each pose [N, J, C] is taken for the target's [N], features [N, width])."""
    logits, features = Classifier().apply({"params": self.params}, self._encode(poses))
    return np.asarray(logits) > 0, np.asarray(features)

  def _encode(self, poses: np.ndarray) -> np.ndarray:
    return ((poses.reshape(len(poses), -1) - self.mean) / self.deviation).astype(np.float32)


def fit(source: np.ndarray, target: np.ndarray, seed: int = 0) -> Fitted:
  """Trains on poses [N, J, C] of the two scenarios, as many of each in a batch, by Adam and the logistic loss."""
  both = np.concatenate([source, target]).reshape(len(source) + len(target), -1)
  start = Fitted({}, both.mean(0), both.std(0) + 1e-6)  # a coordinate that never moves, as the root's, stays zero
  rows = [jnp.asarray(start._encode(poses)) for poses in (source, target)]
  key = jax.random.key(seed)
  params = Classifier().init(key, rows[0][:1])["params"]
  return start._replace(params=_train(params, *rows, jax.random.fold_in(key, 1)))


@jax.jit
def _train(params, source: jax.Array, target: jax.Array, key: jax.Array):
  tx = optax.adam(optax.cosine_decay_schedule(RATE, STEPS))
  labels = jnp.repeat(jnp.array([0.0, 1.0]), BATCH // 2)

  def loss_fn(params, x):
    logits, _ = Classifier().apply({"params": params}, x)
    return optax.sigmoid_binary_cross_entropy(logits, labels).mean()

  def step(carry, key):
    params, state = carry
    chosen = [
      rows[jax.random.randint(k, (BATCH // 2,), 0, len(rows))]
      for rows, k in zip((source, target), jax.random.split(key))
    ]
    grads = jax.grad(loss_fn)(params, jnp.concatenate(chosen))
    updates, state = tx.update(grads, state, params)
    return (optax.apply_updates(params, updates), state), None

  return jax.lax.scan(step, (params, tx.init(params)), jax.random.split(key, STEPS))[0][0]


def t_sne(features: np.ndarray, seed: int = 0) -> np.ndarray:
  """Features [N, width] laid out in the plane, [N, 2] (van der Maaten & Hinton 2008), by scikit-learn."""
  from sklearn.manifold import TSNE  # an extra: nothing else needs it

  perplexity = min(30.0, (len(features) - 1) / 3)
  return TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(features)
