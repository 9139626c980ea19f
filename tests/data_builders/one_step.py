"""One training step on the clips of a data set, which every builder's test takes."""

import jax
import numpy as np
import optax

from jaxpose import codec as codecs
from jaxpose import evaluate
from jaxpose.data import pipeline
from jaxpose.methods import supervised
from jaxpose.models import mlp
from jaxpose.train import state, step


def train_and_predict(train, test):
  """Predictions [T, J, 3] for the clips `test` of a small network after one step on the clips `train`."""
  codec = codecs.build("root_rms", train[0].skeleton)
  method = supervised.create(
    mlp.create(num_joints=train[0].skeleton.num_joints, width=8, trunk_blocks=0, head_blocks=0), codec
  )
  batch = next(pipeline.batches(pipeline.windows(train), length=1, batch_size=8, seed=0, num_steps=1))
  tx = optax.sgd(1e-2)
  before = state.create(jax.random.key(0), batch, method=method, tx=tx)
  update = jax.jit(lambda s, b: step.train_step(s, b, method=method, tx=tx, base_key=jax.random.key(1)))
  after, metrics = update(before, batch)
  assert int(after.step) == 1 and np.isfinite(float(metrics["loss"]))
  return evaluate.predict(method.graphs["lift"], after.variables, test, flip=False, batch_size=64)
