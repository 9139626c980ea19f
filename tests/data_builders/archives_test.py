"""Archives as they were downloaded: any packing reads the same, nothing leaves them, and no link is followed."""

import bz2
import io
import os
import pathlib
import tarfile
import zipfile

import pytest

from data_builders import archives, sources

FILES = {f"S1/D3_Positions/Walking {i}.cdf": bytes([i]) * (700 * i) for i in (10, 2, 1)} | {"S1/readme.txt": b"text"}
MODES = ("w:gz", "w:bz2", "w:xz", "zip")


class Owner:
  """What unpacked files last as long as."""


def pack(path, files=FILES, mode: str = "w:gz", members: tuple[tarfile.TarInfo, ...] = (), **options) -> pathlib.Path:
  if mode == "zip":
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
      for name, content in files.items():
        archive.writestr(name, content)
    return path
  with tarfile.open(path, mode, **options) as archive:
    for name, content in files.items():
      member = tarfile.TarInfo(name)
      member.size = len(content)
      archive.addfile(member, io.BytesIO(content))
    for member in members:
      archive.addfile(member)
  return path


def contents(path, suffixes=(".cdf",)) -> dict[str, bytes]:
  owner = Owner()
  return {name: file.read_bytes() for name, file in sources.files(None, path, suffixes, owner).items()}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_files_of_an_archive_in_natural_order(mode, format, tmp_path):
  name = "x" * 120 + "/" + "ü" * 60 + ".cdf"  # needs an extended header in each format
  files = FILES | ({name: b"long"} if format != tarfile.USTAR_FORMAT else {})
  found = contents(pack(tmp_path / "x", files, mode, format=format))
  assert [n for n in found if n in FILES] == [f"S1/D3_Positions/Walking {i}.cdf" for i in (1, 2, 10)]
  assert found == {n: content for n, content in files.items() if n.endswith(".cdf")}


@pytest.mark.parametrize("mode", MODES)
def test_what_is_unpacked_goes_with_its_owner(mode, tmp_path, monkeypatch):
  (tmp_path / "temporary").mkdir()
  monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
  owner = Owner()
  sources.files(None, pack(tmp_path / "x", mode=mode), (".cdf",), owner)
  (folder,) = (tmp_path / "temporary").iterdir()
  assert len(list(folder.iterdir())) == 3  # what was not asked for is not unpacked
  del owner
  assert not folder.exists()


def test_a_folder_is_looked_into_with_its_zips_and_what_lies_loose_comes_first(tmp_path):
  (tmp_path / "raw").mkdir()
  pack(tmp_path / "raw" / "a.zip", {"S1/1.cdf": b"packed"}, "zip")
  pack(tmp_path / "raw" / "b.tgz", {"S1/2.cdf": b"packed"})
  (tmp_path / "raw" / "z.cdf").write_bytes(b"loose")
  (tmp_path / "raw" / "._z.cdf").write_bytes(b"macOS")
  owner = Owner()
  assert list(sources.files(tmp_path / "raw", None, (".cdf",), owner)) == ["z.cdf", "a.zip/S1/1.cdf"]
  tars = sources.files(tmp_path / "raw", None, (".cdf",), owner, lambda name: name.endswith(archives.TARS))
  assert {name: path.read_bytes() for name, path in tars.items()} == {"z.cdf": b"loose", "b.tgz/S1/2.cdf": b"packed"}
  with pytest.raises(ValueError, match="no folder of raw files"):
    sources.files(None, None, (".cdf",), owner)


OUTSIDE = ("../x.cdf", "a/../../x.cdf", "/etc/x.cdf", "\\x.cdf", "..\\x.cdf", "C:/x.cdf")


@pytest.mark.parametrize("mode", MODES)
def test_no_name_leads_outside(mode, tmp_path, monkeypatch):
  (tmp_path / "temporary").mkdir()
  monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
  path = pack(tmp_path / "x", dict.fromkeys(OUTSIDE, b"2"), mode)
  owner = Owner()
  found = sources.files(None, path, (".cdf",), owner)
  folder = next((tmp_path / "temporary").iterdir())
  assert len(found) == len(OUTSIDE) and {file.parent for file in found.values()} == {folder}
  assert sorted(p.name for p in tmp_path.iterdir()) == ["temporary", "x"] and not os.path.exists("/etc/x.cdf")


