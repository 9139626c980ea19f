"""Damaged files of every format: an error that names the file, or whole arrays; no crash, no hang, no silent half.

Each format's sample is cut, lengthened, flipped, spliced and overwritten, many times and always in the same ways.
JAXPOSE_FUZZ=20000 asks for that many damaged files of each format, and JAXPOSE_FUZZ_SEED=1 for others than usual. A
byte that flips within a number goes unnoticed where a format has no checksum: that is another number, not half a file.
"""

import collections
import io
import os
import pathlib
import pickle
import random
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest

from data_builders import sources
from data_builders.human36m import calibration, metadata_fixture
from data_builders.mpi_inf_3dhp import fixture as mpi_inf_3dhp
from jaxpose import safetensors_file, torch_file
from jaxpose.formats import acclaim, bvh, cdf, matlab, npz, pickles, skeletool
from tests import raw_motion
from tests.formats import cdf_test, matlab_test

COUNT, SEED = int(os.environ.get("JAXPOSE_FUZZ", "150")), os.environ.get("JAXPOSE_FUZZ_SEED", "0")
FRAMES = 6
POSES = np.random.default_rng(0).normal(size=(FRAMES, 4, 3)).astype(np.float32)
TREE = {"poses": POSES, "valid": np.array([True] * FRAMES), "name": "Walking 1", "frames": np.arange(FRAMES)}
TAKE = raw_motion.make(FRAMES)


class Format(NamedTuple):
  """How a sample is made and read, and what may differ unnoticed in a damaged file.

  sizes: whether the format declares or checks how many numbers it holds; cuts: whether it notices a missing end.
  """

  content: Callable[[pathlib.Path], bytes]
  read: Callable[[str], Any]
  sizes: bool = True
  cuts: bool = True


def npz_bytes(save: Callable[..., None]) -> bytes:
  file = io.BytesIO()
  save(file, poses=POSES, people=np.array({"S1": {"Walking 1": [POSES, POSES[:2]]}}, object), name="Walking 1")
  return file.getvalue()


def mat(writer: str) -> Callable[[pathlib.Path], bytes]:
  values = {"poses": POSES, "cell": matlab_test.objects([[POSES[0]], [POSES[1]]])}
  values |= {"info": {"name": "text", "n": np.eye(2)}, "people": matlab_test.structs(*[matlab_test.PERSON] * 2)}
  return lambda folder: pathlib.Path(matlab_test.WRITERS[writer](folder / "made.mat", values)).read_bytes()


def hdf5(**storage: Any) -> Callable[[pathlib.Path], bytes]:
  def content(folder: pathlib.Path) -> bytes:
    with matlab_test.h5py.File(folder / "made.mat", "w", userblock_size=512, libver="earliest") as file:
      file.create_dataset("poses", data=POSES.T, **storage)
    return (folder / "made.mat").read_bytes()

  return content


def tar_bytes(mode: str) -> bytes:
  file = io.BytesIO()
  with tarfile.open(fileobj=file, mode=mode) as archive:
    for i in range(3):
      member = tarfile.TarInfo(f"S1/{i}.cdf")
      member.size = 700
      archive.addfile(member, io.BytesIO(bytes([i]) * 700))
  return file.getvalue()


def zip_bytes() -> bytes:
  file = io.BytesIO()
  with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
    for i in range(3):
      archive.writestr(f"S1/{i}.cdf", np.random.default_rng(i).bytes(300))
  return file.getvalue()


class Owner:
  """What unpacked files last as long as."""


def archived(path: str) -> dict[str, np.ndarray]:
  owner = Owner()
  files = sources.files(None, path, (".cdf",), owner)
  return {name: np.frombuffer(file.read_bytes(), np.uint8) for name, file in files.items()}


def torch_bytes(folder: pathlib.Path) -> bytes:
  torch_file.write(str(folder / "made.bin"), {"epoch": 3, "model": {"w": POSES, "b": POSES[0]}})
  return (folder / "made.bin").read_bytes()


def safetensors_bytes() -> bytes:
  shape = list(POSES.shape)
  header = f'{{"w":{{"dtype":"F32","shape":{shape},"data_offsets":[0,{POSES.nbytes}]}}}}'.encode()
  return len(header).to_bytes(8, "little") + header + POSES.tobytes()


def npy_bytes() -> bytes:
  file = io.BytesIO()
  np.save(file, POSES)
  return file.getvalue()


def skeletool_bytes() -> bytes:
  views = [{"intrinsic": np.diag([1500.0 + i, 1500, 1, 1]), "extrinsic": np.eye(4)} for i in range(3)]
  return mpi_inf_3dhp.calibration_text(views).encode()


