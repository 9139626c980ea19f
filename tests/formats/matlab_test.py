"""MATLAB files of both kinds: what SciPy and HDF5 write is read alike, and no size is believed before it is checked."""

import os
import pathlib
import struct
import zlib

import h5py
import numpy as np
import pytest
import scipy.io

from jaxpose.formats import matlab

NUMBERS = {
  "f8": np.arange(24.0).reshape(2, 3, 4),
  "f4": np.float32([[1, 2], [3, 4], [5, 6]]),
  "i8": np.int64([[-(2**40), 2]]),
  "i4": np.int32([[-1], [2]]),
  "u2": np.uint16([[60000, 2]]),
  "i1": np.int8([[-1, 2]]),
  "logical": np.array([[True, False, True]]),
}


def objects(rows: list[list]) -> np.ndarray:
  array = np.empty((len(rows), len(rows[0])), object)
  for i, row in enumerate(rows):
    for j, value in enumerate(row):
      array[i, j] = value
  return array


def structs(*values: dict) -> np.ndarray:
  array = np.empty((1, len(values)), [(name, object) for name in values[0]])
  for i, value in enumerate(values):
    array[0, i] = tuple(value.values())
  return array


PERSON = {"name": "im01.jpg", "joints": np.float64([[1, 2]])}
NESTED = {
  "text": "naïve",
  "lines": np.array(["ab", "cd"]),
  "column": objects([[np.eye(2)], [np.ones((1, 3))]]),
  "grid": objects([["a", "b", "c"], ["d", "e", "f"]]),
  "person": PERSON,
  "people": structs(PERSON, PERSON, PERSON),
  "deep": {"cell": objects([[objects([["inner", PERSON]])]])},
  "nobody": np.empty((0, 0), [("name", object)]),
  "nothing": np.empty((0, 0), object),
  "complex": np.array([[1 + 2j, 3 - 4j]]),
  "none": np.zeros((0, 3)),
}


def write_73(path, values: dict) -> str:
  """Writes numbers as MATLAB 7.3 does: axes reversed, classes as attributes."""
  with h5py.File(path, "w", userblock_size=512, libver="earliest") as file:
    for name, value in values.items():
      kind = {"f8": "double", "f4": "single", "b1": "logical"}.get(value.dtype.str[1:], value.dtype.name)
      item = file.create_dataset(name, data=value.T.astype(np.uint8) if kind == "logical" else value.T)
      item.attrs["MATLAB_class"] = np.bytes_(kind)
  with open(path, "r+b") as file:
    file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(116) + bytes(8) + b"\x00\x02IM")
  return os.fspath(path)


def write_5(path, values: dict, compress: bool = False) -> str:
  scipy.io.savemat(path, values, do_compression=compress)
  return os.fspath(path)


WRITERS = {
  "5": write_5,
  "5 compressed": lambda path, values: write_5(path, values, True),
  "7.3": write_73,
}


@pytest.fixture(params=WRITERS)
def write(request, tmp_path):
  return lambda values: WRITERS[request.param](tmp_path / "x.mat", values)


def test_numbers_keep_their_axes_and_types(write):
  read = matlab.read(write(NUMBERS))
  assert set(read) == set(NUMBERS)
  for name, expected in NUMBERS.items():
    assert read[name].shape == expected.shape and read[name].dtype == expected.dtype, name
    np.testing.assert_array_equal(read[name], expected)


@pytest.mark.parametrize("compress", [False, True])
def test_text_cells_and_structs(compress, tmp_path):
  read = matlab.read(write_5(tmp_path / "x.mat", NESTED, compress))
  assert read["text"] == "naïve" and read["lines"] == ["ab", "cd"]
  np.testing.assert_array_equal(read["column"][0], np.eye(2))
  np.testing.assert_array_equal(read["column"][1], np.ones((1, 3)))
  assert read["grid"] == [["a", "b", "c"], ["d", "e", "f"]]
  assert set(read["person"]) == {"name", "joints"} and read["person"]["name"] == "im01.jpg"
  assert [person["name"] for person in read["people"]] == ["im01.jpg"] * 3
  np.testing.assert_array_equal(read["people"][2]["joints"], [[1, 2]])
  ((text, person),) = read["deep"]["cell"]
  assert text == "inner" and person["name"] == "im01.jpg"
  assert read["nobody"] == [] and read["nothing"] == []
  np.testing.assert_array_equal(read["complex"], NESTED["complex"])
  assert read["none"].shape == (0, 3) and read["none"].dtype == np.float64


