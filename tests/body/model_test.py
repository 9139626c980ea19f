"""Model files: SMPL's pickle and the npz of the others, what is wrong with one, and finding them in a folder."""

import sys

import numpy as np
import pytest
from scipy import sparse

from data_builders import body_fixture
from jaxpose import skeleton
from jaxpose.body import model as models

SMPL = skeleton.get("smpl_24")
ARRAYS = body_fixture.make("smpl").arrays


def assert_same(one, other, betas=10):
  for name in ("template", "pose_dirs", "weights"):
    np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
  # A product, whose sums a sparse and a dense regressor may take in another order.
  np.testing.assert_allclose(one.rest_joints, other.rest_joints, atol=1e-7)
  np.testing.assert_array_equal(one.shape_dirs[..., :betas], other.shape_dirs[..., :betas])
  np.testing.assert_allclose(one.rest_joint_dirs[..., :betas], other.rest_joint_dirs[..., :betas], atol=1e-7)
  assert (one.parents, one.name) == (other.parents, other.name)


def pickled(**changes):
  return body_fixture.python_2({**ARRAYS, **changes})


def instance(module, name, **state):
  return body_fixture.Instance(module, name, state)


def test_smpls_own_pickle_without_chumpy(tmp_path):
  content = body_fixture.smpl_pickle(ARRAYS)
  assert b"cchumpy.ch\nCh\n" in content and b"cscipy.sparse.csc\ncsc_matrix\n" in content
  (tmp_path / "basicModel_f_lbs_10_207_0_v1.0.0.pkl").write_bytes(content)
  loaded = models.load(tmp_path / "basicModel_f_lbs_10_207_0_v1.0.0.pkl")
  assert_same(loaded, models.from_arrays(ARRAYS, "arrays"))
  assert (loaded.num_betas, loaded.parents, loaded.name) == (10, SMPL.parents, "SMPL")
  assert "chumpy" not in sys.modules


@pytest.mark.parametrize("kind, name", [("smpl", "SMPL"), ("smplh", "SMPL+H"), ("smplx", "SMPL-X")])
def test_npz(kind, name, tmp_path):
  arrays = body_fixture.make(kind).arrays
  np.savez(tmp_path / "model.npz", **arrays, other=np.array({"of no": "use"}))
  loaded = models.load(tmp_path / "model.npz")
  assert_same(loaded, models.from_arrays(arrays, "arrays"), 16)
  assert loaded.name == name and loaded.template.dtype == np.float32
  np.testing.assert_allclose(loaded.rest_joints, arrays["J_regressor"] @ arrays["v_template"], atol=1e-7)


def test_shape_directions_beyond_the_sixteenth_are_dropped():
  many = {**ARRAYS, "shapedirs": np.tile(ARRAYS["shapedirs"], 20)}
  assert_same(models.from_arrays(many, "300"), models.from_arrays(ARRAYS, "16"), 16)


def test_other_forms_of_the_same_numbers(tmp_path):
  rows = sparse.csr_matrix(ARRAYS["J_regressor"])
  state = dict(data=rows.data, indices=rows.indices, indptr=rows.indptr, _shape=rows.shape)
  inner = instance("chumpy.ch", "Ch", x=ARRAYS["shapedirs"][..., ::-1].copy())
  count = ARRAYS["shapedirs"].size
  turned = np.arange(count).reshape(-1, 16)[:, ::-1].ravel()
  picked = instance("chumpy.reordering", "Select", a=inner, idxs=turned, preferred_shape=ARRAYS["shapedirs"].shape)
  (tmp_path / "SMPL_FEMALE.pkl").write_bytes(
    pickled(
      shapedirs=picked,
      J_regressor=instance("scipy.sparse._csr", "csr_matrix", **state),
      v_template=instance("chumpy.ch", "Ch", x=ARRAYS["v_template"]),
    )
  )
  assert_same(models.load(tmp_path / "SMPL_FEMALE.pkl"), models.from_arrays(ARRAYS, "arrays"), 16)


