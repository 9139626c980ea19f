"""Archives of NumPy: what NumPy writes is read, objects only as plain data, and sizes are checked first."""

import io
import os
import tracemalloc
import zipfile

import numpy as np
import pytest

from jaxpose.formats import npz

ARRAYS = {
  "poses": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
  "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
  "big": np.arange(3, dtype=">i4"),
  "scalar": np.array(0.5),
  "none": np.zeros((0, 17, 3)),
  "text": np.array(["male", "ü"]),
  "gender": np.array("female"),
  "bytes": np.array(b"male"),
  "flags": np.array([True, False]),
  "rows": np.zeros(2, [("x", "f4"), ("y", "i2")]),
}
POSITIONS = {"S1": {"Walking 1": [np.zeros((2, 17, 2), np.float32)] * 4}, "S11": {}}


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_are_read_as_numpy_reads_them(save, tmp_path):
  save(tmp_path / "x.npz", **ARRAYS)
  read = npz.read(tmp_path / "x.npz")
  assert list(read) == list(ARRAYS)
  for name, expected in ARRAYS.items():
    assert read[name].dtype == expected.dtype and read[name].shape == expected.shape
    assert read[name].flags.writeable and read[name].flags.f_contiguous == expected.flags.f_contiguous
    np.testing.assert_array_equal(read[name], expected)
  assert list(npz.read(tmp_path / "x.npz", ["text", "poses"])) == ["text", "poses"]
  assert npz.names(tmp_path / "x.npz") == list(ARRAYS)


def test_objects_are_plain_data(tmp_path):
  people = np.empty((2, 1), object)
  people[:] = [[{"a": np.eye(2)}], ["text"]]
  np.savez_compressed(tmp_path / "x.npz", positions_2d=POSITIONS, people=people)
  read = npz.read(tmp_path / "x.npz")
  assert list(read["positions_2d"]) == ["S1", "S11"] and len(read["positions_2d"]["S1"]["Walking 1"]) == 4
  assert read["people"].shape == (2, 1) and read["people"][1, 0] == "text"
  np.testing.assert_array_equal(read["people"][0, 0]["a"], np.eye(2))


class Hostile:
  """Its pickle makes a folder."""

  def __init__(self, path):
    self.path = path

  def __reduce__(self):
    return os.mkdir, (self.path,)


def test_objects_that_are_none_are_refused_and_nothing_is_run(tmp_path):
  np.savez(tmp_path / "x.npz", poses=np.zeros(3), extra=np.array(Hostile(str(tmp_path / "made")), object))
  with pytest.raises(ValueError, match=r"x\.npz, array 'extra': the pickle asks for .*mkdir"):
    npz.read(tmp_path / "x.npz")
  assert not (tmp_path / "made").exists()
  np.testing.assert_array_equal(npz.read(tmp_path / "x.npz", ["poses"])["poses"], np.zeros(3))


def archive(path, name: str = "a.npy", content: bytes | None = None, array=None, **options) -> str:
  """A zip with one entry."""
  if content is None:
    file = io.BytesIO()
    np.lib.format.write_array(file, np.arange(6.0) if array is None else array)
    content = file.getvalue()
  with zipfile.ZipFile(path, "w", **options) as file:
    file.writestr(name, content)
  return str(path)


def header(text: str, data: bytes = b"") -> bytes:
  return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + data


