import ast
import pathlib
import subprocess
import sys

import pytest

from jaxpose.adapt.settings import RECOMMENDED, AdaptConfig

ROOT = pathlib.Path(__file__).parents[2]
PRINT = """
import dataclasses, sys
from absl import flags
from launch import adapt_flags
flags.FLAGS(sys.argv)
print(dataclasses.asdict(adapt_flags.config()))
"""


@pytest.mark.parametrize(
  ("given", "expected"),
  [
    ((), AdaptConfig()),
    (("--mode=online", "--recommended"), RECOMMENDED["online"]),
    (
      ("--mode=vanilla", "--groups=trunk,head", "--num_steps=3", "--objective=reprojection"),
      AdaptConfig(mode="vanilla", groups=("trunk", "head"), num_steps=3, objective="reprojection"),
    ),
  ],
)
def test_flags_override_the_mode_or_its_recommended_numbers(given, expected):
  done = subprocess.run([sys.executable, "-c", PRINT, *given], cwd=ROOT, capture_output=True, text=True, check=True)
  assert AdaptConfig(**ast.literal_eval(done.stdout)) == expected
