"""The tour in ARCHITECTURE.md names functions and classes that exist."""

import ast
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[1]
TOUR = (ROOT / "ARCHITECTURE.md").read_text().split("## A tour")[1].split("\n## ")[0]
PLACES = re.findall(r"`([\w/]+\.py):([\w.]+)`", TOUR)


def defined(body, prefix=""):
  """Names of the functions and classes of a module, those of its classes as Class.method."""
  for node in body:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
      yield prefix + node.name
      yield from defined(node.body, f"{node.name}.") if isinstance(node, ast.ClassDef) else ()


@pytest.mark.parametrize("place", sorted(set(PLACES)), ids=":".join)
def test_what_the_tour_passes_exists(place):
  path, name = place
  assert name in set(defined(ast.parse((ROOT / path).read_text()).body))


def test_the_tour_is_read_whole():
  """Each of its steps names somewhere, and nothing in backquotes is a path that the pattern does not read."""
  steps = re.findall(r"^\d+\. (?:.+\n)(?: {3}.+\n)*", TOUR, re.M)
  assert len(steps) == 10 and all(re.search(r"`[\w/]+\.py:", step) for step in steps)
  assert len(re.findall(r"\.py", TOUR)) == len(PLACES)
