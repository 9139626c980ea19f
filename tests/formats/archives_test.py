"""Archives as they were downloaded: any packing reads the same, nothing leaves them, and no link is followed."""

import io
import os
import tarfile
import threading
import zipfile

import pytest

from data_builders import sources, tar_files

FILES = {f"S1/D3_Positions/Walking {i}.cdf": bytes([i]) * (700 * i) for i in (10, 2, 1)} | {"S1/readme.txt": b"text"}
MODES = ("w", "w:gz", "w:bz2", "w:xz")


def tar(path, files=FILES, mode: str = "w", members: tuple[tarfile.TarInfo, ...] = (), **options) -> str:
  with tarfile.open(path, mode, **options) as archive:
    for name, content in files.items():
      member = tarfile.TarInfo(name)
      member.size = len(content)
      archive.addfile(member, io.BytesIO(content))
    for member in members:
      archive.addfile(member)
  return os.fspath(path)


def archive_zip(path, files=FILES) -> str:
  with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
    for name, content in files.items():
      archive.writestr(name, content)
  return os.fspath(path)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_files_of_a_tar_in_natural_order(mode, format, tmp_path):
  name = "x" * 120 + "/" + "ü" * 60 + ".cdf"  # needs an extended header in each format
  files = FILES | ({name: b"long"} if format != tarfile.USTAR_FORMAT else {})
  found = sources.in_tar(tar(tmp_path / "x.tgz", files, mode, format=format), (".cdf",))
  assert [n for n in found if n in FILES] == [f"S1/D3_Positions/Walking {i}.cdf" for i in (1, 2, 10)]
  assert set(found) == set(files) - {"S1/readme.txt"}
  for name in (*reversed(found), *found):
    assert found[name]() == files[name]


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_threads_read_at_once(mode, tmp_path):
  files = {f"{i}.cdf": os.urandom(200_000) for i in range(8)}
  found = sources.in_tar(tar(tmp_path / "x.tar", files, mode), (".cdf",))
  wrong: list[str] = []

  def read(name: str) -> None:
    wrong.extend(name for _ in range(20) if found[name]() != files[name])

  threads = [threading.Thread(target=read, args=(name,)) for name in files]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join()
  assert not wrong


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="the system does not list a process's open files")
def test_a_packed_tar_leaves_nothing_behind(tmp_path, monkeypatch):
  monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
  os.mkdir(tmp_path / "temporary")
  before = set(os.listdir("/proc/self/fd"))
  found = sources.in_tar(tar(tmp_path / "x.tgz", mode="w:gz"), (".cdf",))
  assert os.listdir(tmp_path / "temporary") == [] and len(set(os.listdir("/proc/self/fd")) - before) == 1
  del found
  assert set(os.listdir("/proc/self/fd")) <= before


OUTSIDE = ("../x.cdf", "a/../../x.cdf", "/etc/x.cdf", "\\x.cdf", "..\\x.cdf", "C:/x.cdf", "a/..")


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_path_outside_is_refused(name, tmp_path):
  files = {"a.cdf": b"1", name: b"2"}
  for mode in MODES:
    with pytest.raises(ValueError, match=r"x\.tar: it names the path .*, outside itself"):
      sources.in_tar(tar(tmp_path / "x.tar", files, mode), (".cdf",))


def test_paths_are_put_in_one_form(tmp_path):
  files = {"./S1/a.cdf": b"1", "S1//b.cdf": b"2", "S1/./c..cdf": b"3"}
  assert list(sources.in_tar(tar(tmp_path / "x.tar", files), (".cdf",))) == ["S1/a.cdf", "S1/b.cdf", "S1/c..cdf"]