def test_keys_choose_and_a_missing_one_is_named(write):
  path = write(NUMBERS)
  assert set(matlab.read(path, ["f4", "i1"])) == {"f4", "i1"}
  with pytest.raises(ValueError, match=r"x\.mat.*'poses'"):
    matlab.read(path, ["f4", "poses"])


def parse(content: bytes, folder, **options) -> dict:
  (folder / "made").write_bytes(content)
  return matlab.read(folder / "made", where="x.mat", **options)


def test_the_limit_holds_for_all_values_together(write):
  path = write({"a": np.zeros((100, 100)), "b": np.zeros((100, 100))})
  assert set(matlab.read(path, limit=170_000)) == {"a", "b"}
  with pytest.raises(ValueError, match=r"x\.mat.*limit"):
    matlab.read(path, limit=130_000)
  assert set(matlab.read(path, ["a"], limit=130_000)) == {"a"}


def test_each_makes_one_struct_and_none_a_list():
  assert matlab.each({"a": 1}) == [{"a": 1}]
  assert matlab.each([{"a": 1}, {"a": 2}]) == [{"a": 1}, {"a": 2}]
  assert matlab.each([]) == [] and matlab.each(np.zeros((0, 0))) == []


def test_both_byte_orders(tmp_path):
  # A big-endian file by hand: a 1 x 2 double, and text.
  def element(kind: int, data: bytes) -> bytes:
    return struct.pack(">ii", kind, len(data)) + data + bytes(-len(data) % 8)

  def matrix(name: bytes, kind: int, shape: tuple[int, ...], data: bytes) -> bytes:
    flags, dims = struct.pack(">II", kind, 0), struct.pack(f">{len(shape)}i", *shape)
    return element(14, element(6, flags) + element(5, dims) + element(1, name) + data)

  content = b"MATLAB 5.0 MAT-file".ljust(124) + b"\1\0MI"
  content += matrix(b"a", 6, (1, 2), element(9, struct.pack(">2d", 1.5, -2)))
  content += matrix(b"t", 4, (1, 3), element(4, "xyz".encode("utf-16-be")))
  (tmp_path / "x.mat").write_bytes(content)
  read = matlab.read(tmp_path / "x.mat")
  np.testing.assert_array_equal(read["a"], [[1.5, -2]])
  assert read["t"] == "xyz"
  np.testing.assert_array_equal(scipy.io.loadmat(tmp_path / "x.mat")["a"], read["a"])


def test_numbers_that_are_stored_smaller_have_their_class(tmp_path):
  # MATLAB stores whole doubles in the smallest integers that hold them; SciPy never does.
  path = write_5(tmp_path / "x.mat", {"a": np.float64([[1, 2, 3, 4, 5, 6, 7, 8]])})
  content = bytearray(pathlib.Path(path).read_bytes())
  at = content.index(struct.pack("<II", 9, 64))
  content[at:] = struct.pack("<II", 2, 8) + bytes(range(1, 9))
  content[132:136] = struct.pack("<I", len(content) - 136)
  read = parse(bytes(content), tmp_path)["a"]
  assert read.dtype == np.float64
  np.testing.assert_array_equal(read, [[1, 2, 3, 4, 5, 6, 7, 8]])


def test_a_file_as_the_test_set_of_3dhp_is(tmp_path):
  # Chunks that are packed, numbers that are not, and no class on some.
  poses = np.random.default_rng(0).normal(size=(3, 17, 1, 9))
  with h5py.File(tmp_path / "annot_data.mat", "w", userblock_size=512, libver="earliest") as file:
    file.create_dataset("annot3", data=poses.T, chunks=(4, 1, 17, 3), compression="gzip", shuffle=True)
    file.create_dataset("valid_frame", data=np.ones((9, 1)))
  read = matlab.read(tmp_path / "annot_data.mat")
  np.testing.assert_array_equal(read["annot3"], poses)
  assert read["valid_frame"].shape == (1, 9)


HEADER = b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\1IM"


