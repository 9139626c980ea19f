"""Torch files as data: what torch writes is read, what it would not write is refused, and nothing is ever run."""

import collections
import io
import os
import pathlib
import pickle
import struct
import zipfile

import jax.numpy as jnp
import numpy as np
import pytest

from jaxpose import safetensors_file, torch_file

GOLDEN = pathlib.Path(__file__).parent / "golden"
PUBLISHED = GOLDEN / "motionbert_tiny.bin"

TREE = {
  "epoch": 7, "lr": 2e-4, "name": "é", "none": None, "flags": [True, False], "large": -(2**40), "betas": (0.9, 0.999),
  "nested": {0: {"step": np.float32(3)}}, "empty": {},
}  # fmt: skip


def archive(path, pickled: bytes, **entries: bytes) -> str:
  """A zip of the form that torch writes, with this pickle; an entry's name has _ for /."""
  with zipfile.ZipFile(path, "w") as file:
    file.writestr("a/data.pkl", pickled)
    for name, data in {"a_byteorder": b"little", **entries}.items():
      file.writestr(name.replace("_", "/"), data)
  return str(path)


STORAGE = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x03tQ"


def tensor(
  size: bytes = b"K\x03\x85", stride: bytes = b"K\x01\x85", offset: bytes = b"K\x00", storage: bytes = STORAGE
) -> bytes:
  """The pickle of one tensor over storage '0' of three floats, without its STOP."""
  return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + offset + size + stride + b"\x89}tR"


THREE = np.float32([1, 2, 3]).tobytes()


def test_reads_a_published_checkpoint():
  read = torch_file.read(str(PUBLISHED))
  golden = np.load(GOLDEN / "motionbert_tiny.npz")
  assert {k: v for k, v in read.items() if k != "model_pos"} == {
    "epoch": 7,
    "lr": 1e-4,
    "min_loss": 40.0,
    "optimizer": None,
  }
  weights = {k.removeprefix("module."): v for k, v in read["model_pos"].items()}
  assert {f"param/{k}" for k in weights} == {k for k in golden if k.startswith("param/")}
  for name, array in weights.items():
    np.testing.assert_array_equal(array, golden[f"param/{name}"])
    assert not array.flags.writeable


@pytest.mark.parametrize(
  "dtype", [np.float64, np.float32, np.float16, jnp.bfloat16, np.int64, np.int32, np.uint8, np.bool_]
)
def test_what_is_written_is_read(tmp_path, dtype):
  arrays = {"matrix": np.arange(6).reshape(2, 3), "scalar": np.array(1), "none": np.zeros((0, 4))}
  arrays = {k: v.astype(dtype) for k, v in arrays.items()} | {"transposed": np.arange(6).reshape(3, 2).astype(dtype).T}
  path = str(tmp_path / "x.bin")
  torch_file.write(path, {**TREE, "arrays": arrays})
  read = torch_file.read(path)
  back = read.pop("arrays")
  assert read == TREE and isinstance(read["betas"], tuple)
  for name, array in arrays.items():
    assert back[name].dtype == array.dtype
    np.testing.assert_array_equal(back[name], array)
  assert os.listdir(tmp_path) == ["x.bin"]


