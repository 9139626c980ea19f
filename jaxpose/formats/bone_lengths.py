"""Files of known bone lengths: JSON, {subject, or "" for every: {joint at a bone's far end: metres}}."""

import json


def read(path: str) -> dict[str, dict[str, float]]:
  """The lengths in a JSON file, {subject: {joint: metres}}; a ValueError says what is wrong with the file."""
  with open(path, encoding="utf-8") as file:
    try:
      bones = json.load(file)
    except ValueError as error:
      raise ValueError(f"{path!r} is no JSON: {error}") from error
  shape = '{"subject, or empty for all": {"left_knee": 0.44}}, metres'
  if not isinstance(bones, dict) or not all(isinstance(b, dict) for b in bones.values()):
    raise ValueError(f"{path!r} holds {type(bones).__name__}s, expected {shape}")
  for subject, lengths in bones.items():
    for joint, length in lengths.items():
      if isinstance(length, bool) or not isinstance(length, int | float):
        raise ValueError(f"{path!r}: {subject!r}, {joint!r} is {length!r}, expected {shape}")
  return bones
