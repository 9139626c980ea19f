"""CDF files: what NASA's format allows is read as its common reader does, and a missing record is never zeros."""

import gzip
import math
import struct

import cdflib
import numpy as np
import pytest
from cdflib.cdfwrite import CDF

from jaxpose.formats import cdf

POSE = np.random.default_rng(0).normal(size=(7, 96))


def write(path, pose=POSE, spec=None, name: str = "Pose", kind: int = CDF.CDF_FLOAT, **options) -> str:
  """A CDF with another variable before the poses."""
  file = CDF(str(path), cdf_spec={"Majority": "row_major", **(spec or {})}, delete=True)
  base = {"Num_Elements": 1, "Var_Type": "zVariable", "Data_Type": kind, "Compress": 0}  # else cdflib compresses
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


def version_2(pose: np.ndarray, *, z: bool = True, packed: bool = False, room: int = 0) -> bytes:
  """A file of version 2.7 with little-endian floats: one block, packed by gzip or not, an index in an index."""
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
    flags = 5 if packed else 1
    head = (0, 44, len(pose) - 1, at.get("VXR", 0), at.get("VXR", 0), flags, 0, 0, 0, 0, 1, 0, at.get("CPR", -1), 0)
    add("VDR", record(8 if z else 3, "i" * 14, *head, data=b"Pose".ljust(64, b"\0") + axes))
    if packed:
      add("CPR", record(11, "i" * 4, 5, 0, 1, 6))
    span = (0, len(pose) - 1 + room)
    add("VXR", record(6, "i" * 3, 0, 3, 1, data=struct.pack(">9i", 0, 0, 0, span[1], 0, 0, at.get("inner", 0), 0, 0)))
    add("inner", record(6, "i" * 3, 0, 1, 1, data=struct.pack(">3i", *span, at.get("block", 0))))
    if packed:
      add("block", record(13, "ii", 0, len(gzip.compress(values)), data=gzip.compress(values)))
    else:
      add("block", record(7, "", data=values))
    add("end", b"")
  return b"".join(parts)


def parse(content: bytes, folder) -> np.ndarray:
  (folder / "made").write_bytes(content)
  return cdf.read_pose(folder / "made", "x.cdf")


@pytest.mark.parametrize("z", [True, False])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("room", [0, 2])
def test_version_2_by_hand(z, packed, room, tmp_path):
  pose = np.round(POSE[:, :6])
  np.testing.assert_array_equal(parse(version_2(pose, z=z, packed=packed, room=room), tmp_path), pose)


@pytest.mark.parametrize(
  "layout", ["a record a frame", "no record axis", "packed by variable", "packed whole", "small blocks"]
)
def test_every_cut_is_an_error(layout, tmp_path):
  content = open_bytes(write(tmp_path / "x.cdf", **LAYOUTS[layout]))
  end = len(content) - (
    13 if layout == "packed whole" else 1
  )  # there, a level of compression that nothing needs is last
  for cut in [*range(0, end, 29), end]:
    with pytest.raises(ValueError, match=r"^x\.cdf: no readable CDF of poses .*get it again"):
      parse(content[:cut], tmp_path)


def open_bytes(path: str) -> bytes:
  with open(path, "rb") as file:
    return file.read()


def edited(old: bytes, new: bytes, **options) -> bytes:
  content = version_2(POSE[:, :6], **options)
  assert content.count(old) == 1
  return content.replace(old, new)


def packed_block(values: bytes) -> bytes:
  """A file whose packed block is of these values."""
  content, block = version_2(POSE[:, :6], packed=True), gzip.compress(values)
  block = record(13, "ii", 0, len(block), data=block)
  return content[: content.index(b"\x1f\x8b\x08") - 16] + block.ljust(1000, b"\0")


def index(next_at: int = 0, used: int = 1, first: int = 0, last: int = 6) -> bytes:
  return struct.pack(">6i", 6, next_at, 1, used, first, last)


