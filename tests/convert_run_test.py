"""Published weights as a run: written by the script, loaded as any run, and refused where they do not fit."""

import dataclasses
import os
import pathlib
import subprocess
import sys

import jax
import numpy as np
import pytest

from jaxpose import convert_motionbert, convert_run, experiment, skeleton, torch_file
from jaxpose.train import loop
from tests import helpers

ROOT = pathlib.Path(__file__).parents[1]
PUBLISHED = ROOT / "tests" / "golden" / "motionbert_tiny.bin"
JOINTS = skeleton.get("h36m_17")
CONFIG = dict(codec="image_25d", window=9, model="dstformer", model_options={"drop_path": 0.1})


@pytest.fixture(scope="module")
def two_channels(tmp_path_factory) -> str:
  """The golden weights without their confidence channel."""
  state = convert_motionbert.read_state(str(PUBLISHED))
  state["joints_embed.weight"] = state["joints_embed.weight"][:, :2]
  path = str(tmp_path_factory.mktemp("weights") / "two.bin")
  torch_file.write(path, {"model_pos": state})
  return path


def test_weights_become_a_run(two_channels, tmp_path):
  workdir = str(tmp_path / "run")
  written = convert_run.write_motionbert(two_channels, workdir, helpers.config(**CONFIG), JOINTS)
  trained = experiment.load(workdir)
  assert trained.config == written and (trained.step, trained.codec.name) == (0, "image_25d")
  assert trained.config.model_options["drop_path"] == 0.1 and trained.config.model_options["num_heads"] == 4
  _, variables = convert_motionbert.load_motionbert(two_channels)
  jax.tree.map(np.testing.assert_array_equal, dict(trained.variables), variables)
  with pytest.raises(ValueError, match="holds checkpoints of a run already"):
    convert_run.write_motionbert(two_channels, workdir, helpers.config(**CONFIG), JOINTS)


def test_published_weights_with_confidence_are_trained_on(tmp_path):
  """launch.train goes on from step 0: the first step moves the published weights, by no more than its rate."""
  constants = {"confidence_channel": 1}
  codec_config = {
    **CONFIG,
    "codec_constants": constants,
    "method_options": dict(loss="mpjpe", terms={"velocity": 20.0}),
  }
  config = helpers.config(**codec_config, num_steps=1, log_every=1, eval_every=1, optim=dict(learning_rate=1e-5))
  workdir = str(tmp_path / "run")
  written = convert_run.write_motionbert(str(PUBLISHED), workdir, config, JOINTS)
  clips = [helpers.clip(frames=30)]
  loop.train(dataclasses.replace(config, model_options=written.model_options), workdir, clips, clips)
  trained = experiment.load(workdir, "latest")
  assert trained.step == 1 and trained.codec.channels == 3
  _, variables = convert_motionbert.load_motionbert(str(PUBLISHED))
  moved = jax.tree.map(lambda a, b: np.abs(np.asarray(a) - b).max(), dict(trained.variables), variables)
  assert 0 < max(jax.tree.leaves(moved)) < 2e-5


def test_what_does_not_fit_is_a_clear_error(two_channels, tmp_path):
  def write(path=two_channels, joints=JOINTS, **changes):
    config = helpers.config(**{**CONFIG, **changes})
    convert_run.write_motionbert(str(path), str(tmp_path / "run"), config, joints)

  with pytest.raises(ValueError, match="weights for 17 joints, but h36m_16 has 16"):
    write(joints=skeleton.get("h36m_16"))
  with pytest.raises(ValueError, match=r"for 3 input channels.*need codec_constants=dict\(confidence_channel=1\)"):
    write(path=PUBLISHED)
  with pytest.raises(ValueError, match=r"for 2 input channels, but codec 'image_25d' gives 3; .*others do not"):
    write(codec_constants={"confidence_channel": 1})
  with pytest.raises(ValueError, match="longer than this DSTformer's maxlen=27"):
    write(window=28)
  with pytest.raises(ValueError, match="model 'dstformer' has no option|unexpected keyword argument 'width'"):
    write(model_options={"width": 3})
  assert not os.path.exists(tmp_path / "run" / "checkpoints")


def test_the_script_ends_in_one_line_on_a_hostile_file(tmp_path):
  data = PUBLISHED.read_bytes()
  (tmp_path / "cut.bin").write_bytes(data[: len(data) // 2])
  command = [sys.executable, "-m", "launch.convert", f"--input={tmp_path}/cut.bin", f"--workdir={tmp_path}/run"]
  result = subprocess.run(
    [*command, "--config=configs/synthetic_baseline.py"], cwd=ROOT, capture_output=True, text=True, check=False
  )
  assert result.returncode == 1 and "Traceback" not in result.stderr
  assert result.stderr.splitlines()[-1].startswith(f"error: {tmp_path}/cut.bin: a damaged or truncated archive")