def link(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
  member = tarfile.TarInfo(name)
  member.type, member.linkname = kind, target
  return member


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_not_followed(kind, tmp_path):
  (tmp_path / "secret.cdf").write_bytes(b"secret")
  members = (link("S1/b.cdf", kind, str(tmp_path / "secret.cdf")), link("S2.cdf", tarfile.DIRTYPE))
  assert contents(pack(tmp_path / "x.tgz", {"S1/a.cdf": b"1"}, members=members)) == {"S1/a.cdf": b"1"}


@pytest.mark.parametrize("mode", ["w:bz2", "zip"])
def test_a_bomb_is_refused(mode, tmp_path):
  path = pack(tmp_path / "x", {"a.cdf": bytes(2**26)}, mode)
  assert os.path.getsize(path) < 2**17
  with pytest.raises(ValueError, match=r"x: a\.cdf has 67108864 bytes, more than an archive of this size holds"):
    contents(path)


def header(name: str, size: bytes, kind: bytes = b"0") -> bytes:
  """A header with any size field, and the checksum that makes it valid."""
  block = bytearray(512)
  block[: len(name)] = name.encode()
  block[100:108], block[124:136], block[156:157], block[257:265] = b"0000644\0", size, kind, b"ustar\00000"
  block[148:156] = b" " * 8
  block[148:156] = b"%06o\0 " % sum(block)
  return bytes(block)


ONE = header("a.cdf", b"00000000005\0") + b"12345".ljust(512, b"\0")
BAD = {
  "nothing": b"",
  "text": b"no archive" * 100,
  "a size below zero": header("a.cdf", b"\xff" * 11 + b"\xf0") + bytes(2048),
  "a size far below zero": header("a.cdf", b"\xff" * 4 + bytes(8)) + bytes(2048),
  "a size beyond the file": header("a.cdf", b"77777777777\0") + bytes(2048),
  "a vast size": header("a.cdf", b"\x80" + b"\xff" * 11) + bytes(2048),
  "a long name of a gigabyte": header("a", b"10000000000\0", b"L") + bytes(2048),
  "an extended header of a gigabyte": header("a", b"10000000000\0", b"x") + bytes(2048),
  "a lost header": ONE + b"lost".ljust(512, b"\0") + ONE * 40 + bytes(1024),
}


@pytest.mark.parametrize("name", BAD)
def test_a_damaged_tar_is_a_clear_error(name, tmp_path):
  (tmp_path / "x.tar.bz2").write_bytes(bz2.compress(BAD[name]))
  with pytest.raises(ValueError, match=r"x\.tar\.bz2"):
    contents(tmp_path / "x.tar.bz2")


def test_what_has_no_checksum_or_is_no_archive_is_to_be_unpacked(tmp_path):
  pack(tmp_path / "x.tar", mode="w")
  (tmp_path / "empty").write_bytes(b"")
  for name in ("x.tar", "empty"):
    with pytest.raises(ValueError, match=rf"{name} is no complete zip or packed tar; get it again, or unpack it"):
      contents(tmp_path / name)


@pytest.mark.parametrize("mode", MODES)
def test_a_truncated_archive_is_a_clear_error(mode, tmp_path):
  whole = pack(tmp_path / "x", mode=mode).read_bytes()
  for cut in range(0, len(whole), max(len(whole) // 40, 1)):
    (tmp_path / "x").write_bytes(whole[:cut])
    with pytest.raises(ValueError, match="x is no complete zip or packed tar"):
      contents(tmp_path / "x")


@pytest.mark.parametrize("mode", MODES)
def test_damage_within_a_file_is_a_clear_error(mode, tmp_path):
  content = bytearray(pack(tmp_path / "x", {"a.cdf": os.urandom(3000)}, mode).read_bytes())
  content[len(content) // 2] ^= 1
  (tmp_path / "x").write_bytes(content)
  with pytest.raises(ValueError, match="x is no complete zip or packed tar"):
    contents(tmp_path / "x")