def test_torch_agrees_in_both_directions(tmp_path):
  torch = pytest.importorskip("torch", reason="torch is not installed: its own reader and writer are not compared")
  ours, theirs = str(tmp_path / "ours.bin"), str(tmp_path / "theirs.bin")
  torch_file.write(ours, {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": 1.5})
  read = torch.load(ours, weights_only=True)
  np.testing.assert_array_equal(read["a"].numpy(), np.arange(6).reshape(2, 3))
  model = torch.nn.Linear(3, 2)
  torch.save({"model": model.state_dict(), "min_loss": np.float64(36.7), "weight": model.weight}, theirs)
  read = torch_file.read(theirs)
  assert read["min_loss"] == 36.7
  np.testing.assert_array_equal(read["weight"], model.weight.detach().numpy())
  np.testing.assert_array_equal(read["model"]["bias"], model.bias.detach().numpy())


@pytest.mark.parametrize("number", [np.float64(36.7), np.float32(0.5), np.int64(-3)])
def test_numpy_numbers_are_read(tmp_path, number):
  # MotionBERT stores its best error as a NumPy number, which torch's own safe reader refuses.
  read = torch_file.read(archive(tmp_path / "x.bin", pickle.dumps({"min_loss": number}, protocol=2)))
  assert read == {"min_loss": number.item()}


def test_an_ordered_dict_with_attributes_is_a_dict(tmp_path):
  state = collections.OrderedDict(a=1)
  state._metadata = {"": {"version": 1}}  # as every state_dict() of torch has
  read = torch_file.read(archive(tmp_path / "x.bin", pickle.dumps(state, protocol=2)))
  assert read == {"a": 1} and type(read) is dict


def test_views_of_one_storage(tmp_path):
  views = tensor() + tensor(b"K\x01\x85", offset=b"K\x02") + tensor(b"K\x01K\x03\x86", b"K\x00K\x01\x86")
  whole, last, row = torch_file.read(archive(tmp_path / "x.bin", b"\x80\x02(" + views + b"t.", a_data_0=THREE))
  np.testing.assert_array_equal(whole, [1, 2, 3])
  np.testing.assert_array_equal(last, [3])
  np.testing.assert_array_equal(row, [[1, 2, 3]])


class Hostile:
  """Its pickle runs a shell command."""

  def __init__(self, command: str):
    self.command = command

  def __reduce__(self):
    return os.system, (self.command,)


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_hostile_pickle_is_refused_and_never_run(tmp_path, protocol):
  witness = tmp_path / "run"
  pickled = pickle.dumps({"model_pos": Hostile(f"touch {witness}")}, protocol=protocol)
  path = archive(tmp_path / "x.bin", pickled)
  with pytest.raises(
    ValueError, match=rf"x\.bin: the pickle asks for '{os.system.__module__}\.system'.*nothing was run"
  ):
    torch_file.read(path)
  assert not witness.exists()
  pickle.loads(pickled)  # the same bytes, trusted: this pickle does run
  assert witness.exists()


@pytest.mark.parametrize(
  "name",
  ["builtins eval", "builtins getattr", "torch.load", "jaxpose.torch_file read", "torch._utils _rebuild_tensor_v2.x"],
)
def test_any_other_name_is_refused(tmp_path, name):
  module, _, attribute = name.partition(" ")
  pickled = f"\x80\x02c{module}\n{attribute}\n)R.".encode("latin1")
  with pytest.raises(ValueError, match="nothing was run"):
    torch_file.read(archive(tmp_path / "x.bin", pickled))


BAD_PICKLES = {
  "empty": (b"", "pickle"),
  "ends early": (b"\x80\x02}", "pickle"),
  "nothing to pop": (b"\x80\x02R.", "malformed at byte 3"),
  "unknown memo": (b"\x80\x02h\x05.", "malformed"),
  "mark missing": (b"\x80\x02t.", "malformed"),
  "not an opcode": (b"\x80\x02\xff.", "opcode b'.xff'"),
  "calls data": (b"\x80\x02K\x01)R.", "malformed"),
  "calls a storage": (b"\x80\x02ctorch\nFloatStorage\n)R.", "malformed"),
  "key of a dict": (b"\x80\x02}(]K\x01u.", "malformed"),
  "build on a name": (b"\x80\x02ccollections\nOrderedDict\n}b.", "malformed"),
  "instance": (b"\x80\x02(ios\nsystem\n.", "asks for 'os.system'"),
  "bytes over and over": (
    b"\x80\x02]X\x00\x10\x00\x00"
    + b"a" * 4096
    + b"q\x00X\x06\x00\x00\x00latin1q\x01"
    + 100 * b"c_codecs\nencode\nh\x00h\x01\x86R"
    + b".",
    "asks for copies",
  ),
  "a dtype as a value": (b"\x80\x02cnumpy\ndtype\nX\x02\x00\x00\x00f4\x85R.", "bare dtype"),
  "memo bomb": (b"\x80\x02}r\xff\xff\xff\x7f.", None),  # a memo table as long as its index would fill the memory
}


@pytest.mark.parametrize("name", BAD_PICKLES)
def test_a_malformed_pickle_is_a_clear_error(tmp_path, name):
  pickled, message = BAD_PICKLES[name]
  path = archive(tmp_path / "x.bin", pickled)
  if message is None:
    assert torch_file.read(path) == {}
    return
  with pytest.raises(ValueError, match=rf"x\.bin: .*{message}"):
    torch_file.read(path)


OVER_A_TENSOR = tensor(b"K\x03\x85", b"K\x00\x85", b"K\x02")  # [3, 3, 3], one number three times
BAD_TENSORS = {
  "beyond the storage": (tensor(size=b"K\x04\x85"), "leaves its 3 numbers"),
  "offset": (tensor(offset=b"K\x01"), "leaves its 3 numbers"),
  "negative": (tensor(stride=b"J\xff\xff\xff\xff\x85"), "malformed"),
  "expanded": (tensor(size=b"J\x00\x00\x00\x40\x85", stride=b"K\x00\x85"), "leaves its 3 numbers"),
  "axes": (tensor(stride=b"K\x01K\x01\x86"), "leaves its 3 numbers"),
  "over a tensor": (tensor(storage=OVER_A_TENSOR), "malformed"),  # would read beyond the storage
  "over a tensor in a storage": (
    tensor(storage=STORAGE + b"}U\x07numbers" + OVER_A_TENSOR + b"sb"),
    "takes no state",
  ),
}


@pytest.mark.parametrize("name", BAD_TENSORS)
def test_a_tensor_stays_within_its_storage(tmp_path, name):
  pickled, message = BAD_TENSORS[name]
  with pytest.raises(ValueError, match=message):
    torch_file.read(archive(tmp_path / "x.bin", b"\x80\x02" + pickled + b".", a_data_0=THREE))


def test_a_storage_of_another_size_or_none(tmp_path):
  pickled = b"\x80\x02" + tensor() + b"."
  with pytest.raises(ValueError, match="has 8 bytes, but the pickle says 3 numbers of float32, 12 bytes"):
    torch_file.read(archive(tmp_path / "x.bin", pickled, a_data_0=THREE[:8]))
  with pytest.raises(ValueError, match="no storage '0'"):
    torch_file.read(archive(tmp_path / "x.bin", pickled))


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_truncated_file_is_a_clear_error(tmp_path, share):
  data = PUBLISHED.read_bytes()
  path = tmp_path / "cut.bin"
  path.write_bytes(data[: int(share * len(data))])
  with pytest.raises(ValueError, match=r"cut\.bin: (a damaged or truncated archive|not a file of torch\.save)"):
    torch_file.read(str(path))


def test_a_damaged_tensor_is_a_clear_error(tmp_path):
  data = bytearray(PUBLISHED.read_bytes())
  data[data.index(np.load(GOLDEN / "motionbert_tiny.npz")["param/pos_embed"].tobytes()) + 100] ^= 1
  path = tmp_path / "damaged.bin"
  path.write_bytes(data)
  with pytest.raises(ValueError, match=r"damaged\.bin: a damaged or truncated archive.*CRC"):
    torch_file.read(str(path))


def test_files_of_another_kind_are_clear_errors(tmp_path):
  def read(data: bytes):
    (tmp_path / "x").write_bytes(data)
    torch_file.read(str(tmp_path / "x"))

  with pytest.raises(ValueError, match="not a file of torch.save"):
    read(b"weights")
  with pytest.raises(ValueError, match="before version 1.6"):
    read(pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2))
  with pytest.raises(ValueError, match="has no NAME/data.pkl"):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
      file.writestr("x.npy", b"")
    read(buffer.getvalue())
  with pytest.raises(ValueError, match="big-endian"):
    torch_file.read(archive(tmp_path / "x", b"\x80\x02}.", a_byteorder=b"big"))
  with pytest.raises(FileNotFoundError):
    torch_file.read(str(tmp_path / "none"))


def test_a_zip_bomb_is_refused_unopened(tmp_path):
  with zipfile.ZipFile(tmp_path / "x.bin", "w", zipfile.ZIP_DEFLATED) as file:
    file.writestr("a/data.pkl", b"\x80\x02}" + b"0}" * 10**6 + b".")
  with pytest.raises(ValueError, match="compressed"):
    torch_file.read(str(tmp_path / "x.bin"))


def test_what_cannot_be_written_leaves_no_file(tmp_path):
  for value in (object(), np.array(["text"]), {"a": {1, 2}}):
    with pytest.raises(ValueError, match="cannot be written"):
      torch_file.write(str(tmp_path / "x.bin"), {"ok": 1, "bad": value})
  assert os.listdir(tmp_path) == []


def safetensors(path, header: bytes, data: bytes = b"", length: int | None = None) -> str:
  path.write_bytes(struct.pack("<Q", len(header) if length is None else length) + header + data)
  return str(path)


def test_safetensors_are_read(tmp_path):
  header = (
    b'{"__metadata__":{"format":"pt"},"b":{"dtype":"F32","shape":[3],"data_offsets":[4,16]},'
    b'"a":{"dtype":"BF16","shape":[1,2],"data_offsets":[0,4]}}'
  )
  path = safetensors(tmp_path / "x.safetensors", header, np.array([1, 2], jnp.bfloat16).tobytes() + THREE)
  assert safetensors_file.is_safetensors(path) and not safetensors_file.is_safetensors(str(PUBLISHED))
  read = safetensors_file.read(path)
  np.testing.assert_array_equal(read["b"], [1, 2, 3])
  assert read["a"].dtype == jnp.bfloat16 and read["a"].shape == (1, 2)


BAD_SAFETENSORS = {
  "truncated": (b'{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,16]}}', THREE),
  "shape": (b'{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,12]}}', THREE),
  "negative": (b'{"a":{"dtype":"F32","shape":[-3],"data_offsets":[0,12]}}', THREE),
  "dtype": (b'{"a":{"dtype":"F99","shape":[3],"data_offsets":[0,12]}}', THREE),
  "backwards": (b'{"a":{"dtype":"F32","shape":[3],"data_offsets":[12,0]}}', THREE),
  "hole": (b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}', THREE),
  "rest": (b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}', THREE),
  "twice": (b'{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]},"a":{}}', THREE),
  "no JSON": (b"{", b""),
  "deep": (b'{"a":' + b"[" * 10**5, b""),
  "no entry": (b'{"a":[]}', b""),
}


@pytest.mark.parametrize("name", BAD_SAFETENSORS)
def test_bad_safetensors_are_clear_errors(tmp_path, name):
  with pytest.raises(ValueError, match=r"x\.safetensors: no readable safetensors file \(.+\); fetch it again"):
    safetensors_file.read(safetensors(tmp_path / "x.safetensors", *BAD_SAFETENSORS[name]))


def test_a_safetensors_header_longer_than_the_file(tmp_path):
  with pytest.raises(ValueError, match=r"x\.safetensors: no readable"):
    safetensors_file.read(safetensors(tmp_path / "x.safetensors", b"{}", length=50_000_000))
  with pytest.raises(FileNotFoundError):
    safetensors_file.read(str(tmp_path / "none"))
