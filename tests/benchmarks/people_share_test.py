"""The study of simulated people beside actors: every mix is a config, and the choice follows its rule."""

import pytest

from benchmarks import people_share
from jaxpose import config as configs


@pytest.mark.parametrize("mix", people_share.MIXES)
def test_every_mix_has_its_share_of_people_and_not_the_subject_it_is_scored_on(mix):
  config = people_share.config_of(mix, "02", 1000, seed=2)
  assert config.num_steps == 1000 and config.seed == 2
  actors = config.parts["train" if mix == "none" else "actors"]
  assert actors.splits == ("01", "03") and config.validation.splits == ("01", "03")
  if mix != "none":
    scenario, share = people_share.MIXES[mix]
    people = config.parts["people"]
    assert (people.share, actors.share) == (share, 1 - share) and people.rig == actors.rig
    assert ("target" in people.splits) == (scenario == "both")
  assert configs.from_dict(configs.to_dict(config)) == config


def test_no_target_chooses_and_reports():
  chooses, reports = (people_share.chosen_targets(reported) for reported in (False, True))
  assert chooses and reports and not {t.splits for t in chooses.values()} & {t.splits for t in reports.values()}


def test_the_least_mean_is_chosen_among_equals():
  cells = [
    dict(mix=mix, target=t, seed=s, steps=9, mpjpe_mm=e + s, pa_mpjpe_mm=60.0)
    for mix, errors in {"none": (100.0, 90.0), "both 0.5": (97.0, 92.0), "everyday 0.1": (80.0, 120.0)}.items()
    for t, e in zip("ab", errors)
    for s in (0, 1)
  ]
  assert people_share.best(cells) == "both 0.5"
  assert "| none | 100.5 / 60.0 | 90.5 / 60.0 |" in people_share.text(cells)
  with pytest.raises(ValueError, match="different numbers of cells.*'both 0.5': 3"):
    people_share.best([c for c in cells if c != cells[4]])
