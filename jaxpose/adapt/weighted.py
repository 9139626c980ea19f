"""Sums of objectives as one writes them: "reprojection*10+bone_lengths*0.5"."""

import re

_NUMBER = r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_TERM = re.compile(rf"\s*([A-Za-z_]\w*)\s*(?:\*\s*({_NUMBER})\s*)?(\+|$)")


def parse(text: str) -> dict[str, float]:
  """{"reprojection": 10.0, "bone_lengths": 0.5} of "reprojection*10+bone_lengths*0.5"; a name alone has the factor 1.

  A factor multiplies the objective's own weights. Raises ValueError, which quotes the place, for anything else, for a
  factor of 0 and for a name that comes twice.
  """
  factors, at, joined = {}, 0, True
  while joined:
    term = _TERM.match(text, at)
    if term is None:
      raise ValueError(
        f"objective {text!r}: cannot read {text[at:]!r}; write NAME or NAME*FACTOR, several joined by '+', as "
        "reprojection*10+bone_lengths*0.5"
      )
    name, factor, joint = term.groups()
    if name in factors:
      raise ValueError(f"objective {text!r} names {name!r} twice; give it once, with a factor")
    factors[name] = 1.0 if factor is None else float(factor)
    if not factors[name]:
      raise ValueError(f"objective {text!r}: the factor of {name!r} is 0; leave the term out")
    at, joined = term.end(), joint == "+"
  return factors


def write(factors: dict[str, float]) -> str:
  """The shortest text that `parse` reads as these factors: what a fingerprint records."""
  numbers = {name: repr(float(factor)).removesuffix(".0") for name, factor in factors.items()}
  return "+".join(name if number == "1" else f"{name}*{number}" for name, number in numbers.items())
