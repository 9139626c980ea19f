"""What pyproject.toml cannot say: the folders beside jaxpose/ go into it, and no name but jaxpose is installed."""

from setuptools import find_packages, setup

FOLDERS = ("configs", "data_builders", "launch")
INSIDE = "jaxpose._checkout"  # where jaxpose/__main__.py looks for them

beside = [package for package in find_packages() if package.split(".")[0] in FOLDERS]
setup(
  packages=[*find_packages(include=["jaxpose", "jaxpose.*"]), *(f"{INSIDE}.{package}" for package in beside)],
  package_dir={f"{INSIDE}.{folder}": folder for folder in FOLDERS},
)
