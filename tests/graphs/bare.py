"""Runs an exported folder as someone would who has jax, numpy and flatbuffers, and nothing else: bare.py FOLDER OUT."""

import importlib.abc
import importlib.machinery
import pathlib
import sys

ALLOWED = ("jax", "jaxlib", "numpy", "flatbuffers", "ml_dtypes", "opt_einsum", "scipy")  # jax and what it needs


class _NothingElse(importlib.abc.MetaPathFinder):
  """Finds jax, what it needs, and the standard library."""

  def find_spec(self, fullname, path=None, target=None):
    name = fullname.partition(".")[0]
    known = name in (*ALLOWED, "load") or name in sys.stdlib_module_names or name.startswith("_sysconfigdata")
    return importlib.machinery.PathFinder.find_spec(fullname, path, target) if known else None


if __name__ == "__main__":
  folder = pathlib.Path(sys.argv[1])
  sys.meta_path[:] = [importlib.machinery.BuiltinImporter, importlib.machinery.FrozenImporter, _NothingElse()]
  sys.path[:] = [str(folder), *(p for p in sys.path if "site-packages" in p or "lib" in p)]
  import numpy as np
  from load import load

  run = load(folder)
  for path in pathlib.Path(sys.argv[2]).glob("in_*.npz"):
    outputs = run(**np.load(path))
    np.savez(path.with_name(path.name.replace("in_", "out_")), **outputs)
  print(*sorted({m.partition(".")[0] for m in sys.modules}))