def without(key):
  return {k: v for k, v in ARRAYS.items() if k != key}


def table(joint, parent):
  changed = ARRAYS["kintree_table"].copy()
  changed[0, joint] = parent
  return changed


COLUMNS = dict(data=np.ones(2), indices=np.array([0, 99]), indptr=np.array([0, 1, 2]), _shape=(24, 2))


@pytest.mark.parametrize(
  "content, reason",
  [
    (body_fixture.python_2(without("shapedirs")), "lacks shapedirs: it is no SMPL"),
    (body_fixture.python_2([1]), "holds a list, expected the dict of a body model"),
    (pickled(weights=ARRAYS["weights"][:-1]), r"weights has shape \(323, 24\), expected \(324, 24\)"),
    (pickled(weights=ARRAYS["weights"] * 2), "the skinning weights of vertex 0 do not sum to 1"),
    (pickled(posedirs=np.zeros((324, 3, 198))), r"posedirs has shape .* expected \(324, 3, 207\)"),
    (pickled(v_template=np.zeros(324)), r"v_template has shape \(324,\), expected 2 axes"),
    (pickled(v_template=ARRAYS["v_template"] * np.nan), "v_template holds NaN or infinity"),
    (pickled(v_template="text"), "v_template is no array that this reader knows"),
    (pickled(kintree_table=table(5, 7)), "gives joint 5 the parent 7; parents come before children"),
    (pickled(kintree_table=np.zeros(3)), r"kintree_table has shape \(3,\), expected \[2, joints\]"),
    (pickled(shapedirs=instance("chumpy.ch", "Ch")), "shapedirs is no array that this reader knows"),
    (pickled(shapedirs=instance("os", "system")), "os.system"),
    (pickled(J_regressor=instance("scipy.sparse.csc", "csc_matrix", **COLUMNS)), "an index outside its 24"),
    (
      pickled(J_regressor=instance("scipy.sparse.csc", "csc_matrix", **{**COLUMNS, "indptr": np.array([0, 2])})),
      "the sparse matrix is damaged",
    ),
    (
      pickled(J_regressor=instance("scipy.sparse.csr", "csr_matrix", **{**COLUMNS, "_shape": (2, 10**9)})),
      "claims 2 by 1000000000 numbers",
    ),
    (body_fixture.smpl_pickle(ARRAYS)[:-1000], "SMPL_MALE.pkl"),
  ],
)
def test_one_clear_error_names_the_file(content, reason, tmp_path):
  (tmp_path / "SMPL_MALE.pkl").write_bytes(content)
  with pytest.raises(ValueError, match=reason) as error:
    models.load(tmp_path / "SMPL_MALE.pkl")
  assert "SMPL_MALE.pkl" in str(error.value)


def test_a_broken_npz_and_another_file(tmp_path):
  np.savez(tmp_path / "model.npz", **without("weights"))
  with pytest.raises(ValueError, match="model.npz.*weights"):
    models.load(tmp_path / "model.npz")
  with pytest.raises(ValueError, match="model.obj is no body model"):
    models.load(tmp_path / "model.obj")


def test_models_are_found_by_the_words_of_their_paths(tmp_path):
  for kind in ("smpl", "smplh", "smplx"):
    body_fixture.write_models(tmp_path / kind, kind)
    (tmp_path / kind / "._SMPL_MALE.pkl").write_bytes(b"macOS")
    (tmp_path / kind / "info.npz").write_bytes(b"of no gender")
    found = models.find(tmp_path / kind)
    assert list(found) == ["female", "male"]
    female = {"smpl": "basicModel_f_lbs_10_207_0_v1.0.0.pkl", "smplh": "female/model.npz", "smplx": "SMPLX_FEMALE.npz"}
    assert found["female"] == tmp_path / kind / female[kind]
  with pytest.raises(ValueError, match="are both a female model; give the folder of one kind of model alone"):
    models.find(tmp_path)
  (tmp_path / "empty").mkdir()
  with pytest.raises(FileNotFoundError, match="no body model in .*empty"):
    models.find(tmp_path / "empty")