def element(kind: int, data: bytes, size: int | None = None) -> bytes:
  return struct.pack("<II", kind, len(data) if size is None else size) + data + bytes(-len(data) % 8)


def matrix(kind: int, shape: tuple[int, ...], data: bytes = b"", name: bytes = b"a", flags: int = 0) -> bytes:
  dims = struct.pack(f"<{len(shape)}i", *shape)
  return element(14, element(6, struct.pack("<II", kind | flags, 0)) + element(5, dims) + element(1, name) + data)


def packed(data: bytes, size: int | None = None) -> bytes:
  content = zlib.compress(struct.pack("<II", 14, len(data) if size is None else size) + data)
  return struct.pack("<II", 15, len(content)) + content


def nested(depth: int) -> bytes:
  inner = matrix(6, (0, 0), element(9, b""))
  for _ in range(depth):
    inner = matrix(1, (1, 1), inner)
  return inner


ONE = matrix(6, (1, 1), element(9, bytes(8)))
WIDTH = element(5, struct.pack("<i", 8))
NAMES = WIDTH + element(1, b"x".ljust(8, b"\0"))
BAD_5 = {
  "cells that are not there": (matrix(1, (2**31 - 1, 1)), "do not fit"),
  "structs that are not there": (matrix(2, (2**31 - 1, 1), NAMES), "do not fit"),
  "structs without fields": (matrix(2, (2**31 - 1, 1), WIDTH + element(1, b"")), "field names"),
  "numbers that are not there": (matrix(6, (2**31 - 1, 2**31 - 1), element(9, bytes(16))), "not the numbers of shape"),
  "numbers too many": (matrix(6, (1, 1), element(9, bytes(16))), "not the numbers of shape"),
  "numbers of no type": (matrix(6, (1, 1), element(77, bytes(8))), "not the numbers of shape"),
  "a negative axis": (matrix(6, (-1, -2), element(9, bytes(16))), "no shape"),
  "one axis": (matrix(6, (2,), element(9, bytes(16))), "no shape"),
  "text too short": (matrix(4, (1, 5), element(16, b"abc")), "3 characters"),
  "text of no code": (matrix(4, (1, 2), element(16, b"\xff\xfe")), "decode"),
  "deep cells": (nested(100), "nested more than"),
  "very deep cells": (nested(5000), "nested more than"),
  "sparse": (matrix(5, (1, 1), element(5, b"")), "sparse.*keys"),
  "an object": (element(14, element(6, struct.pack("<II", 17, 0)) + element(1, b"a") * 3), "object.*keys"),
  "a function": (matrix(16, (1, 1)), "function.*keys"),
  "an element that leaves the file": (element(14, b"", 2**31), "truncated"),
  "an element that is no variable": (element(9, bytes(8)), "type 9"),
  "a packed element that claims too much": (packed(ONE[8:], 2**32 - 1), "beyond the limit or the possible"),
  "a packed element that claims too little": (packed(ONE[8:], 16), "unpack"),
  "a packed element with another in it": (element(15, zlib.compress(packed(b""))), "no variable"),
  "a packed element that is none": (struct.pack("<II", 15, 16) + b"\xff" * 16, "incorrect header"),
  "the same name twice": (ONE * 2, "twice"),
  "bytes after the value": (matrix(6, (1, 1), element(9, bytes(8)) + bytes(8)), "follow"),
  "bytes after the variables": (ONE + b"\1", "ends early"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_5)
def test_damage_of_version_5_is_a_clear_error(name, tmp_path):
  content, message = BAD_5[name]
  with pytest.raises(ValueError, match=rf"^x\.mat.*{message}"):
    parse(HEADER + content, tmp_path)


def test_a_bomb_is_refused_before_it_unpacks(tmp_path):
  bomb = packed(matrix(6, (1, 2**22), element(9, bytes(2**25)))[8:])
  assert len(bomb) < 2**16
  with pytest.raises(ValueError, match="limit"):
    parse(HEADER + bomb, tmp_path, limit=2**24)
  assert parse(HEADER + bomb, tmp_path, limit=2**26)["a"].shape == (1, 2**22)


OTHER = (b"", b"MATLAB", b"x" * 200, HEADER[:124] + b"\0\2IM", b"\x89HDF\r\n\x1a\n" + b"x" * 99)


@pytest.mark.parametrize("content", OTHER)
def test_other_files_are_clear_errors(content, tmp_path):
  (tmp_path / "x.mat").write_bytes(content)
  with pytest.raises(ValueError, match=r"x\.mat"):
    matlab.read(tmp_path / "x.mat")
  with pytest.raises(OSError, match="none"):
    matlab.read(tmp_path / "none.mat")


def test_a_huge_array_of_nothing_is_refused(tmp_path):
  with h5py.File(tmp_path / "x.mat", "w") as file:
    file.create_dataset("sparse", (2**20, 2**20), "f8", chunks=(2**10, 2**10), compression="gzip")
    file.create_dataset("late", (2**20, 2**8), "f8")
    part = file.create_dataset("part", (4, 4), "f8", chunks=(2, 2))
    part[:2] = 1
    file.create_dataset("packed", data=np.zeros((2**10, 2**10)), chunks=(2**10, 2**10), compression="gzip")
  for name in ("sparse", "late", "part"):
    with pytest.raises(ValueError, match=rf"x\.mat, variable '{name}'"):
      matlab.read(tmp_path / "x.mat", [name])
  with pytest.raises(ValueError, match="limit"):
    matlab.read(tmp_path / "x.mat", ["packed"], limit=2**20)
  assert not matlab.read(tmp_path / "x.mat", ["packed"])["packed"].any()


def test_an_axis_that_shrinks_is_noticed(tmp_path):
  # Of a file whose numbers lie in one piece. The shape stands twice: the lengths of the axes, and their limits.
  path = write_73(tmp_path / "x.mat", {"poses": np.ones((3, 77))})
  content = pathlib.Path(path).read_bytes()
  old, new = struct.pack("<QQ", 77, 3), struct.pack("<QQ", 76, 3)
  assert content.count(old) >= 1
  with pytest.raises(ValueError, match=r"x\.mat, variable 'poses': .* needs 1824 bytes and has 1848"):
    parse(content.replace(old, new), tmp_path)


def test_hdf5_stays_within_its_file(tmp_path):
  (tmp_path / "secret").write_bytes(bytes(range(64)))
  with h5py.File(tmp_path / "other.mat", "w") as file:
    file["a"] = np.eye(2)
  with h5py.File(tmp_path / "x.mat", "w") as file:
    file["elsewhere"] = h5py.ExternalLink("other.mat", "/a")
    file["soft"] = h5py.SoftLink("/elsewhere")
    file.create_group("struct")["field"] = h5py.ExternalLink("other.mat", "/a")
    file.create_dataset("raw", (8,), "f8", external=[(str(tmp_path / "secret"), 0, 64)])
    layout = h5py.VirtualLayout((2, 2), "f8")
    layout[:] = h5py.VirtualSource(str(tmp_path / "other.mat"), "a", (2, 2))
    file.create_virtual_dataset("virtual", layout)
    file.create_dataset("text", data=["a", "b"])
    file["type"] = np.dtype("f8")
    file["reference"] = np.array([h5py.Reference()], h5py.ref_dtype)
  for name in ("elsewhere", "soft", "struct", "raw", "virtual", "text", "type", "reference"):
    with pytest.raises(ValueError, match=rf"x\.mat, variable '{name}'"):
      matlab.read(tmp_path / "x.mat", [name])


def test_what_is_no_array_of_numbers_is_refused_in_73(tmp_path):
  path = write_73(tmp_path / "x.mat", {name: np.eye(2, dtype=np.uint16) for name in ("table", "empty", "text", "fine")})
  with h5py.File(path, "r+") as file:
    file["table"].attrs["MATLAB_object_decode"] = np.int32(3)
    file["empty"].attrs["MATLAB_empty"] = np.uint8(1)
    file["text"].attrs["MATLAB_class"] = np.bytes_("char")
    file["cell"] = np.array([file["fine"].ref], h5py.ref_dtype)
    file["complex"] = np.zeros(2, [("real", "f8"), ("imag", "f8")])
    file.create_group("sparse").attrs["MATLAB_sparse"] = np.uint64(2)
  for name in ("table", "empty", "text", "cell", "complex", "sparse"):
    with pytest.raises(ValueError, match=rf"x\.mat, variable '{name}': it is no array of numbers"):
      matlab.read(path, [name])
  assert set(matlab.read(path, ["fine"])) == {"fine"}