FLAGS = struct.pack(">4i", 2, 7, 6, 3)
RECORDS = struct.pack(">2i", 44, 6)  # the type CDF_FLOAT, and the last record
HERE = version_2(POSE[:, :6]).index(index()) - 4
END = struct.pack(">2i", len(version_2(POSE[:, :6])), 1)
MANY = version_2(POSE[:, :6])
MANY = MANY[MANY.index(END) : MANY.index(END) + 40]
BAD = {
  "another file": (b"RIFF" + bytes(99), "is not a CDF file"),
  "version 2.5": (b"\x00\x00\xff\xff" * 2 + bytes(99), "CDF"),
  "of several files": (edited(FLAGS, struct.pack(">4i", 2, 7, 6, 1)), "multi-format"),
  "VAX": (edited(FLAGS, struct.pack(">4i", 2, 7, 3, 3)), "encoding"),
  "older": (edited(FLAGS, struct.pack(">4i", 2, 4, 6, 3)), "before 2.5"),
  "a longer file": (edited(END, struct.pack(">2i", 10**6, 1)), "of 1000000 bytes"),
  "many variables": (edited(MANY, MANY[:-20] + b"\x7f" + MANY[-19:]), "claims 0 axes and 2130706433 variables"),
  "no poses": (edited(b"Pose", b"Pore"), "'Pose' not found"),
  "integers": (edited(RECORDS, struct.pack(">2i", 4, 6)), "expected floats"),
  "many axes": (edited(struct.pack(">3i", 1, 6, -1), struct.pack(">3i", 2**30, 6, -1)), "claims 1073741824 axes"),
  "more records than there are": (edited(RECORDS, struct.pack(">2i", 44, 7)), "7 of 8 records"),
  "fewer values than there are": (edited(b"\6" + b"\xff" * 4, b"\5" + b"\xff" * 4), "bytes, not"),
  "many more records": (edited(RECORDS, struct.pack(">2i", 44, 2**31 - 1)), "are no poses"),
  "no records": (edited(RECORDS, struct.pack(">2i", 44, -1)), "Pose"),
  "an index beyond the block": (edited(index(), index(last=9)), "has 168 bytes, not 240"),
  "an index that starts later": (edited(index(), index(first=2)), "follow record"),
  "an index of more than it has": (edited(index(), index(used=2)), "2 of 1 entries"),
  "an index into itself": (edited(index(), index(next_at=HERE)), "refers to itself|recursion"),
  "broken gzip": (edited(b"\x1f\x8b\x08", b"\x1f\x8b\x07", packed=True), "compression method"),
  "a block of more than its records": (packed_block(bytes(2**20)), "has 1048576 bytes, not 168"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_damage_is_a_clear_error(name, tmp_path):
  content, message = BAD[name]
  with pytest.raises(ValueError, match=rf"^x\.cdf: .*({message})"):
    parse(content, tmp_path)


def test_records_beyond_the_last_are_noticed(tmp_path):
  content = open_bytes(write(tmp_path / "x.cdf", Block_Factor=2))
  assert content.count(RECORDS) == 1
  with pytest.raises(ValueError, match="values after record 2, its last"):
    parse(content.replace(RECORDS, struct.pack(">2i", 44, 2)), tmp_path)


def test_files_with_other_values(tmp_path):
  with pytest.raises(ValueError, match="'Pose' not found"):
    cdf.read_pose(write(tmp_path / "x.cdf", name="Other"))
  with pytest.raises(ValueError, match=r"shape \(7,\)"):
    cdf.read_pose(write(tmp_path / "y.cdf", pose=POSE[:, 0]))
  with pytest.raises(FileNotFoundError):
    cdf.read_pose(tmp_path / "none.cdf")


def test_a_cdflib_whose_steps_are_other_ones_is_refused(tmp_path, monkeypatch):
  path = write(tmp_path / "x.cdf")
  monkeypatch.setattr(cdf._Checked, "_read_vvrs", cdflib.cdfread.CDF._read_vvrs)
  with pytest.raises(ValueError, match=r"x\.cdf: .*this cdflib reads in other steps"):
    cdf.read_pose(path)
