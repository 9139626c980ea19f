"""Sums of objectives, as text."""

import re

import pytest

from jaxpose.adapt import weighted


@pytest.mark.parametrize(
  ("text", "factors", "again"),
  [
    ("cycle", {"cycle": 1.0}, "cycle"),
    ("a+b", {"a": 1.0, "b": 1.0}, "a+b"),
    ("reprojection*10+bone_lengths*0.5", {"reprojection": 10.0, "bone_lengths": 0.5}, None),
    (" a * 1e-3 + b*1E+2 + c*.5", {"a": 1e-3, "b": 100.0, "c": 0.5}, "a*0.001+b*100+c*0.5"),
    ("a*0.1234567890123", {"a": 0.1234567890123}, None),
    ("a*1", {"a": 1.0}, "a"),
  ],
)
def test_sums_are_read_and_written(text, factors, again):
  assert weighted.parse(text) == factors
  written = weighted.write(factors)
  assert written == (text if again is None else again)
  assert weighted.parse(written) == factors


@pytest.mark.parametrize(
  ("text", "message"),
  [
    ("", "cannot read ''"),
    ("a+", "cannot read ''"),
    ("a*", "cannot read 'a*'"),
    ("a+b*x", "cannot read 'b*x'"),
    ("a*-1", "cannot read 'a*-1'"),
    ("a b", "cannot read 'a b'"),
    ("2*a", "cannot read '2*a'"),
    ("a+b+a*2", "names 'a' twice"),
    ("a*0", "the factor of 'a' is 0"),
  ],
)
def test_a_mistake_is_quoted(text, message):
  with pytest.raises(ValueError, match=re.escape(message)):
    weighted.parse(text)