DESCRIPTION = "{'descr': '%s', 'fortran_order': False, 'shape': %s}"
BAD = {
  "nothing": (b"", "header"),
  "no array": (b"text", "header"),
  "another version": (b"\x93NUMPY\x09\x00" + bytes(20), "version"),
  "shape beyond the bytes": (header(DESCRIPTION % ("<f8", "(1000000000000,)"), bytes(16)), "do not fit its 16 bytes"),
  "shape below the bytes": (header(DESCRIPTION % ("<f8", "(1,)"), bytes(16)), "do not fit"),
  "an overflow that fits": (header(DESCRIPTION % ("<f8", "(4294967296, 4294967296)")), "do not fit"),
  "a negative shape": (header(DESCRIPTION % ("<f8", "(-2, -1)"), bytes(16)), "no shape"),
  "a true shape": (header(DESCRIPTION % ("<f8", "(True, 2)"), bytes(16)), "no shape"),
  "text of no length": (header(DESCRIPTION % ("<U0", "(1000000000,)")), "do not fit"),
  "no characters": (header(DESCRIPTION % ("<U1", "(1,)"), b"\xff" * 4), "no text"),
  "no booleans": (header(DESCRIPTION % ("|b1", "(1,)"), b"\x07"), "booleans"),
  "objects of another shape": (header(DESCRIPTION % ("|O", "(1,)"), b"\x80\x02}."), "objects are not"),
  "objects in rows": (header(DESCRIPTION.replace("'%s'", "%s") % ("[('a', '|O')]", "()"), b"\x80\x02}."), "are not"),
  "a call in the header": (header("{'descr': open('x'), 'fortran_order': False, 'shape': ()}"), "header"),
  "a deep header": (header("(" * 9000 + ")" * 9000), "header"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_damaged_arrays_are_clear_errors(name, tmp_path):
  content, message = BAD[name]
  with pytest.raises(ValueError, match=rf"x\.npz, array 'a': .*{message}"):
    npz.read(archive(tmp_path / "x.npz", content=content))


def test_an_array_takes_no_more_memory_than_it_has(tmp_path):
  np.savez(tmp_path / "x.npz", poses=np.zeros(2**21))
  npz.read(tmp_path / "x.npz")  # what is imported once
  tracemalloc.start()
  npz.read(tmp_path / "x.npz")
  _, peak = tracemalloc.get_traced_memory()
  tracemalloc.stop()
  assert peak < 1.2 * 2**24


def test_errors_name_the_file_as_the_caller_does(tmp_path):
  with pytest.raises(ValueError, match=r"^data\.zip/x\.npz: it has no \['b'\]"):
    npz.read(archive(tmp_path / "0"), ["b"], where="data.zip/x.npz")
  with pytest.raises(ValueError, match=r"^data\.zip/x\.npy: its header is damaged"):
    npz.read_array(archive(tmp_path / "0"), where="data.zip/x.npy")


def test_damaged_archives_are_clear_errors(tmp_path):
  path = tmp_path / "x.npz"
  archive(path)
  content = path.read_bytes()
  for damaged in (b"", b"text", content[:-30], content[: len(content) // 2], content.replace(b"\xf0?", b"\xf1?")):
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match=r"x\.npz: "):
      npz.read(path)
  with pytest.raises(FileNotFoundError):
    npz.read(tmp_path / "none.npz")
  with pytest.raises(ValueError, match=r"x\.npz: it has no \['b'\]; it holds \['a'\]"):
    npz.read(archive(path), ["a", "b"])


def test_bombs_are_refused_before_they_unpack(tmp_path):
  path = archive(tmp_path / "x.npz", array=np.zeros(2**22), compression=zipfile.ZIP_DEFLATED)
  assert os.path.getsize(path) < 2**16
  with pytest.raises(ValueError, match="limit"):
    npz.read(path, limit=2**24)
  content = bytearray(open_bytes(path))
  for at in (content.rindex(b"PK\x01\x02") + 24, 22):  # the unpacked size, as the directory and the entry have it
    content[at : at + 4] = (2**31).to_bytes(4, "little")
  (tmp_path / "x.npz").write_bytes(content)
  with pytest.raises(ValueError, match="claims 2147483648 bytes"):
    npz.read(path)
  with pytest.raises(ValueError, match="compressed in a way"):
    npz.read(archive(path, compression=zipfile.ZIP_BZIP2))


def open_bytes(path: str) -> bytes:
  with open(path, "rb") as file:
    return file.read()


def test_a_directory_that_lost_a_file_is_refused(tmp_path):
  np.savez(tmp_path / "x.npz", a=np.zeros(2), b=np.ones(2))
  content = (tmp_path / "x.npz").read_bytes()
  entry = content.index(b"PK\x01\x02")  # the first file's, whose comment then hides the second's
  (tmp_path / "x.npz").write_bytes(content[: entry + 32] + (60).to_bytes(2, "little") + content[entry + 34 :])
  assert len(zipfile.ZipFile(tmp_path / "x.npz").infolist()) == 1
  with pytest.raises(ValueError, match=r"x\.npz: its directory lists 1 of 2 files"):
    npz.read(tmp_path / "x.npz")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_appears_twice_is_refused(tmp_path):
  path = archive(tmp_path / "x.npz")
  with zipfile.ZipFile(path, "a") as file:
    file.writestr("a.npy", b"other")
  with pytest.raises(ValueError, match=r"x\.npz: a name appears twice"):
    npz.read(path)
