"""Adapts a trained run to unlabelled targets, and scores it:

jaxpose adapt --workdir=W --data_dir=DIR --output=OUT.json --mode=vanilla [--objective=cycle]
  [--dataset=NAME [--splits= --rig= --fps=]] [--shard=i/n]
  jaxpose adapt --workdir=run --data_dir=data --output=adapted.json --mode=vanilla --recommended

With --shard=i/n it adapts to the i-th (from 0) of n parts of the streams and writes OUT-0000i-of-0000n.npz beside
OUT.json, or nothing where that file is there; jaxpose collect scores the n files.
"""

from typing import Any

from absl import flags

from jaxpose import cluster, experiment, report, runs, shards
from launch import adapt_flags, app, target_flags

_WORKDIR = flags.DEFINE_string("workdir", None, "The run to adapt, as launch.train wrote it.", required=True)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Where launch.build_data put the data sets.", required=True)
_OUTPUT = flags.DEFINE_string("output", None, "The report to write, JSON.", required=True)
_PROTOCOL = flags.DEFINE_string("protocol", "", "Evaluation protocol; the target's or config's own when empty.")
_CHECKPOINT = flags.DEFINE_string("checkpoint", "", "best, latest, or a step; what the config selects when empty.")
_STRIDE = flags.DEFINE_integer("stride", 1, "Adapt to and score every n-th frame of a clip.", lower_bound=1)
_NOISE = flags.DEFINE_float("noise_px", 0.0, "Normal noise on the target's keypoints, in pixels.", lower_bound=0.0)
_STATE_DIR = flags.DEFINE_string("state_dir", "", "Online: streams saved there go on, and are saved there at the end.")
_SHARD = flags.DEFINE_string("shard", "", "i/n: the i-th of n parts of the streams alone, the first being 0.")

flags.adopt_module_key_flags(adapt_flags)
flags.adopt_module_key_flags(target_flags)


def main() -> None:
  config = adapt_flags.config()
  shard = shards.parse(_SHARD.value) if _SHARD.value else None
  if not shard:
    cluster.check_alone("adapt")
  trained = experiment.load(_WORKDIR.value, _CHECKPOINT.value)
  options: dict[str, Any] = dict(target=target_flags.target(trained), protocol=_PROTOCOL.value, stride=_STRIDE.value)
  options["noise_px"] = _NOISE.value
  if shard:
    task = runs.prepare(trained, _DATA_DIR.value, **options)
    places = dict(workdir=_WORKDIR.value, data_dir=_DATA_DIR.value, state_dir=_STATE_DIR.value)
    new = shards.adapt(trained, task, config, shard, _OUTPUT.value, **places)
    print(f"{'wrote' if new else 'there already:'} {shards.path(_OUTPUT.value, shard)}")
    return
  result = runs.evaluate(trained, _DATA_DIR.value, adapt=config, state_dir=_STATE_DIR.value, **options)
  report.write_json(_OUTPUT.value, result)
  print(report.table({config.mode: result}))
  print(report.summary(result))
  app.following(f"jaxpose compare {_OUTPUT.value} PLAIN.json (of jaxpose evaluate)")


if __name__ == "__main__":
  app.run(main, several=True)
