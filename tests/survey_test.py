"""docs/survey.md: what it names exists, its links lead somewhere, and it stays short."""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[1]
TEXT = (ROOT / "docs/survey.md").read_text()
PATHS = sorted(set(re.findall(r"`((?:jaxpose|tests|launch|data_builders|configs|docs)/[\w./]*)`", TEXT)))
LINKS = sorted(set(re.findall(r"\]\(([^)]+)\)", TEXT)))


def anchors(text):
  """The anchors of a page's headings, as GitHub makes them."""
  heads = re.findall(r"^#+ (.+)$", text, re.M)
  return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def test_it_names_files():
  assert len(PATHS) > 30


@pytest.mark.parametrize("path", PATHS)
def test_every_file_that_it_names_exists(path):
  assert (ROOT / path).exists()


@pytest.mark.parametrize("link", LINKS)
def test_every_link_leads_to_a_page_and_its_heading(link):
  page, _, anchor = link.partition("#")
  text = (ROOT / "docs" / page).read_text() if page else TEXT
  assert not anchor or anchor in anchors(text)


def test_what_it_says_of_onnx_and_folders_is_tested():
  """Each building block that runs in a folder or as ONNX names the test of that."""
  table = TEXT.split("## 2. Building blocks")[1].split("\n\n")[2]
  rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in table.splitlines()[2:]]
  assert len(rows) >= 10
  for _, _, _, folder, onnx, tests in rows:
    assert not onnx.startswith("yes") or "tests/graphs/onnx_test.py" in tests
    assert not folder.startswith("with") or "tests/graphs/bundle_test.py" in tests


def test_it_is_short():
  prose = [line for line in TEXT.splitlines() if not line.startswith("|")]
  assert len(" ".join(prose).split()) <= 3000
