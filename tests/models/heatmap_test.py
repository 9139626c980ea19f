"""Image networks: SimpleBaseline's head against PyTorch's, the options of each head, and the errors of create."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxpose.heatmaps import READOUTS, simcc
from jaxpose.models import heatmap

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"


def _simple():
  stored = np.load(GOLDEN / "deconv_head.npz")
  weight = lambda i, name: stored[f"weights/{i}.{name}"]  # noqa: E731
  params, stats = {}, {}
  for i in (1, 2, 3):
    params[f"deconv{i}"] = {"kernel": weight(3 * i - 3, "weight").transpose(2, 3, 1, 0)}
    params[f"bn{i}"] = {"scale": weight(3 * i - 2, "weight"), "bias": weight(3 * i - 2, "bias")}
    stats[f"bn{i}"] = {"mean": weight(3 * i - 2, "running_mean"), "var": weight(3 * i - 2, "running_var")}
  params["maps"] = {"kernel": weight(9, "weight").transpose(2, 3, 1, 0), "bias": weight(9, "bias")}
  x, expected = (np.moveaxis(stored[name], 1, -1) for name in ("x", "out/heatmaps"))
  return {"params": params, "batch_stats": stats}, x, expected


def test_simple_baselines_head_gives_the_recorded_heatmaps():
  variables, x, expected = _simple()
  head = heatmap.Simple(17, width=16)
  made = jax.eval_shape(head.init, jax.random.key(0), x)
  assert jax.tree.map(np.shape, variables) == jax.tree.map(lambda s: s.shape, dict(made))
  got = jax.jit(head.apply)(variables, x)
  assert np.abs(got - expected).max() < 1e-4 * np.abs(expected).max()


def _output(size=(256, 256), **options):
  model = heatmap.create(17, size=size, **options)
  image = jnp.zeros((2, size[1], size[0], 3))
  variables = jax.eval_shape(model.init, jax.random.key(0), image)
  return jax.eval_shape(model.apply, variables, image), variables


def _count(tree):
  return sum(leaf.size for leaf in jax.tree.leaves(tree))


def test_simple_baseline_is_as_large_as_published():
  output, variables = _output((192, 256))
  assert output.shape == (2, 64, 48, 17)
  assert round(_count(variables["params"]) / 1e6, 1) == 34.0  # million parameters, Xiao et al. 2018, table 2
  assert set(variables["params"]) == {"backbone", "head"}


@pytest.mark.parametrize(
  "deconvs, cells",
  [(((3, 4),), 64), (((4, 4),), 64), (((6, 4),), 64), (((4, 4), (4, 2)), 128), (((4, 2), (4, 2)), 64),
   (((4, 2), (4, 2), (4, 2)), 128)],
)  # fmt: skip
def test_block_d_in_all_its_forms(deconvs, cells):
  output, _ = _output(head="eth", stop="layer3", head_options=dict(deconvs=deconvs))
  assert output.shape == (2, cells, cells, 17)


def test_blocks_of_the_eth_head():
  _, full = _output(head="eth", stop="layer3")
  _, without = _output(head="eth", stop="layer3", head_options=dict(bottleneck=False))
  assert _count(without["params"]) < _count(full["params"])
  norms = {}
  for norm in heatmap.ETH_NORMS:
    _, variables = _output(head="eth", stop="layer3", head_options=dict(norm=norm))
    norms[norm] = [name for name in variables["params"]["head"] if name.startswith("bn_")]
  assert norms == {
    "none": [],
    "layer": ["bn_b1", "bn_b2", "bn_b3", "bn_c1", "bn_c2", "bn_c3", "bn_d1"],
    "block": ["bn_b3", "bn_c3", "bn_d1"],
  }
  output, _ = _output(head="eth", strides=(1, 2, 2, 1))
  assert output.shape == (2, 64, 64, 17)


@pytest.mark.parametrize("readout", READOUTS)
def test_every_readout_reads_the_output_of_a_head(readout):
  head = {"bins": "simcc", "points": "direct"}.get(READOUTS[readout].output, "simple")
  model = heatmap.create(3, readout=readout, head=head, depth=18, width=8, size=(64, 96))
  image = jax.random.uniform(jax.random.key(0), (2, 96, 64, 3))
  variables = model.init(jax.random.key(1), image)
  output, state = model.apply(variables, image, train=True, mutable=["batch_stats"])
  assert state
  keypoints, confidence = READOUTS[readout].decode(output, (64, 96))
  assert keypoints.shape == (2, 3, 2) and confidence.shape == (2, 3)
  assert np.isfinite(keypoints).all()


def test_simcc_has_two_bins_a_pixel():
  output, _ = _output((192, 256), head="simcc", readout="simcc")
  assert isinstance(output, simcc.Bins) and output.x.shape == (2, 17, 384) and output.y.shape == (2, 17, 512)


@pytest.mark.parametrize(
  "options, message",
  [
    (dict(head="hourglass"), "unknown head 'hourglass'; known are simple, eth, simcc, direct"),
    (dict(readout="udp"), "unknown readout 'udp'"),
    (dict(head="direct"), "head 'direct' gives points, which readout 'dark' does not read; direct do"),
    (dict(head_options=dict(blocks=3)), "head 'simple' has no option 'blocks'; it takes width, layers, norm"),
    (dict(head="eth", head_options=dict(norm="group")), "norm='group'; head 'eth' takes none, layer, block"),
    (dict(depth=20), "depth=20"),
  ],
)
def test_wrong_options(options, message):
  with pytest.raises(ValueError, match=message):
    heatmap.create(17, **options)
