"""MotionBERT's published weights into a DSTformer, and back: torch files (zip archives) and safetensors.

  model, variables = load_motionbert("best_epoch.bin")
  poses = model.apply(variables, inputs)    # [B, T, 17, 3] from x, y and confidence

The names are those of github.com/Walter0807/MotionBERT. torch's linear maps are [out, in], ours [in, out]; our layers
are stacked on a leading axis.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from jaxpose import safetensors_file, torch_file
from jaxpose.models import dstformer

_WRAPPERS = ("model_pos", "model", "state_dict")  # what a checkpoint's dict calls the weights
_BLOCK = re.compile(r"(blocks_st|blocks_ts|ts_attn)\.(\d+)\.")
_HEADS = 8

State = dict[str, np.ndarray]  # a torch state dict
Names = dict[str, str]  # ours -> torch's


def load_motionbert(
  path: str, *, num_heads: int | None = None, **options: Any
) -> tuple[dstformer.DSTformer, dict[str, Any]]:
  """A published checkpoint as (model, variables), variables = {"params": {"trunk", "head"}} in float32.

  Reads what MotionBERT's training writes ({"model_pos": ..., "epoch": ..., ...}), a bare state dict, or safetensors,
  with or without the "module." prefix. Sizes are inferred from the tensors, all but the number of heads, on
  which no tensor's shape depends: see `infer_heads`, or give `num_heads`. `options` go to `dstformer.create`: dtype,
  remat, head_depth and so on.

  Raises ValueError, naming the file, for missing or extra keys, wrong shapes, and whatever `torch_file.read` refuses.
  """
  state = read_state(path)
  try:
    return from_torch_state_dict(state, num_heads=num_heads, **options)
  except ValueError as error:
    raise ValueError(f"{path}: {error}") from error


def read_state(path: str) -> State:
  """The model's state dict in a torch or safetensors file, without "module." prefixes."""
  content = safetensors_file.read(path) if safetensors_file.is_safetensors(path) else torch_file.read(path)
  wrapper = next((k for k in _WRAPPERS if isinstance(content, dict) and isinstance(content.get(k), dict)), None)
  state = content[wrapper] if wrapper else content
  arrays = isinstance(state, dict) and all(isinstance(v, np.ndarray) for v in state.values())
  if not arrays or not state:
    is_dict = isinstance(content, dict)
    holds = f"a dict of {', '.join(map(str, list(content)[:8]))}" if is_dict else f"a {type(content).__name__}"
    raise ValueError(
      f"{path}: holds no state dict: expected tensors by name, or these under one of {', '.join(_WRAPPERS)}; "
      f"got {holds}"
    )
  return {str(k).removeprefix("module."): v for k, v in state.items()}