def h36m_metadata(path: str) -> Any:
  cameras = calibration.from_metadata(read_bytes(path).decode(errors="replace"), path)
  return {s: {i: camera._asdict() for i, camera in views.items()} for s, views in cameras.items()}


def cdf_bytes(pose: np.ndarray, **options: Any) -> Callable[[pathlib.Path], bytes]:
  return lambda folder: pathlib.Path(cdf_test.write(folder / "made.cdf", pose, **options)).read_bytes()


KEYS = ("poses", "cell", "info", "people")  # or a variable may be gone unnoticed
SKELETON = acclaim.parse_asf(raw_motion.asf(TAKE).encode(), "a.asf")
FORMATS = {
  # A pickle says nothing about how much it holds, but it ends with a sign.
  "pickle 0": Format(lambda _: pickle.dumps(TREE, 0), lambda p: pickles.load(read_bytes(p), p), sizes=False),
  "pickle 2": Format(lambda _: pickle.dumps(TREE, 2), lambda p: pickles.load(read_bytes(p), p), sizes=False),
  "pickle 5": Format(lambda _: pickle.dumps(TREE, 5), lambda p: pickles.load(read_bytes(p), p), sizes=False),
  "npz": Format(lambda _: npz_bytes(np.savez), npz.read),
  "npz packed": Format(lambda _: npz_bytes(np.savez_compressed), npz.read),
  "npy": Format(lambda _: npy_bytes(), npz.read_array),
  "mat 5": Format(mat("5"), lambda p: matlab.read(p, KEYS)),
  "mat 5 packed": Format(mat("5 compressed"), lambda p: matlab.read(p, KEYS)),
  "mat 7.3": Format(hdf5(), lambda p: matlab.read(p, ["poses"])),
  # Of chunks, a shorter axis may need as many.
  "mat 7.3 chunks": Format(hdf5(chunks=(3, 4, 1)), lambda p: matlab.read(p, ["poses"]), sizes=False),
  "mat 7.3 packed": Format(
    hdf5(chunks=(3, 4, 1), compression="gzip", shuffle=True), lambda p: matlab.read(p, ["poses"]), sizes=False
  ),
  "cdf": Format(cdf_bytes(POSES.reshape(1, FRAMES, 12)), cdf.read_pose),
  "cdf blocks": Format(cdf_bytes(POSES.reshape(FRAMES, 12), Block_Factor=2), cdf.read_pose),
  "cdf packed": Format(cdf_bytes(POSES.reshape(FRAMES, 12), Compress=6, Block_Factor=2), cdf.read_pose),
  "cdf packed whole": Format(cdf_bytes(POSES.reshape(FRAMES, 12), spec={"Compressed": 6}), cdf.read_pose),
  "cdf 2": Format(lambda _: cdf_test.version_2(POSES.reshape(FRAMES, 12)), cdf.read_pose),
  "tar.gz": Format(lambda _: tar_bytes("w:gz"), archived),
  "tar.bz2": Format(lambda _: tar_bytes("w:bz2"), archived),
  # The name in a zip's directory decides whether a file is wanted, and has no checksum.
  "zip": Format(lambda _: zip_bytes(), archived, sizes=False),
  # Of text, the last number may be cut unnoticed, and a motion file of Acclaim's ends when its frames do.
  "asf": Format(lambda _: raw_motion.asf(TAKE).encode(), lambda p: acclaim.read_asf(p).names, False, False),
  "amc": Format(lambda _: raw_motion.amc(TAKE).encode(), lambda p: acclaim.read_amc(p, SKELETON), False, False),
  "bvh": Format(lambda _: raw_motion.bvh(TAKE).encode(), lambda p: bvh.read(p)._asdict(), False, False),
  # Cameras that are cut off are missed by the builder, which knows which it needs.
  "skeletool": Format(
    lambda _: skeletool_bytes(), lambda p: {i: c._asdict() for i, c in skeletool.parse(read_bytes(p), p).items()},
    False, False,
  ),
  "metadata.xml": Format(lambda _: metadata_fixture.text().encode(), h36m_metadata, cuts=False),
  "safetensors": Format(lambda _: safetensors_bytes(), safetensors_file.read),
  "torch": Format(torch_bytes, torch_file.read),
}  # fmt: skip


def read_bytes(path: str) -> bytes:
  return pathlib.Path(path).read_bytes()


def leaves(tree: Any) -> Iterator[Any]:
  if isinstance(tree, dict):
    for key, value in tree.items():
      yield key
      yield from leaves(value)
  elif isinstance(tree, list | tuple | set) or (isinstance(tree, np.ndarray) and tree.dtype == object):
    for value in tree.ravel() if isinstance(tree, np.ndarray) else tree:
      yield from leaves(value)
  else:
    yield tree


