"""CDF files: what NASA's format allows is read as its common reader does, and a missing record is never zeros."""

import gzip
import math
import struct

import numpy as np
import pytest

from jaxpose.formats import cdf

cdflib = pytest.importorskip("cdflib", reason="cdflib is not installed: pip install 'jaxpose[datasets]'")
from cdflib.cdfwrite import CDF  # noqa: E402

POSE = np.random.default_rng(0).normal(size=(7, 96))


def write(path, pose=POSE, spec=None, name: str = "Pose", kind: int = CDF.CDF_FLOAT, **options) -> str:
  """A CDF with another variable before the poses."""
  file = CDF(str(path), cdf_spec={"Majority": "row_major", **(spec or {})}, delete=True)
  base = {"Num_Elements": 1, "Var_Type": "zVariable", "Data_Type": kind}
  other = {**base, "Variable": "Frame", "Rec_Vary": True, "Dim_Sizes": [2]}
  file.write_var(other, var_data=np.zeros((3, 2), np.float32 if kind == CDF.CDF_FLOAT else np.float64))
  options = {"Rec_Vary": True, "Dim_Sizes": list(pose.shape[1:]), **options}
  file.write_var({**base, "Variable": name, **options}, var_data=pose.astype("f4" if kind == CDF.CDF_FLOAT else "f8"))
  file.close()
  return str(path)


