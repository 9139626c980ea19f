"""Small mistakes put into a module one at a time: which of them do its tests not see?

python -m benchmarks.mutations --module=jaxpose/metrics.py --tests=tests/metrics_test.py --output=OUT.json [--most=40]

Each mutation changes one operator, comparison or number of the module in a copy of the project, and runs the tests on
it (-x). Survivors are printed with their line; a mutation that takes ten times as long as the tests do counts as seen.
`--most` of all that there are, drawn by --seed. Results are kept as they come: the same command goes on.
"""

import ast
import copy
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

import numpy as np
from absl import flags

from launch import app

_MODULE = flags.DEFINE_string("module", None, "The file to put mistakes into, from the project's root.", required=True)
_TESTS = flags.DEFINE_list("tests", None, "The tests that should see them.", required=True)
_OUTPUT = flags.DEFINE_string("output", None, "What became of each mutation, JSON.", required=True)
_MOST = flags.DEFINE_integer("most", 40, "Mutations that are tried.")
_SEED = flags.DEFINE_integer("seed", 0, "Which of them.")

ROOT = pathlib.Path(__file__).parents[1]
OPERATORS = {
  ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Mod: ast.Mult, ast.Pow: ast.Mult,
  ast.FloorDiv: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.And: ast.Or, ast.Or: ast.And,
  ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
  ast.USub: ast.UAdd, ast.Not: ast.UAdd, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip


def mutations(text: str) -> Iterator[tuple[str, str]]:
  """(what is changed where, the changed module) of every place; annotations, docstrings and messages are left alone."""
  tree = ast.parse(text)
  for number, node in enumerate(_code(tree)):
    changed = copy.deepcopy(tree)
    what = _change(list(_code(changed))[number])
    if what:
      yield f"{node.lineno}: {what} in {ast.unparse(node)[:80]}", ast.unparse(changed)


def _code(node: ast.AST) -> Iterator[ast.AST]:
  """The nodes that compute something, in order."""
  if isinstance(node, ast.Raise | ast.JoinedStr):
    return
  if isinstance(node, ast.expr):
    yield node
  for name, value in ast.iter_fields(node):
    if name in ("annotation", "returns", "decorator_list"):
      continue
    for child in value if isinstance(value, list) else [value]:
      if isinstance(child, ast.AST):
        yield from _code(child)


def _change(node: ast.AST) -> str:
  """Changes the node in place and says how; "" where there is nothing to change."""
  if isinstance(node, ast.Constant) and type(node.value) in (int, float, bool):
    old = node.value
    node.value = not old if isinstance(old, bool) else old + 1
    return f"{old} -> {node.value}"
  operator = node.ops[0] if isinstance(node, ast.Compare) else getattr(node, "op", None)
  if type(operator) not in OPERATORS:
    return ""
  other = OPERATORS[type(operator)]()
  if isinstance(node, ast.Compare):
    node.ops[0] = other
  else:
    node.op = other
  return f"{type(operator).__name__} -> {type(other).__name__}"


def passes(folder: pathlib.Path, tests: list[str], seconds: float | None = None) -> bool:
  command = [sys.executable, "-m", "pytest", "-n", "0", "-q", "-x", "-p", "no:cacheprovider", *tests]
  try:
    return subprocess.run(command, cwd=folder, capture_output=True, timeout=seconds, check=False).returncode == 0
  except subprocess.TimeoutExpired:
    return False


def main() -> None:
  every = list(mutations((ROOT / _MODULE.value).read_text()))
  drawn = np.random.default_rng(_SEED.value).permutation(len(every))[: _MOST.value]
  path = pathlib.Path(_OUTPUT.value)
  results = json.loads(path.read_text()) if path.exists() else {}
  with tempfile.TemporaryDirectory() as temporary:
    folder = pathlib.Path(temporary) / "project"
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(".git", "__pycache__"))
    began = time.perf_counter()
    if not passes(folder, _TESTS.value):
      raise ValueError(f"the tests {_TESTS.value} fail without any mutation; mend them first")
    limit = 10 * (time.perf_counter() - began) + 30
    for number in sorted(drawn):
      name, text = every[number]
      key = f"{_MODULE.value}:{name}"
      if key not in results:
        (folder / _MODULE.value).write_text(text)
        results[key] = "survived" if passes(folder, _TESTS.value, limit) else "killed"
        path.write_text(json.dumps(results, indent=1))
        print(f"{results[key]}  {key}", flush=True)
  mine = [value for key, value in results.items() if key.startswith(f"{_MODULE.value}:")]
  print(f"{mine.count('killed')} of {len(mine)} killed ({len(every)} mutations there are)")


if __name__ == "__main__":
  app.run(main)