def link(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
  member = tarfile.TarInfo(name)
  member.type, member.linkname = kind, target
  return member


@pytest.mark.parametrize("mode", ["w", "w:gz"])
@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_not_followed(kind, mode, tmp_path):
  (tmp_path / "secret.cdf").write_bytes(b"secret")
  members = (link("S1/b.cdf", kind, str(tmp_path / "secret.cdf")), link("S2.cdf", tarfile.DIRTYPE))
  found = sources.in_tar(tar(tmp_path / "x.tar", {"S1/a.cdf": b"1"}, mode, members), (".cdf",))
  assert list(found) == ["S1/a.cdf", "S1/b.cdf"]  # a folder is no file
  assert found["S1/a.cdf"]() == b"1"
  with pytest.raises(ValueError, match=r"S1/b\.cdf in .*x\.tar is a link or a device"):
    found["S1/b.cdf"]()


def test_a_file_beyond_the_limit_is_refused_when_read(tmp_path, monkeypatch):
  path = tar(tmp_path / "x.tgz", mode="w:gz")
  found = tar_files.members(path, lambda name: True, limit=2000)
  assert found["S1/D3_Positions/Walking 2.cdf"]() == bytes([2]) * 1400
  with pytest.raises(ValueError, match="Walking 10.cdf in .*x.tgz has 7000 bytes, more than the limit of 2000"):
    found["S1/D3_Positions/Walking 10.cdf"]()
  monkeypatch.setattr(tar_files, "LIMIT", 2000)
  with pytest.raises(ValueError, match="Walking 10.cdf in .*x.zip has 7000 bytes"):
    sources.in_zip(archive_zip(tmp_path / "x.zip"), (".cdf",))["S1/D3_Positions/Walking 10.cdf"]()


@pytest.mark.parametrize("name", ["a.cdf", "a.txt"])
def test_a_bomb_is_refused(name, tmp_path):
  path = tar(tmp_path / "x.tar.bz2", {name: bytes(2**24)}, "w:bz2")
  assert os.path.getsize(path) < 2**12
  with pytest.raises(ValueError, match="x.tar.bz2 is no complete tar archive .*claims to reach byte"):
    sources.in_tar(path, (".cdf",))


def header(name: str, size: bytes, kind: bytes = b"0") -> bytes:
  """A header with any size field, and the checksum that makes it valid."""
  block = bytearray(512)
  block[: len(name)] = name.encode()
  block[100:108], block[124:136], block[156:157], block[257:265] = b"0000644\0", size, kind, b"ustar\00000"
  block[148:156] = b" " * 8
  block[148:156] = b"%06o\0 " % sum(block)
  return bytes(block)


BAD = {
  "nothing": (b"", "x.tar"),
  "text": (b"no archive" * 100, "x.tar"),
  "a size below zero": (header("a.cdf", b"\xff" * 11 + b"\xf0") + bytes(2048), "x.tar"),
  "a size far below zero": (header("a.cdf", b"\xff" * 4 + bytes(8)) + bytes(2048), "x.tar"),
  "a size beyond the file": (header("a.cdf", b"77777777777\0") + bytes(2048), "claims to reach"),
  "a vast size": (header("a.cdf", b"\x80" + b"\xff" * 11) + bytes(2048), "x.tar"),
  "a long name of a gigabyte": (header("a", b"10000000000\0", b"L") + bytes(2048), "claims"),
  "an extended header of a gigabyte": (header("a", b"10000000000\0", b"x") + bytes(2048), "claims"),
  "no end": (header("a.cdf", b"00000000005\0") + b"12345".ljust(512, b"\0"), "damaged or missing"),
  "a lost header": (
    header("a.cdf", b"00000000005\0") + b"12345".ljust(1024, b"\0") + b"12345".ljust(1536, b"\0"),
    "more follows the end",
  ),
  "damage after the first file": (
    header("a.cdf", b"00000000005\0") + b"12345".ljust(512, b"\0") + b"damage".ljust(512, b"\0") + bytes(1024),
    "damaged or missing",
  ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_damaged_tar_is_a_clear_error_and_never_half_a_listing(name, tmp_path):
  content, message = BAD[name]
  (tmp_path / "x.tar").write_bytes(content)
  with pytest.raises(ValueError, match=message):
    sources.in_tar(tmp_path / "x.tar", (".cdf",))


@pytest.mark.parametrize("mode", MODES)
def test_a_truncated_tar_is_a_clear_error(mode, tmp_path):
  path = tar(tmp_path / "x.tar", mode=mode)
  content = (tmp_path / "x.tar").read_bytes()
  end = len(content) if mode != "w" else len(content.rstrip(b"\0")) // 512 * 512  # zeros follow the end
  for cut in range(0, end, max(end // 40, 1)):
    (tmp_path / "x.tar").write_bytes(content[:cut])
    with pytest.raises(ValueError, match=r"x\.tar"):
      sources.in_tar(path, (".cdf",))


def test_a_tar_that_shrinks_while_it_is_read(tmp_path):
  path = tar(tmp_path / "x.tar")
  found = sources.in_tar(path, (".cdf",))
  os.truncate(path, 600)
  with pytest.raises(ValueError, match="Walking 1.cdf cannot be read from .*x.tar"):
    found["S1/D3_Positions/Walking 1.cdf"]()


def test_a_damaged_zip_is_a_clear_error(tmp_path):
  path = archive_zip(tmp_path / "x.zip")
  content = bytearray((tmp_path / "x.zip").read_bytes())
  content[content.index(b"S1/D3_Positions/Walking 10.cdf") + 40] ^= 255
  (tmp_path / "x.zip").write_bytes(content)
  with pytest.raises(ValueError, match="Walking 10.cdf cannot be read from .*x.zip"):
    sources.in_zip(path, (".cdf",))["S1/D3_Positions/Walking 10.cdf"]()
  (tmp_path / "x.zip").write_bytes(content[:-30])
  with pytest.raises(ValueError, match="x.zip is no complete zip"):
    sources.in_zip(path, (".cdf",))
