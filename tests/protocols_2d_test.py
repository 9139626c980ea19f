"""COCO's average precision against what COCO's own code said, and MPII's PCKh against its definition.

golden/coco_people.json: the annotations of four photographs of COCO val2017 (Lin et al. 2014, CC BY 4.0).
"""

import json
import pathlib

import numpy as np
import pytest

from jaxpose import skeleton as skeletons
from jaxpose.protocols import coco_oks, pckh

GOLDEN = pathlib.Path(__file__).parent / "golden" / "coco_keypoint_results.json"
PEOPLE = pathlib.Path(__file__).parent / "golden" / "coco_people.json"


def _coco():
  return json.loads(PEOPLE.read_text()), json.loads(GOLDEN.read_text())


def _as_results(truth):
  return [
    {"image_id": a["image_id"], "category_id": 1, "keypoints": a["keypoints"], "score": 0.9}
    for a in truth["annotations"]
    if a["num_keypoints"]
  ]


def test_average_precision_is_that_of_cocos_code():
  truth, recorded = _coco()
  got = coco_oks.average_precision(truth, recorded["results"])
  assert list(got) == list(recorded["stats"])
  for name, value in recorded["stats"].items():
    assert abs(got[name] - value) < 1e-6, name


def test_ground_truth_as_prediction_is_perfect():
  truth, _ = _coco()
  assert list(coco_oks.average_precision(truth, _as_results(truth)).values()) == pytest.approx([1] * 10, abs=1e-12)


def test_order_of_entries_and_images_does_not_matter():
  truth, recorded = _coco()
  got = coco_oks.average_precision(truth, recorded["results"])
  turned = {**truth, "images": truth["images"][::-1], "annotations": truth["annotations"][::-1]}
  assert coco_oks.average_precision(turned, recorded["results"][::-1]) == pytest.approx(got, abs=1e-12)


def _person(at, identity, area=5000.0, **more):
  x, y = np.meshgrid(np.arange(17) * 5.0 + at, [100.0])
  keypoints = np.stack([x[0], y[0], np.full(17, 2)], -1).ravel().tolist()
  person = {"id": identity, "image_id": 1, "category_id": 1, "keypoints": keypoints, "num_keypoints": 17,
            "area": area, "bbox": [at, 80, 85, 40], "iscrowd": 0}  # fmt: skip
  return {**person, **more}


def test_crowds_unlabelled_people_and_other_sizes_do_not_count():
  first, second = _person(10, 1), _person(300, 2)
  results = _as_results({"annotations": [first, second, second]})
  truth = lambda *people: {"images": [{"id": 1}], "annotations": list(people)}  # noqa: E731
  assert coco_oks.average_precision(truth(first, second), results[:2])["AP"] == pytest.approx(1)
  extra = coco_oks.average_precision(truth(first, second), results)
  assert extra["AR"] == 1 == pytest.approx(extra["AP"])  # the second of equal score comes after every recall is reached
  wrong_first = [dict(results[2], score=1.0), *results[:2]]
  assert coco_oks.average_precision(truth(first), wrong_first[:2])["AP"] == pytest.approx(0.5, abs=1e-3)
  for unscored in (dict(iscrowd=1), dict(num_keypoints=0, keypoints=[0] * 51)):
    # A detection on either is neither right nor wrong; on a crowd, any number of them.
    ignored = {**second, **unscored}
    assert coco_oks.average_precision(truth(first, ignored), wrong_first[:2])["AP"] == pytest.approx(1)
  two = [wrong_first[0], wrong_first[0], results[0]]
  assert coco_oks.average_precision(truth(first, {**second, "iscrowd": 1}), two)["AP"] == pytest.approx(1)
  nobody = coco_oks.average_precision(truth(), [])
  assert set(nobody.values()) == {-1.0}
  missed = coco_oks.average_precision(truth(first), [])
  assert missed["AP"] == 0 == missed["AR"] and missed["AP_L"] == -1


def test_similarity_is_its_formula():
  rng = np.random.default_rng(0)
  truth, labelled = rng.uniform(0, 100, (17, 2)), rng.uniform(size=17) > 0.3
  detected = truth + rng.normal(0, 5, (4, 17, 2))
  sigmas = dict(nose=0.026, eye=0.025, ear=0.035, shoulder=0.079, elbow=0.072, wrist=0.062, hip=0.107, knee=0.087,
                ankle=0.089)  # fmt: skip
  for got, person in zip(coco_oks.similarity(detected, truth, labelled, 900.0, np.array([0, 0, 9, 9])), detected):
    terms = [
      np.exp(-((person[j] - truth[j]) ** 2).sum() / (2 * 900.0 * (2 * sigmas[name.split("_")[-1]]) ** 2))
      for j, name in enumerate(coco_oks.SKELETON.names) if labelled[j]
    ]  # fmt: skip
    assert got == pytest.approx(np.mean(terms), rel=1e-9)
  with pytest.raises(ValueError, match="'h36m_17': COCO has no similarity of 'pelvis'"):
    _ = skeletons.get("h36m_17").oks_sigmas


