import importlib
import json
import pathlib

import pytest

from data_builders import build
from jaxpose import codec, experiment, protocols, skeleton, targets
from jaxpose import config as configs

FILES = pathlib.Path(__file__).parents[1] / "configs"
H36M = skeleton.get("h36m_17")
NAMES = sorted(path.stem for path in FILES.glob("*.py") if path.stem not in ("__init__", "common"))


def get_config(name, arg=None):
  return importlib.import_module(f"configs.{name}").get_config(arg)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("arg", [None, "quick"])
def test_config_files_convert_and_survive_json(name, arg):
  config = configs.from_dict(get_config(name, arg))
  assert configs.from_dict(json.loads(json.dumps(configs.to_dict(config)))) == config


@pytest.mark.parametrize("name", NAMES)
def test_quick_is_shorter(name):
  assert get_config(name, "quick").num_steps < get_config(name).num_steps


@pytest.mark.parametrize("name", NAMES)
def test_the_docstring_holds_the_command(name):
  text = importlib.import_module(f"configs.{name}").__doc__
  assert f"python -m launch.train --config=configs/{name}.py --workdir=W --data_dir=DIR" in text


@pytest.mark.parametrize("name", NAMES)
def test_data_sets_and_protocols_exist(name):
  config = configs.from_dict(get_config(name))
  for data in (*config.parts.values(), config.validation, *config.targets.values()):
    build.find(data.dataset)
    assert not data.skeleton or skeleton.get(data.skeleton)
    protocols.get(data.protocol or config.protocol)


@pytest.mark.parametrize("name", NAMES)
def test_published_numbers_are_not_selected_on_what_they_are_scored_on(name):
  config = configs.from_dict(get_config(name))
  scored = [data for data in config.targets.values() if targets.overlap(config.validation, data)]
  shipped = name in ("cmu_clip", "cmu_frame")  # weights to use, of which no number is published
  assert config.select == ("latest" if scored and not shipped else "best")


def test_unknown_argument_is_refused():
  with pytest.raises(ValueError, match="'quik'.*only one is 'quick'"):
    get_config("cmu_baseline", "quik")


@pytest.mark.parametrize("name", ["cmu_iso", "synthetic_iso"])
def test_isos_game_is_balanced_unless_the_published_one_is_asked_for(name):
  published, balanced = (get_config(name, arg).method_options.to_dict() for arg in ("published", None))
  assert set(balanced) - set(published) == {"vertical", "elevation", "lift", "size", "noise"}
  assert all(balanced[key] == value for key, value in published.items())
  experiment.build_method(configs.from_dict(get_config(name, "published")), codec.build("canonical", H36M))


def values(**changes):
  return {**get_config("synthetic_baseline").to_dict(), **changes}


def several(**changes):
  """Two data sets to train on, the second with changes."""
  data = dict(dataset="x", splits=("a",))
  return dict(a=data, b={**data, **changes})


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    (dict(bach_size=3), "no field 'bach_size'"),
    (dict(batch_size=0), "batch_size=0 must be positive"),
    (dict(batch_size="64"), "config.batch_size='64' has type str"),
    (dict(eval_every=750), "eval_every=750 must be a multiple"),
    (dict(targets={}), "targets is empty"),
    (dict(optim=dict(learning_rate=-1.0)), "learning_rate=-1.0 must be positive"),
    (dict(optim=dict(schedule="linear")), "schedule='linear' must be one of"),
    (dict(augment=dict(flip=2.0)), "is a probability"),
    (dict(train=dict(dataset="x", splits=())), "needs a dataset and splits"),
    (dict(train=dict(dataset="x")), "config.train lacks splits"),
    (dict(train=dict(dataset="x", splits=("a",), fraction=0.0)), "fraction=0.0 of the clips of 'x'"),
    (dict(overlap=1), "overlap=1 must be in"),
    (dict(train=several(share=0.0)), "share=0.0 of the rows for 'x' must be positive; leave out"),
    (dict(train=several(share=-1)), "share=-1.0 of the rows"),
    (dict(train=several(share=1.0)), r"some data sets of train have no share: give each of \['a', 'b'\] one"),
    (dict(train=several(shar=1.0)), "config.train.b has no field 'shar'"),
    (dict(train=several(start_step=-1)), "start_step=-1 of 'x'"),
    (dict(train=dict(b=several()["b"] | dict(start_step=9))), r"none of the data sets \['b'\] .* has start_step=0"),
    (dict(train=several(use_3d=False)), "train.b.use_3d=False needs method 'masked' or 'image'; 'supervised' learns"),
    (dict(method="masked", train=dict(b=several()["b"] | dict(use_3d=False))), r"none .*\['b'\] of train has 3D"),
    (dict(train={}), "config.train lacks dataset, splits"),
    (dict(method="iso", pad_short=True), "pad_short=True needs masks"),
    (dict(train="cmu"), "config.train is 'cmu'"),
  ],
)
def test_bad_values_name_the_field(changes, message):
  with pytest.raises(ValueError, match=message):
    configs.from_dict(values(**changes))


def test_whole_numbers_are_accepted_for_floats():
  assert configs.from_dict(values(optim=dict(learning_rate=1))).optim.learning_rate == 1.0


def test_data_sets_to_train_on_come_in_the_order_of_their_names():
  config = configs.from_dict(values(train=dict(reversed(several(fps=30.0).items()))))
  assert list(config.parts) == ["a", "b"] and [p.fps for p in config.parts.values()] == [None, 30.0]
  single = configs.from_dict(values())
  assert single.parts == {"train": configs.PartConfig(**vars(single.train))}


def test_a_run_from_before_data_sets_were_mixed_is_read():
  data = dict(dataset="x", splits=("a",))
  written = values(train_also=None, train_2d=None, start_2d=0)
  assert configs.from_dict(written) == configs.from_dict(values())
  written.update(method="masked", train_also=data, train_2d=data, start_2d=500)
  parts = configs.from_dict(written).parts
  assert parts["first"].dataset == values()["train"]["dataset"] and parts["first"].start_step == 0
  assert parts["also"] == configs.PartConfig(**data)
  assert parts["flat"] == configs.PartConfig(**data, use_3d=False, start_step=500)
