"""The table of published counts: what is whole, what is a part, what is another data set, and what is made up."""

import pytest

from data_builders import verification
from data_builders.verification import Check, Example


def example(subject="S1", frames=10, valid=8):
  return Example("train", subject, "Walking", f"{subject} walks", "0", "h36m_17", frames, valid, 50.0)


CHECKS = (
  Check("subjects", 2, "the paper, section 3", lambda e: len({x.subject for x in e})),
  Check("frames", 20, "metadata.xml", lambda e: sum(x.frames for x in e)),
  Check("scored frames", 16, "metadata.xml", lambda e: sum(x.valid for x in e)),
)
WHOLE = [example("S1"), example("S2")]


def test_a_whole_set_is_ok():
  text, ok = verification.table(CHECKS, WHOLE)
  lines = text.splitlines()
  assert ok
  assert lines[0].split() == ["what", "found", "expected", "verdict", "source"]
  assert lines[1].split() == ["subjects", "2", "2", "ok", "the", "paper,", "section", "3"]
  assert lines[-1] == "ok: 3 of 3 published counts agree"


@pytest.mark.parametrize(
  "examples, verdict",
  [
    (WHOLE, "ok"),
    (WHOLE[:1], "partial"),  # a subject was not downloaded
    ([], "partial"),
    ([example("S1", valid=8), example("S2", valid=7)], "different"),  # nobody is missing, and yet frames are
    ([*WHOLE, example("S3")], "different"),
    ([example("S1", frames=30)], "different"),  # more than there ever was, though a subject is missing
  ],
)
def test_the_verdict(examples, verdict):
  text, ok = verification.table(CHECKS, examples)
  assert verification.verdict(CHECKS, examples) == verdict
  assert text.splitlines()[-1].startswith(f"{verdict}: ")
  assert ok == (verdict == "ok")


def test_a_third_partys_count_is_shown_and_judges_nothing():
  note = Check("people", 9, "an issue of another repository", len, note=True)
  text, ok = verification.table((*CHECKS, note), WHOLE)
  assert ok and text.splitlines()[4].split()[:4] == ["people", "2", "9", "note"]
  assert text.splitlines()[-1] == "ok: 3 of 3 published counts agree"
  text, ok = verification.table((note,), WHOLE)
  assert not ok and verification.verdict((note,), WHOLE) == "unknown" and text.splitlines()[1].startswith("people")


def test_a_check_of_what_was_not_built_is_left_out():
  absent = Check("subjects of another part", 5, "the paper", lambda examples: None)
  assert verification.table((*CHECKS, absent), WHOLE) == verification.table(CHECKS, WHOLE)
  assert verification.table((absent,), WHOLE) == verification.table((), WHOLE)


def test_a_fixture_is_never_ok():
  text, ok = verification.table(CHECKS, WHOLE, fixture=True)
  assert not ok and " ok " not in text
  assert text.splitlines()[-1].startswith("partial: a fixture")


def test_nothing_published_is_not_ok():
  text, ok = verification.table((), WHOLE)
  assert not ok and text.startswith("unknown: no counts")
