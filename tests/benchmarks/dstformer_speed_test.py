import json

import jax
import numpy as np
import pytest

from benchmarks import dstformer_speed as speed
from jaxpose.models import dstformer

TINY = dict(dim_in=3, dim_feat=16, dim_rep=12, depth=2, num_heads=2, mlp_ratio=2, maxlen=8)
QUICK = {"xla_backend_optimization_level": 0}


def test_operations_of_a_layer_worked_out_by_hand():
  options = dict(dim_in=3, dim_feat=2, dim_rep=5, depth=1, mlp_ratio=2)
  # A stage: 4 * 4 + 2 * 2 * 4 = 32; the fusion 2 * 4; attention 2 * 2 * 2 over 17 joints and as much over 3 frames.
  of_a_joint = 4 * 32 + 8 + 8 * (17 + 3) + 3 * 2 + 2 * 5 + 5 * 3
  assert speed.operations(options, 3, 7) == 2 * 7 * 3 * 17 * of_a_joint


def test_operations_are_those_that_xla_counts():
  ratios = speed.count_check(speed.sizes("motionbert_lite") | {"depth": 1}, 243, 1)
  assert 1 < ratios["inference"] < 1.03, ratios  # XLA counts norms, GELU and softmax as well
  assert 1 < ratios["training"] < 1.06, ratios  # and AdamW


def test_the_script_writes_numbers_and_a_plot(tmp_path):
  output = tmp_path / "of" / "speed.json"
  flags = ["--presets=small", "--grid=10x1", "--rounds=2", "--block_s=0", "--full_size=small", f"--output={output}"]
  speed.main(flags)
  result = json.loads(output.read_text())
  rows = {row["kind"]: row for row in result["rows"]}
  sides = {"jaxpose"} if speed.torch is None else {"jaxpose", "torch", "torch_sdpa"}
  assert set(rows) == {"inference", "training"}
  for row in rows.values():
    assert set(row["ms"]) == sides and not row["missing"], row
    assert row["flop_per_s"]["jaxpose"] == pytest.approx(row["gflop"] * 1e9 / row["ms"]["jaxpose"] * 1e3)
    assert row["temporary_mb"]["jaxpose"] > 0
  assert rows["inference"]["clips_per_s"]["jaxpose"] == pytest.approx(1e3 / rows["inference"]["ms"]["jaxpose"])
  assert rows["training"]["gflop"] == pytest.approx(3 * rows["inference"]["gflop"])
  assert result["full_size"]["compile_s"] > 0
  assert output.with_suffix(".png").read_bytes()[1:4] == b"PNG"


def test_a_side_that_computes_something_else_is_an_error():
  outputs = {"jaxpose": np.array([1.0, -2.0]), "torch": np.array([1.0, -2.1])}
  with pytest.raises(ValueError, match="inference: torch differs from jaxpose by 0.05"):
    speed.differences(outputs, "float32", "inference")
  assert speed.differences(outputs, "bfloat16", "inference") == pytest.approx({"torch": 0.05})


def test_other_names_are_clear_errors(tmp_path):
  with pytest.raises(ValueError, match="'large', expected some of motionbert, "):
    speed.sizes("large")
  with pytest.raises(ValueError, match="sides has 'tensorflow', expected some of torch, "):
    speed.main(["--sides=tensorflow", f"--output={tmp_path / 'o.json'}"])


@pytest.mark.parametrize("fused", [False, True])
def test_pytorch_computes_the_same_poses(fused):
  torch, dstformer_torch = pytest.importorskip("torch"), pytest.importorskip("benchmarks.dstformer_torch")
  model, (x, _) = dstformer.create(**TINY), speed.batch(TINY, 5, 2)
  shapes, rng = jax.eval_shape(model.init, jax.random.key(0), x), np.random.default_rng(0)
  own = jax.tree.map(lambda a: rng.normal(0, 0.3, a.shape).astype(np.float32), shapes)
  net = dstformer_torch.load(own, num_heads=TINY["num_heads"], fused=fused)
  poses = dstformer_torch.inference(net, "float32")(torch.from_numpy(x)).numpy()
  expected = jax.jit(model.apply, compiler_options=QUICK)(own, x)
  np.testing.assert_allclose(poses, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("side", ["torch", "torch_sdpa"])
def test_pytorch_trains_the_same_way(side):
  pytest.importorskip("torch")
  options = speed.sizes("small")
  model, data = dstformer.create(**options), speed.batch(options, 10, 1)
  own = speed.variables(model, options)
  program, _ = speed.compiled(model, "training", *data)
  runs = (
    speed.ours(program, own, "training", *data),
    speed.theirs(own, side, "training", options["num_heads"], "float32", *data),
  )
  losses = np.array([[float(run()) for run in runs] for _ in range(3)])
  np.testing.assert_allclose(losses[:, 0], losses[:, 1], rtol=1e-5)
  assert losses[2, 0] < 0.99 * losses[0, 0]