def test_a_result_goes_back_to_cocos_count_of_pixels():
  result = coco_oks.to_coco(np.full((17, 2), 10.5), np.ones(17), 7, 0.5)
  assert result["keypoints"][:3] == [10.0, 10.0, 1.0] and result["image_id"] == 7


@pytest.mark.parametrize(
  "change, message",
  [
    (dict(image_id=5), "result 0 is of image 5, which the annotations do not list"),
    (dict(keypoints=[1.0] * 50), "result 0: keypoints is .*; expected 51 finite numbers"),
    (dict(keypoints=[float("nan")] * 51), "result 0: keypoints"),
    (dict(score=float("inf")), "result 0: score is inf"),
  ],
)
def test_wrong_results(change, message):
  truth, recorded = _coco()
  with pytest.raises(ValueError, match=message):
    coco_oks.average_precision(truth, [{**recorded["results"][0], **change}])


def test_wrong_annotations():
  truth, recorded = _coco()
  with pytest.raises(ValueError, match="the annotations have no images"):
    coco_oks.average_precision({"annotations": []}, recorded["results"])
  with pytest.raises(ValueError, match="annotation 0 has no 'area'"):
    coco_oks.average_precision({**truth, "annotations": [{"image_id": 785, "keypoints": [0] * 51}]}, [])


def _mpii(count=40, seed=0):
  rng = np.random.default_rng(seed)
  target = rng.uniform(0, 500, (count, 16, 2))
  predicted = target + rng.normal(0, 20, target.shape)
  return predicted, target, rng.uniform(size=(count, 16)) > 0.2, rng.uniform(30, 90, count)


@pytest.mark.parametrize("rule, fine", [("simple_baseline", 0.11), ("mmpose", 0.10)])
def test_pckh_is_a_loop_over_joints(rule, fine):
  predicted, target, annotated, head = _mpii()
  got = pckh.pckh(predicted, target, annotated, head, rule)
  within, total = {0.5: 0, fine: 0}, 0
  per_joint = np.zeros((16, 2))
  for n, j in np.ndindex(40, 16):
    if annotated[n, j] and j not in (6, 7):  # pelvis and thorax in MPII's order
      distance = np.hypot(*(predicted[n, j] - target[n, j])) / head[n]
      total += 1
      per_joint[j] += (distance < 0.5, 1)
      for threshold in within:
        within[threshold] += distance < threshold
  assert got["pckh_50"] == pytest.approx(100 * within[0.5] / total)
  assert got["pckh_10"] == pytest.approx(100 * within[fine] / total)
  share = 100 * per_joint[:, 0] / np.maximum(per_joint[:, 1], 1)
  assert got["pckh_50_head"] == pytest.approx(share[9])
  assert got["pckh_50_knee"] == pytest.approx((share[1] + share[4]) / 2)


def test_pckh_of_the_truth_is_100_and_the_threshold_itself_is_the_rules_affair():
  _, target, annotated, head = _mpii()
  assert set(pckh.pckh(target, target, annotated, head).values()) == {100.0}
  head[:] = 64
  beside = target.copy()
  beside[..., 0] = np.floor(beside[..., 0])
  target = beside.copy()
  beside[..., 0] += 32
  assert pckh.pckh(beside, target, annotated, head)["pckh_50"] == 100
  assert pckh.pckh(beside, target, annotated, head, "mmpose")["pckh_50"] == 0


@pytest.mark.parametrize(
  "change, message",
  [
    (dict(rule="hrnet"), "unknown rule 'hrnet'"),
    (dict(annotated=np.zeros((40, 16), bool)), "no annotated joint"),
    (dict(head_size=np.zeros(40)), "has a head of 0.0 px"),
    (dict(predicted=np.full((40, 16, 2), np.nan)), "person 0: a joint's prediction"),
    (dict(target=np.zeros((40, 17, 2))), "PCKh of shapes"),
  ],
)
def test_wrong_input_of_pckh(change, message):
  predicted, target, annotated, head = _mpii()
  values = dict(predicted=predicted, target=target, annotated=annotated, head_size=head)
  with pytest.raises(ValueError, match=message):
    pckh.pckh(**{**values, **change})
