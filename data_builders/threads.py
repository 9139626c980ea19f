"""A function of many items, computed ahead by threads and handed out in any order: reading while another is written.

Threads and not processes: readers are closures over open archives and parsed skeletons, which no process can be given;
JAX does not survive a fork, and a fresh process takes seconds to import it. NumPy, zlib, HDF5 and file servers let
other threads run meanwhile. There is little more to win: measured on fixtures in memory, most of a build is TFDS's
encoding (45,000 frames a second and core), which one thread does in any case.
"""

import concurrent.futures
import os
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def default_workers() -> int:
  """The cores that this process may use, eight at the most: more only hold memory while one thread writes."""
  cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
  return min(8, cores)


def ahead(function: Callable[[Item], Result], items: Sequence[Item], workers: int) -> Callable[[int], Result]:
  """ask(i) -> function(items[i]), once for each i; meanwhile threads compute the items from i to i + workers.

  What `function` raises, ask(i) raises. Asked in order, `workers` results are held at most; with one worker or none
  everything happens in the thread that asks. The threads do not keep a program from ending.
  """
  if workers < 2:
    return lambda at: function(items[at])
  started: dict[int, concurrent.futures.Future[Result]] = {}
  begun = 0

  def work(future: concurrent.futures.Future[Result], item: Item) -> None:
    try:
      future.set_result(function(item))
    except BaseException as error:  # whoever asks gets it
      future.set_exception(error)

  def ask(at: int) -> Result:
    nonlocal begun
    while begun < min(at + workers, len(items)):
      started[begun] = concurrent.futures.Future()
      # A daemon: Ctrl-C must not wait for a file server that does not answer, as a ThreadPoolExecutor's end does.
      threading.Thread(target=work, args=(started[begun], items[begun]), daemon=True).start()
      begun += 1
    return started.pop(at).result()

  return ask
