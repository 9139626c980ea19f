"""Files of known bone lengths, and what is wrong with some."""

import json
import re

import pytest

from jaxpose.formats import bone_lengths


def test_bones_are_read_from_a_file(tmp_path):
  path = tmp_path / "bones.json"
  known = {"": {"left_knee": 0.44}, "S1": {"right_elbow": 0.3, "left_elbow": 0.3}}
  path.write_text(json.dumps(known))
  assert bone_lengths.read(str(path)) == known


@pytest.mark.parametrize(
  ("text", "message"),
  [
    ("{", "is no JSON"),
    ("[]", 'expected {"subject, or empty for all"'),
    ('{"left_knee": 0.4}', 'expected {"subject, or empty for all"'),
    ('{"S1": {"left_knee": "0.4"}}', "'S1', 'left_knee' is '0.4', expected"),
    ('{"S1": {"left_knee": true}}', "'S1', 'left_knee' is True, expected"),
  ],
)
def test_a_wrong_file_of_bones_is_explained(tmp_path, text, message):
  path = tmp_path / "bones.json"
  path.write_text(text)
  with pytest.raises(ValueError, match=re.escape(message)) as caught:
    bone_lengths.read(str(path))
  assert str(path) in str(caught.value)
