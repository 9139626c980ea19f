"""What `python -m build` makes, installed where there is no checkout: one name, and one command for every folder."""

import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile

import pytest

from jaxpose.__main__ import COMMANDS

ROOT = pathlib.Path(__file__).parents[2]
FOLDERS = ("jaxpose", "launch", "configs", "data_builders")


def run(*command, cwd, code=0):
  environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"JAX_PLATFORMS": "cpu"}
  done = subprocess.run(list(map(str, command)), cwd=cwd, env=environment, capture_output=True, text=True)
  assert done.returncode == code, done.stdout + done.stderr
  return done.stdout if code == 0 else done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
  """Built of an sdist, which was built of a copy: building writes beside the sources."""
  folder = tmp_path_factory.mktemp("build")
  for name in FOLDERS:
    shutil.copytree(ROOT / name, folder / "source" / name, ignore=shutil.ignore_patterns("__pycache__"))
  for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
    shutil.copy(ROOT / name, folder / "source")
  run(sys.executable, "-m", "build", "--no-isolation", f"--outdir={folder / 'dist'}", "source", cwd=folder)
  return next((folder / "dist").glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
  """The folder of an environment's programs, with the wheel in it and this environment's other packages.

  A line of a .pth adds their folder, but not what that folder's .pth add: an editable jaxpose stays out of sight.
  """
  folder = tmp_path_factory.mktemp("environment")
  venv.create(folder, with_pip=False)
  python = next(folder.glob("*/python"))
  run(sys.executable, "-m", "pip", f"--python={python}", "install", "--no-deps", "--no-index", wheel, cwd=folder)
  packages = pathlib.Path(
    run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip()
  )
  paths = sysconfig.get_paths()
  (packages / "others.pth").write_text(f"{paths['purelib']}\n{paths['platlib']}\n")
  return python.parent


def test_no_name_but_jaxpose_is_installed(wheel, installed, tmp_path):
  names = zipfile.ZipFile(wheel).namelist()
  assert {name.split("/")[0].split("-")[0] for name in names} == {"jaxpose"}
  for folder in FOLDERS[1:]:
    sources = {str(path.relative_to(ROOT)) for path in (ROOT / folder).rglob("*.py")}
    assert sources == {
      n.removeprefix("jaxpose/_checkout/") for n in names if f"_checkout/{folder}/" in n and n[-1] == "y"
    }
    assert "ModuleNotFoundError" in run(installed / "python", "-c", f"import {folder}", cwd=tmp_path, code=1)


def test_the_command_works_from_any_folder(installed, tmp_path):
  command = installed / "jaxpose"
  assert run(command, cwd=tmp_path) == run(command, "--help", cwd=tmp_path) != ""
  assert "no subcommand 'lft'" in run(command, "lft", cwd=tmp_path, code=2)
  assert "2 people" in run(command, "lift", "--sample", "--output=OUT", cwd=tmp_path)
  assert (tmp_path / "OUT" / "viewer.html").stat().st_size > 10_000
  small = [f"--option={split}=2" for split in ("train", "validation", "target")] + ["--option=frames=40"]
  run(command, "build_data", "--dataset=synthetic_mocap", "--data_dir=DATA", *small, cwd=tmp_path)
  places = ["--workdir=W", "--data_dir=DATA", "--config.num_steps=2", "--config.log_every=1", "--config.eval_every=2"]
  run(command, "train", "--config=synthetic_baseline:quick", *places, cwd=tmp_path)
  run(command, "evaluate", *places[:2], "--output=OUT.json", "--stride=20", cwd=tmp_path)
  assert "cmu_baseline, " in run(command, "train", "--config=cmu_basline", *places, cwd=tmp_path, code=2)


def test_every_script_is_a_subcommand_with_a_line_of_its_own():
  shared = {"__init__", "__main__", "app"} | {path.stem for path in (ROOT / "launch").glob("*_flags.py")}
  assert set(COMMANDS) == {path.stem for path in (ROOT / "launch").glob("*.py")} - shared
  listed = run(sys.executable, "-m", "jaxpose", cwd=ROOT)
  assert all(f"  {name} " in listed and meaning in listed for name, meaning in COMMANDS.items())
