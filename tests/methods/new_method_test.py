"""A method of somebody else's, all of it in this file: trained, evaluated, adapted and exported like those that ship.

It trains as a supervised lifter does, and at inference is the mean of several passes with noise on the keypoints, whose
random numbers come in at a port.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxpose import codec as codecs
from jaxpose import evaluate, experiment, runs
from jaxpose.graphs import bundle, load
from jaxpose.graphs import graph as graphs
from jaxpose.graphs.graph import InferenceGraph
from jaxpose.graphs.lift import decode
from jaxpose.methods import supervised
from jaxpose.methods.method import Method
from jaxpose.train import loop
from tests import helpers

CLIPS = [helpers.clip(20), helpers.clip(15, seed=1, sequence="run")]
HELD_OUT = [helpers.clip(9, seed=2, sequence="sit")]


def create(lifter, codec, *, passes=8, noise_px=5.0):
  base = supervised.create(lifter, codec)

  def run(variables, arrays):
    batch = graphs.batch_of(arrays)
    shape = batch["keypoints_2d"].shape[1:]
    noise = jax.vmap(lambda key: jax.random.normal(key, (passes, *shape)))(graphs.keys(arrays))

    def one(noise):
      points = batch["keypoints_2d"] + noise_px * noise
      inputs = codec.encode(points, batch["camera"], batch["confidence"])
      return decode(codec, supervised.infer(variables, inputs, jax.random.key(0), lifter=lifter), batch)

    return {"positions": jax.vmap(one)(jnp.moveaxis(noise, 1, 0)).mean(0)}

  graph = InferenceGraph(
    "lift", (*graphs.SEEN, graphs.SEED), (graphs.POSITIONS,), run, ("trunk", "head"), codec, frames=1
  )
  return Method(
    name="ensemble", codec=codec, init=base.init, loss=base.loss, graphs={"lift": graph}, labels=base.labels,
    objectives=base.objectives, infer=base.infer, lifter=lifter,
  )  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
  with pytest.MonkeyPatch.context() as patch:
    patch.setitem(experiment.METHODS, "ensemble", create)
    folder = str(tmp_path_factory.mktemp("run"))
    model = dict(width=16, trunk_blocks=0, head_blocks=0)
    config = helpers.config(method="ensemble", method_options=dict(passes=4), model_options=model)
    loop.train(config, folder, CLIPS, HELD_OUT, devices=jax.devices()[:1])
    yield experiment.load(folder)


def test_it_is_evaluated_by_its_own_graph(trained):
  predict = functools.partial(runs.predict, trained, HELD_OUT, show_progress=False)
  poses = predict()[0][0]
  assert poses.shape == (9, 17, 3) and np.isfinite(poses).all()
  one_pass = supervised.create(trained.method.lifter, trained.codec).graphs["lift"]
  plain = evaluate.predict(one_pass, trained.variables, HELD_OUT)[0]
  assert np.abs(poses - plain).max() > 1e-4
  np.testing.assert_array_equal(poses, predict()[0][0])


def test_it_is_adapted(trained):
  setting = runs.AdaptConfig(objective="reprojection", num_steps=1, learning_rate=1e-2, copies=1)
  adapted = runs.predict(trained, HELD_OUT, adapt=setting, show_progress=False, devices=jax.devices()[:1])[0][0]
  assert adapted.shape == (9, 17, 3) and np.isfinite(adapted).all()


def test_it_is_exported_and_runs_from_its_folder(trained, tmp_path):
  bundle.write(tmp_path / "e.jaxpose", trained, bundle.recipe())
  run = load.load(tmp_path / "e.jaxpose")
  rows = evaluate.cut(HELD_OUT)
  arrays = evaluate.inputs_of(trained.method.graphs["lift"], rows)
  (expected,) = evaluate.predict(trained.method.graphs["lift"], trained.variables, HELD_OUT)
  np.testing.assert_allclose(run(**arrays)["positions"][:, 0], expected, atol=1e-5)


def test_a_method_nobody_knows_is_refused_with_those_there_are():
  with pytest.raises(ValueError, match="method='nobodys' must be one of supervised, iso, masked"):
    experiment.build_method(helpers.config(method="nobodys"), codecs.build("root_rms", CLIPS[0].skeleton))