def sizes(tree: Any) -> list[int]:
  return sorted(leaf.size for leaf in leaves(tree) if isinstance(leaf, np.ndarray))


def same(one: Any, other: Any) -> bool:
  one, other = list(leaves(one)), list(leaves(other))
  return len(one) == len(other) and all(
    type(a) is type(b) and (np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b) for a, b in zip(one, other)
  )


def cut(content: bytes, random: random.Random) -> bytes:
  return content[: random.randrange(len(content))]


def lengthen(content: bytes, random: random.Random) -> bytes:
  return content + random.choice([bytes, random.randbytes])(random.randrange(1, 600))


def flip(content: bytes, random: random.Random) -> bytes:
  damaged = bytearray(content)
  for _ in range(random.choice([1, 1, 1, 2, 8])):
    at = random.randrange(len(damaged))
    damaged[at] = random.choice([damaged[at] ^ 1 << random.randrange(8), random.randrange(256), 0, 255])
  return bytes(damaged)


def splice(content: bytes, random: random.Random) -> bytes:
  """A part is missing, or stands there twice."""
  start, end = sorted(random.sample(range(len(content) + 1), 2))
  return content[:start] + content[end:] if random.random() < 0.5 else content[:end] + content[start:]


def overwrite(content: bytes, random: random.Random) -> bytes:
  """A block of the disk is zeros, or of another file."""
  start = random.randrange(len(content))
  part = content[start : start + random.choice([4, 8, 64, 512])]
  return content[:start] + random.choice([bytes, random.randbytes])(len(part)) + content[start + len(part) :]


DAMAGES = (cut, lengthen, flip, flip, flip, splice, overwrite)


@pytest.mark.parametrize("name", FORMATS)
def test_damage_is_an_error_that_names_the_file_or_leaves_whole_arrays(name, tmp_path):
  form = FORMATS[name]
  content = form.content(tmp_path)
  path = str(tmp_path / "damaged.file")
  pathlib.Path(path).write_bytes(content)
  whole = form.read(path)
  outcomes = {"error": 0, "value": 0}
  for i in range(COUNT):
    case = f"{SEED}:{name}:{i}"
    source = random.Random(case)
    damage = source.choice(DAMAGES)
    damaged = damage(content, source)
    pathlib.Path(path).write_bytes(damaged)
    try:
      value = form.read(path)
    except (ValueError, OSError) as error:
      assert "damaged.file" in str(error), f"{case} ({damage.__name__}): {error!r} does not name the file"
      outcomes["error"] += 1
    except Exception as error:
      raise AssertionError(f"{case} ({damage.__name__}): {error!r}") from error
    else:
      outcomes["value"] += 1
      text = all(not isinstance(x, np.ndarray) or x.dtype.kind != "O" for x in leaves(value))
      assert text, f"{case} ({damage.__name__}): objects that are no data"
      if damage is cut and form.cuts:
        assert same(value, whole), f"{case}: cut at {len(damaged)} of {len(content)} bytes, and other data"
      if damage is lengthen and form.cuts:
        assert same(value, whole), f"{case}: {len(damaged) - len(content)} bytes more, and other data"
      if form.sizes:
        found, made = collections.Counter(sizes(value)), collections.Counter(sizes(whole))
        assert found == made, f"{case}: {found} of {made}"
  assert outcomes["error"] >= COUNT // 5  # or the damage did none


@pytest.mark.parametrize("frames", range(FRAMES))
def test_motion_without_a_declared_length_ends_with_a_whole_frame(frames, tmp_path):
  whole = raw_motion.amc(TAKE).encode()
  start = whole.index(b"\n%d\r\n" % (frames + 1)) + 1
  for cut_at in (start, start + 2, start + 40, start + 300):
    (tmp_path / "x.amc").write_bytes(whole[:cut_at])
    try:
      motion = acclaim.read_amc(tmp_path / "x.amc", SKELETON)
    except ValueError as error:
      assert "x.amc" in str(error)
      assert cut_at > start or frames == 0
    else:
      assert {len(values) for values in motion.values()} == {frames}


def test_a_bvh_that_is_cut_lacks_frames_and_says_so(tmp_path):
  whole = raw_motion.bvh(TAKE).rstrip().encode()
  for lines in range(1, FRAMES + 1):
    (tmp_path / "x.bvh").write_bytes(whole.rsplit(b"\n", lines)[0])
    with pytest.raises(ValueError, match=r"x\.bvh"):
      bvh.read(tmp_path / "x.bvh")
