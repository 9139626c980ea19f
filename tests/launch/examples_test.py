"""What --help of each script shows: an example whose flags are the script's, and complete; and what it says last."""

import ast
import pathlib
import re
import subprocess
import sys

import pytest

from jaxpose.__main__ import COMMANDS

ROOT = pathlib.Path(__file__).parents[2]
LAUNCH = ROOT / "launch"


def defined(path):
  """{name: whether it is required} of the flags that a script defines, by itself or in the modules that it imports."""
  tree, flags = ast.parse(path.read_text()), {}
  for node in ast.walk(tree):
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
      first = node.args[0].value if node.args and isinstance(node.args[0], ast.Constant) else None
      if node.func.attr.startswith("DEFINE_"):
        required = any(k.arg == "required" and k.value.value for k in node.keywords)
        flags[first] = flags.get(first, False) or required
      elif node.func.attr == "mark_flag_as_required":
        flags[first] = True
    elif isinstance(node, ast.ImportFrom) and node.module == "launch":
      for name in node.names:
        if name.name.endswith("_flags"):
          flags |= defined(LAUNCH / f"{name.name}.py")
  return flags


def examples(name):
  """The commands of a script's docstring that name files and not placeholders: indented, or with --sample."""
  text = ast.get_docstring(ast.parse((LAUNCH / f"{name}.py").read_text()), clean=False)
  lines = [line.strip() for line in text.splitlines() if line.strip().startswith(f"jaxpose {name}")]
  return [line for line in lines if not re.search(r"\||\[", line)]


@pytest.mark.parametrize("name", COMMANDS)
def test_an_example_has_all_flags_that_it_needs_and_no_other(name):
  flags, shown = defined(LAUNCH / f"{name}.py"), examples(name)
  assert shown
  for line in shown:
    given = set(re.findall(r"--(\w+)", line))
    assert given <= set(flags), line
    assert {flag for flag, required in flags.items() if required} <= given, line


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - {"compare"}))
def test_a_script_says_where_to_go_next(name):
  commands = re.findall(r"app\.following\(\s*f\"jaxpose (\w+)", (LAUNCH / f"{name}.py").read_text())
  assert "app.following(" in (LAUNCH / f"{name}.py").read_text() and set(commands) <= set(COMMANDS)


def test_the_scripts_are_listed():
  listed = subprocess.run([sys.executable, "-m", "launch"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
  assert all(f"  {name} " in listed for name in COMMANDS)


def test_help_shows_the_example():
  command = [sys.executable, "-m", "launch.export_weights", "--helpshort"]
  shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout
  assert examples("export_weights")[0] in shown
