"""The regressor's rows: brought into one order, or refused."""

import numpy as np
import pytest

from data_builders import body_fixture
from jaxpose import skeleton
from jaxpose.body import model as models
from jaxpose.body import regressor

H36M = skeleton.get("h36m_17")
MATRIX = body_fixture.make("smpl").h36m
LEFT_FIRST = [0, 4, 5, 6, 1, 2, 3, *range(7, 17)]  # an involution: either file from the other
ARMS = [*range(11), 14, 15, 16, 11, 12, 13]


@pytest.fixture(scope="module", params=["female", "male"])
def model(request):
  return models.from_arrays(body_fixture.make("smpl", gender=request.param).arrays, request.param)


@pytest.mark.parametrize("rows, note", [(range(17), ""), (LEFT_FIRST, "left leg first")])
def test_both_published_files_become_one(rows, note, model, tmp_path):
  np.save(tmp_path / "J.npy", MATRIX[list(rows)])
  loaded = regressor.load(tmp_path / "J.npy", model)
  np.testing.assert_array_equal(loaded.matrix, MATRIX.astype(np.float32))
  assert note in loaded.note and bool(note) == bool(loaded.note)
  # A figure with its arms to the sides that faces +z: its left is +x.
  joints = loaded.matrix @ model.template
  for name in H36M.names:
    side = joints[H36M.index(name), 0]
    assert side > 0.05 if name.startswith("left") else side < -0.05 if name.startswith("right") else abs(side) < 0.03


@pytest.mark.parametrize(
  "matrix, reason",
  [
    (MATRIX[ARMS], "row 11 gives the right_shoulder, not the left_shoulder"),
    (MATRIX[LEFT_FIRST][ARMS], "row 1 gives the left_hip, not the right_hip"),
    (MATRIX[[0, 3, 2, 1, *range(4, 17)]], "row 1 gives the right_ankle, not the right_hip"),
    (MATRIX[:, :-1], r"has shape \(17, 323\), expected \[17, 324\]: the SMPL model has 324 vertices"),
    (MATRIX[:16], r"has shape \(16, 324\)"),
    (MATRIX * 0.5, "the rows of a regressor sum to 1, these to 0.5"),
    (MATRIX * np.nan, "the rows of a regressor sum to 1"),
    (np.zeros(3, int), "holds no array of floats"),
    (np.array([{}]), "holds no array of floats"),
  ],
)
def test_others_are_refused_with_the_reason(matrix, reason, tmp_path):
  model = models.from_arrays(body_fixture.make("smpl").arrays, "neutral")
  np.save(tmp_path / "J.npy", matrix)
  with pytest.raises(ValueError, match=reason) as error:
    regressor.load(tmp_path / "J.npy", model)
  assert "J.npy" in str(error.value)


def test_what_is_no_npy_file(tmp_path, model):
  (tmp_path / "J.npy").write_bytes(b"not an array")
  with pytest.raises(ValueError, match="J.npy: its header is damaged"):
    regressor.load(tmp_path / "J.npy", model)