def infer_heads(dim_feat: int) -> int:
  """Eight heads, as in every published model, but none narrower than 8 channels: 4 heads at a width of 32.

  Raises ValueError where that does not divide the width.
  """
  heads = max(1, min(_HEADS, dim_feat // 8))
  if dim_feat % heads:
    raise ValueError(f"cannot infer the number of heads of a model of width {dim_feat}; give num_heads")
  return heads


def from_torch_state_dict(
  state: Mapping[str, np.ndarray], *, num_heads: int | None = None, **options: Any
) -> tuple[dstformer.DSTformer, dict[str, Any]]:
  """As `load_motionbert`, from a state dict of arrays, without prefixes."""
  model_options = {**infer_options(state), **options}
  model_options["num_heads"] = num_heads or infer_heads(model_options["dim_feat"])
  model = dstformer.create(**model_options)
  names = _names(model_options["depth"])
  _check_names(state, names.values())
  shapes = _torch_shapes(model_options)
  for name in names.values():
    if state[name].shape != shapes[name]:
      raise ValueError(
        f"{name!r} has shape {state[name].shape}, expected {shapes[name]} by the other tensors: {model_options}"
      )
    if not (np.issubdtype(state[name].dtype, np.floating) or state[name].dtype.name == "bfloat16"):
      raise ValueError(f"{name!r} holds {state[name].dtype}, expected floating-point numbers")
    if not np.isfinite(state[name].astype(np.float32)).all():
      raise ValueError(f"{name!r} holds NaN or infinity")
  ours = {path: _to_ours(path, np.asarray(state[name], np.float32)) for path, name in names.items()}
  return model, {"params": _stack(ours, model_options["depth"], options.get("head_depth", 0))}


def infer_options(state: Mapping[str, np.ndarray]) -> dict[str, Any]:
  """The options of `dstformer.create` that the tensors' shapes tell: all sizes but num_heads."""
  keys = ("joints_embed.weight", "pos_embed", "temp_embed", "pre_logits.fc.weight", "blocks_st.0.mlp_s.fc1.weight")
  missing = [k for k in keys if k not in state]
  if missing:
    raise ValueError(f"no weights of a DSTformer: {', '.join(missing)} missing; the keys start {list(state)[:5]}")
  for key, ndim in zip(keys, (2, 3, 4, 2, 2)):
    if state[key].ndim != ndim:
      raise ValueError(f"{key!r} has shape {state[key].shape}, expected {ndim} axes")
  dim_feat, dim_in = state["joints_embed.weight"].shape
  layers = {int(m[2]) for k in state if (m := _BLOCK.match(k))}
  # A name may claim any layer; only as many as there are can be complete.
  depth = max(layers) + 1 if max(layers) < len(state) else len(layers)
  return dict(
    num_joints=state["pos_embed"].shape[1],
    dim_in=dim_in,
    dim_feat=dim_feat,
    dim_rep=state["pre_logits.fc.weight"].shape[0],
    depth=depth,
    mlp_ratio=state["blocks_st.0.mlp_s.fc1.weight"].shape[0] / dim_feat,
    maxlen=state["temp_embed"].shape[1],
  )


def to_torch_state_dict(variables: Mapping[str, Any], *, prefix: str = "") -> State:
  """A DSTformer's variables as a state dict with MotionBERT's names and shapes; the authors publish prefix="module.".

  The layers of trunk and head are joined again. Their model has no head_activation but tanh. Raises ValueError if the
  variables are no DSTformer's.
  """
  flat, depth = {}, 0
  for part in ("trunk", "head"):
    tensors = dict(_flat(variables["params"].get(part, {})))
    stacked = {path.removeprefix("layers/"): array for path, array in tensors.items() if path.startswith("layers/")}
    count = len(next(iter(stacked.values()), ()))
    flat |= {path: array for path, array in tensors.items() if not path.startswith("layers/")}
    flat |= {f"layers/{depth + i}/{leaf}": array[i] for leaf, array in stacked.items() for i in range(count)}
    depth += count
  names = _names(depth)
  if missing := [path for path in names if path not in flat]:
    raise ValueError(f"these are not the variables of a DSTformer: they lack {missing[0]!r}")
  return {prefix + name: _to_torch(path, np.asarray(flat[path], np.float32)) for path, name in names.items()}


def save_motionbert(path: str, variables: Mapping[str, Any], *, prefix: str = "module.") -> None:
  """Writes a file that MotionBERT's code loads: {"model_pos": state dict}."""
  torch_file.write(path, {"model_pos": to_torch_state_dict(variables, prefix=prefix)})


def _names(depth: int) -> Names:
  """Our parameter paths, layers unstacked as "layers/INDEX/...", and torch's names for them."""
  names = {"pos_embed": "pos_embed", "temp_embed": "temp_embed"}
  linear = {"kernel": "weight", "bias": "bias"}
  norm = {"scale": "weight", "bias": "bias"}

  def add(ours: str, theirs: str, kinds: Mapping[str, str]) -> None:
    names.update({f"{ours}/{k}": f"{theirs}.{v}" for k, v in kinds.items()})

  add("joints_embed", "joints_embed", linear)
  add("norm", "norm", norm)
  add("pre_logits", "pre_logits.fc", linear)
  add("pose", "head", linear)
  for i in range(depth):
    for stream in ("st", "ts"):
      for axis in ("spatial", "temporal"):
        ours, theirs, a = f"layers/{i}/{stream}_{axis}", f"blocks_{stream}.{i}", axis[0]
        for n in ("1", "2"):
          add(f"{ours}/norm{n}", f"{theirs}.norm{n}_{a}", norm)
          add(f"{ours}/fc{n}", f"{theirs}.mlp_{a}.fc{n}", linear)
        add(f"{ours}/qkv", f"{theirs}.attn_{a}.qkv", linear)
        add(f"{ours}/proj", f"{theirs}.attn_{a}.proj", linear)
    add(f"layers/{i}/fusion", f"ts_attn.{i}", linear)
  return names


def _torch_shapes(options: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
  """The shape of every tensor of a state dict, by torch's names."""
  width, hidden = options["dim_feat"], round(options["dim_feat"] * options["mlp_ratio"])
  ends = {"qkv": (3 * width, width), "proj": (width, width), "fc1": (hidden, width), "fc2": (width, hidden)}
  ends |= {"joints_embed": (width, options["dim_in"]), "fusion": (2, 2 * width), "pose": (3, options["dim_rep"])}
  ends |= {"pre_logits": (options["dim_rep"], width), "norm": (width,), "norm1": (width,), "norm2": (width,)}
  embeddings = {"pos_embed": (1, options["num_joints"], width), "temp_embed": (1, options["maxlen"], 1, width)}

  def shape(path: str) -> tuple[int, ...]:
    if path in embeddings:
      return embeddings[path]
    *_, module, leaf = path.split("/")
    return ends[module][:1] if leaf == "bias" else ends[module]

  return {name: shape(path) for path, name in _names(options["depth"]).items()}


def _check_names(state: Mapping[str, np.ndarray], expected) -> None:
  expected = set(expected)
  missing = [k for k in sorted(expected) if k not in state]
  extra = [k for k in sorted(state) if k not in expected]
  problems = [f"{what}: {', '.join(keys[:6])}{' ...' * (len(keys) > 6)} ({len(keys)})"
              for what, keys in (("missing keys", missing), ("extra keys", extra)) if keys]  # fmt: skip
  if problems:
    raise ValueError("; ".join(problems))


def _to_ours(path: str, array: np.ndarray) -> np.ndarray:
  if path in ("pos_embed", "temp_embed"):
    return array.reshape(-1, array.shape[-1])
  return array.T if path.endswith("kernel") else array


def _to_torch(path: str, array: np.ndarray) -> np.ndarray:
  if path == "pos_embed":
    return array[None]
  if path == "temp_embed":
    return array[None, :, None]
  return np.ascontiguousarray(array.T) if path.endswith("kernel") else array


def _stack(ours: Mapping[str, np.ndarray], depth: int, head_depth: int) -> dict[str, Any]:
  """The parameter tree, with the layers stacked and shared out between trunk and head."""
  parts: dict[str, dict[str, np.ndarray]] = {"trunk": {}, "head": {}}
  for path, array in ours.items():
    top = path.split("/")[0]
    if top != "layers":
      in_head = top in ("pre_logits", "pose") or (top == "norm" and head_depth)
      parts["head" if in_head else "trunk"][path] = array
  leaves = [p.removeprefix("layers/0/") for p in ours if p.startswith("layers/0/")]
  cut = depth - head_depth
  for part, layers in (("trunk", range(cut)), ("head", range(cut, depth))):
    for leaf in leaves if layers else ():
      parts[part][f"layers/{leaf}"] = np.stack([ours[f"layers/{i}/{leaf}"] for i in layers])
  return {part: _nested(flat) for part, flat in parts.items()}


def _nested(flat: Mapping[str, np.ndarray]) -> dict[str, Any]:
  tree: dict[str, Any] = {}
  for path, array in flat.items():
    *folders, leaf = path.split("/")
    at = tree
    for folder in folders:
      at = at.setdefault(folder, {})
    at[leaf] = array
  return tree


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
  for key, value in tree.items():
    if isinstance(value, Mapping):
      yield from _flat(value, f"{prefix}{key}/")
    else:
      yield f"{prefix}{key}", value
