"""How long an exported folder takes to load, to answer first, and to answer again:

python -m benchmarks.bundle_latency FOLDER [OUT.json]

It imports nothing of this library, and runs as well where there are only jax, numpy and flatbuffers.
"""

import json
import pathlib
import sys
import time

BATCHES, CALLS = (1, 5, 64), 50


def main(folder: str, output: str = "") -> None:
  began = time.perf_counter()
  sys.path.insert(0, folder)
  import numpy as np
  from load import load  # pyrefly: ignore[missing-import]

  imported = time.perf_counter()
  run = load(folder)
  results: dict[str, float] = {"import_s": imported - began, "load_s": time.perf_counter() - imported}
  stored = np.load(pathlib.Path(folder) / "example.npz")
  example = {n.removeprefix("inputs/"): stored[n] for n in stored.files if n.startswith("inputs/")}
  for batch in BATCHES:
    arrays = {name: np.repeat(x[:1], batch, 0) for name, x in example.items()}
    times = []
    for _ in range(CALLS):
      start = time.perf_counter()
      run(**arrays)
      times.append(time.perf_counter() - start)
    results |= {f"first_call_of_{batch}_s": times[0], f"call_of_{batch}_ms": 1000 * float(np.median(times[1:]))}
  print("\n".join(f"{name} {value:.3g}" for name, value in results.items()))
  if output:
    pathlib.Path(output).write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
  main(*sys.argv[1:])