LAYOUTS = {
  "one record, as the official files": {"pose": POSE[None]},
  "a record a frame": {"pose": POSE},
  "no record axis": {"pose": POSE, "Rec_Vary": False, "Dim_Sizes": list(POSE.shape)},
  "several records of several frames": {"pose": POSE[:6].reshape(2, 3, 96)},
  "doubles": {"pose": POSE[None], "kind": CDF.CDF_DOUBLE},
  "packed by variable": {"pose": POSE, "Compress": 6},
  "packed whole": {"pose": POSE, "spec": {"Compressed": 6}},
  "small blocks": {"pose": POSE, "Block_Factor": 2},
  "packed small blocks": {"pose": POSE, "Block_Factor": 2, "Compress": 6},
  "other byte order": {"pose": POSE, "spec": {"Encoding": 1}},
  "columns first": {"pose": POSE[None], "spec": {"Majority": "column_major"}},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_poses_are_read_as_cdflib_reads_them(layout, tmp_path):
  path = write(tmp_path / "Directions 1.54138969.cdf", **LAYOUTS[layout])
  expected = np.asarray(cdflib.CDF(path).varget("Pose"))
  read = cdf.read_pose(path)
  assert read.dtype == (np.float64 if layout == "doubles" else np.float32) and read.dtype.isnative
  np.testing.assert_array_equal(read, expected.reshape(-1, 96))
  if layout != "columns first":  # which cdflib writes otherwise than it reads
    np.testing.assert_array_equal(read, POSE[: len(read)].astype(read.dtype))


def record(kind: int, fields: str, *values: int, data: bytes = b"") -> bytes:
  """A record of version 2, in which offsets are integers as the others are."""
  body = struct.pack(f">{len(fields)}i", *values) + data
  return struct.pack(">ii", 8 + len(body), kind) + body


def version_2(pose: np.ndarray, *, z: bool = True, packing: int = 0, room: int = 0) -> bytes:
  """A file of version 2.7 with little-endian floats: one block, an index in an index; `packing` 5 gzip, 1 zero runs."""
  values = pose.astype("<f4").tobytes() + bytes(room * 4 * math.prod(pose.shape[1:]))
  parts, at = [b"\xcd\xf2\x60\x02\x00\x00\xff\xff"], {}

  def add(name: str, content: bytes) -> None:
    at[name] = sum(map(len, parts))
    parts.append(content)

  shape = pose.shape[1:]
  rest = struct.pack(f">{len(shape)}i", *shape)
  for _ in range(2):  # the first pass finds the offsets
    del parts[1:]
    add("CDR", record(1, "i" * 9, at.get("GDR", 0), 2, 7, 6, 3, 0, 0, 0, 0, data=bytes(260)))
    ends = (0, at.get("VDR", 0)) if z else (at.get("VDR", 0), 0)
    head = (*ends, 0, at.get("end", 0), 1, 0, 0, 0 if z else len(shape), 1, 0, 0, 0, 0)
    add("GDR", record(2, "i" * 13, *head, data=b"" if z else rest))
    varies = struct.pack(f">{len(shape)}i", *[-1] * len(shape))
    axes = struct.pack(">i", len(shape)) + rest + varies if z else varies
    flags = 5 if packing else 1
    head = (0, 44, len(pose) - 1, at.get("VXR", 0), at.get("VXR", 0), flags, 0, 0, 0, 0, 1, 0, at.get("CPR", -1), 0)
    add("VDR", record(8 if z else 3, "i" * 14, *head, data=b"Pose".ljust(64, b"\0") + axes))
    if packing:
      add("CPR", record(11, "i" * 4, packing, 0, 1, 6))
    span = (0, len(pose) - 1 + room)
    add("VXR", record(6, "i" * 3, 0, 3, 1, data=struct.pack(">9i", 0, 0, 0, span[1], 0, 0, at.get("inner", 0), 0, 0)))
    add("inner", record(6, "i" * 3, 0, 1, 1, data=struct.pack(">3i", *span, at.get("block", 0))))
    if packing:
      packed = gzip.compress(values) if packing == 5 else zero_runs(values)
      add("block", record(13, "ii", 0, len(packed), data=packed))
    else:
      add("block", record(7, "", data=values))
    add("end", b"")
  return b"".join(parts)


def zero_runs(data: bytes) -> bytes:
  out, i = b"", 0
  while i < len(data):
    run = 0
    while run < 256 and i + run < len(data) and data[i + run] == 0:
      run += 1
    out += bytes([0, run - 1]) if run else data[i : i + 1]
    i += max(run, 1)
  return out


@pytest.mark.parametrize("z", [True, False])
@pytest.mark.parametrize("packing", [0, 5, 1])
@pytest.mark.parametrize("room", [0, 2])
def test_version_2_by_hand(z, packing, room, tmp_path):
  pose = np.round(POSE[:, :6])
  content = version_2(pose, z=z, packing=packing, room=room)
  np.testing.assert_array_equal(cdf.parse_pose(content, "x.cdf"), pose)
  if packing != 1:  # cdflib takes every packed block for gzip
    (tmp_path / "x.cdf").write_bytes(content)
    np.testing.assert_array_equal(np.asarray(cdflib.CDF(tmp_path / "x.cdf").varget("Pose")), pose)


@pytest.mark.parametrize("layout", ["a record a frame", "packed by variable", "packed whole", "small blocks"])
def test_every_cut_is_an_error(layout, tmp_path):
  content = open_bytes(write(tmp_path / "x.cdf", **LAYOUTS[layout]))
  for end in [*range(0, len(content) - 1, 29), len(content) - 1]:
    with pytest.raises(ValueError, match=r"^x\.cdf: no readable CDF of poses .*get the file again"):
      cdf.parse_pose(content[:end], "x.cdf")


def open_bytes(path: str) -> bytes:
  with open(path, "rb") as file:
    return file.read()


def edited(old: bytes, new: bytes, **options) -> bytes:
  content = version_2(POSE[:, :6], **options)
  assert content.count(old) == 1
  return content.replace(old, new)


def index(next_at: int = 0, used: int = 1, first: int = 0, last: int = 6) -> bytes:
  return struct.pack(">6i", 6, next_at, 1, used, first, last)


FLAGS = struct.pack(">4i", 2, 7, 6, 3)
BAD = {
  "another file": (b"RIFF" + bytes(99), "start as a CDF"),
  "version 2.5": (b"\x00\x00\xff\xff" * 2 + bytes(99), "version 2.6"),
  "of several files": (edited(FLAGS, struct.pack(">4i", 2, 7, 6, 1)), "several files"),
  "VAX": (edited(FLAGS, struct.pack(">4i", 2, 7, 3, 3)), "VAX"),
  "no poses": (edited(b"Pose", b"Pore"), "no variable Pose"),
  "integers": (edited(struct.pack(">2i", 44, 6), struct.pack(">2i", 4, 6)), "expected floats"),
  "more records than there are": (edited(struct.pack(">2i", 44, 6), struct.pack(">2i", 44, 7)), "7 of 8 records"),
  "fewer values than there are": (edited(b"\6" + b"\xff" * 4, b"\5" + b"\xff" * 4), "bytes, not"),
  "many more records": (edited(struct.pack(">2i", 44, 6), struct.pack(">2i", 44, 2**31 - 1)), "are not in a file"),
  "no records": (edited(struct.pack(">2i", 44, 6), struct.pack(">2i", 44, -1)), "are not in a file"),
  "an index beyond the block": (edited(index(), index(last=9)), "has 168 bytes, not 240"),
  "an index that starts later": (edited(index(), index(first=2)), "follow record"),
  "an index of more than it has": (edited(index(), index(used=2)), "2 of 1 entries"),
  "an index into itself": (edited(index(), index(used=0, next_at=version_2(POSE[:, :6]).index(index()) - 4)), "itself"),
  "Huffman's code": (edited(struct.pack(">2i", 11, 5), struct.pack(">2i", 11, 2), packing=5), "Huffman"),
  "broken gzip": (edited(b"\x1f\x8b\x08", b"\x1f\x8b\x07", packing=5), "compression method"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_damage_is_a_clear_error(name):
  content, message = BAD[name]
  with pytest.raises(ValueError, match=rf"^x\.cdf: .*{message}"):
    cdf.parse_pose(content, "x.cdf")


def test_records_beyond_the_last_are_noticed(tmp_path):
  content = open_bytes(write(tmp_path / "x.cdf", Block_Factor=2))
  assert content.count(struct.pack(">2i", 44, 6)) == 1
  with pytest.raises(ValueError, match="values after record 2, its last"):
    cdf.parse_pose(content.replace(struct.pack(">2i", 44, 6), struct.pack(">2i", 44, 2)), "x.cdf")


def test_files_with_other_values(tmp_path):
  with pytest.raises(ValueError, match="no variable Pose"):
    cdf.read_pose(write(tmp_path / "x.cdf", name="Other"))
  with pytest.raises(ValueError, match=r"shape \(7,\)"):
    cdf.read_pose(write(tmp_path / "y.cdf", pose=POSE[:, 0]))
  with pytest.raises(FileNotFoundError):
    cdf.read_pose(tmp_path / "none.cdf")


def test_a_bomb_is_refused_before_it_unpacks():
  content = version_2(POSE[:, :6], packing=5)
  bomb = gzip.compress(bytes(2**26))
  at = content.index(b"\x1f\x8b\x08")
  content = content[: at - 16] + record(13, "ii", 0, len(bomb), data=bomb)
  with pytest.raises(ValueError, match="do not give their 168 bytes"):
    cdf.parse_pose(content, "x.cdf")
