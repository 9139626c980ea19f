"""Figure 6: are predictions closer to the target's poses? A two-way classifier, and a t-SNE of its features.

As in the paper, the classifier sees 3D poses: it learns true poses of source and target and then judges predictions. A
second one sees the network's 2D inputs, and tells how far apart the scenarios are before any lifting.
"""

import importlib.util
from typing import Any

import numpy as np

from benchmarks.iso_study import cells, classifier, drawing, page
from benchmarks.iso_study.cells import Cell, Study
from benchmarks.iso_study.methods import METHODS
from jaxpose import evaluate, experiment
from jaxpose.data.clip import Clip
from jaxpose.report import number

NAMES = ("Baseline", "Joint-Cyc", "Online-Cyc", "Vanilla-GN", "Online-GN")
SHOWN = ("Baseline", "Online-Cyc", "Vanilla-GN")  # in the t-SNE, a panel each
POINTS = 250  # of each colour
POSES = 6000  # of the source in training and held out


def check() -> None:
  """Raises ValueError where scikit-learn is missing."""
  if importlib.util.find_spec("sklearn") is None:
    raise ValueError("figure6 needs scikit-learn: pip install 'jaxpose[study]', or leave the part out with --part")


def wanted(study: Study) -> list[Cell]:
  return [c for t in study.targets for name in study.rows(NAMES) for c in cells.of_seeds(study, METHODS[name], t)]


def compute(study: Study) -> dict[str, Any]:
  """{target: held-out accuracies, shares of predictions taken for the target's, and points of the t-SNE}."""
  check()
  trained = study.trained["baseline", study.settings.seeds[0]]
  source = experiment.load_clips(trained.config.train, study.settings.data_dir)
  return {target: _target(study, target, source) for target in study.targets}


def split(clips: list[Clip]) -> list[bool]:
  """Whether each clip is held out: every second motion, with all its views."""
  motions = sorted({(c.subject, c.sequence) for c in clips})
  return [motions.index((c.subject, c.sequence)) % 2 == 1 for c in clips]


def poses_3d(clips: list[Clip], poses: list[np.ndarray]) -> np.ndarray:
  """Root-relative poses [N, J, 3] of the valid frames, metres, camera axes."""
  rows = [p[c.valid] for p, c in zip(poses, clips)]
  return np.concatenate([p - p[:, [c.skeleton.root]] for p, c in zip(rows, clips)])


def _truth(clips: list[Clip]) -> np.ndarray:
  return poses_3d(clips, [c.joints_3d for c in clips if c.joints_3d is not None])


def _inputs(study: Study, clips: list[Clip]) -> np.ndarray:
  """The network's inputs [N, J, C] of the valid frames."""
  codec = study.trained["baseline", study.settings.seeds[0]].codec
  rows = evaluate.cut(clips, valid_only=True)
  encoded = evaluate.in_batches(lambda batch: evaluate.encode_both(batch, codec=codec)["inputs"], rows.batch, 4096)
  return encoded[:, 0]


def _target(study: Study, target: str, source: list[Clip]) -> dict[str, Any]:
  streams, scored = study.streams[target], study.scored(target)
  out = split(streams)
  sets: dict[str, Any] = {}
  of_source = {h: [c for c, o in zip(source, split(source)) if o == h] for h in (False, True)}
  for kind, read in (("3D poses", _truth), ("2D inputs", lambda clips: _inputs(study, clips))):
    train = _some(read(of_source[False]), POSES), read([c for c, o in zip(streams, out) if not o])
    held_out = _some(read(of_source[True]), POSES), read([c for c, o in zip(streams, out) if o])
    fitted = classifier.fit(train[0], train[1])
    judged = [fitted(poses) for poses in held_out]
    accuracy = [float(1 - judged[0][0].mean()), float(judged[1][0].mean())]
    sets[kind] = {
      "fitted": fitted,
      "features": [features for _, features in judged],
      "accuracy": {"source": 100 * accuracy[0], "target": 100 * accuracy[1]},
      "poses": {"train": [len(x) for x in train], "held_out": [len(x) for x in held_out]},
    }
  names: dict[str, Any] = {}
  for name in study.rows(NAMES):
    of_method = cells.of_seeds(study, METHODS[name], target)
    predicted = [_held_out(cells.predictions(study, one), scored, out) for one in of_method]
    judged = [sets["3D poses"]["fitted"](poses) for poses in predicted]
    shares = [100 * float(taken.mean()) for taken, _ in judged]
    sd = float(np.std(shares, ddof=1)) if len(shares) > 1 else None
    names[name] = {"share": float(np.mean(shares)), "sd_over_seeds": sd, "by_seed": shares, "features": judged[0][1]}
    names[name]["cells"] = [cells.key(study, one) for one in of_method]
  return {
    "classifiers": {k: {"accuracy": v["accuracy"], "poses": v["poses"]} for k, v in sets.items()},
    "taken_for_target": {n: {k: v for k, v in row.items() if k != "features"} for n, row in names.items()},
    "t_sne": {
      "3D poses": _layout(
        {"source": sets["3D poses"]["features"][0], "target": sets["3D poses"]["features"][1]}
        | {n: names[n]["features"] for n in study.rows(SHOWN)}
      ),
      "2D inputs": _layout(dict(zip(("source", "target"), sets["2D inputs"]["features"]))),
    },
  }


def _held_out(poses: list[np.ndarray], clips: list[Clip], out: list[bool]) -> np.ndarray:
  kept = [i for i, o in enumerate(out) if o and clips[i].valid.any()]
  return poses_3d([clips[i] for i in kept], [poses[i] for i in kept])


def _some(poses: np.ndarray, count: int) -> np.ndarray:
  """`count` of the poses, evenly spread."""
  return poses[np.unique(np.linspace(0, len(poses) - 1, min(count, len(poses))).astype(int))]


def _layout(groups: dict[str, np.ndarray]) -> dict[str, list]:
  chosen = {name: _some(features, POINTS) for name, features in groups.items()}
  points = classifier.t_sne(np.concatenate(list(chosen.values())))
  parts = np.split(points, np.cumsum([len(x) for x in chosen.values()])[:-1])
  return {name: np.round(part.astype(float), 2).tolist() for name, part in zip(chosen, parts)}


def render(numbers: dict[str, Any]) -> page.Section:
  body = [
    page.paragraph(
      "A classifier with the discriminator's architecture learns on half of the motions whether a pose is the source's "
      "or the target's, and is tested on the other half. The paper's reaches 99.5 % on 3D poses, and takes 52.6 % of "
      "Baseline's predictions and 83.4 % of ISO's for the target's. 2D inputs are the network's: no method changes "
      "them. Where source and target are few people, their bone lengths alone tell true poses apart. The t-SNE is of "
      "the last block's features; its panels of 3D poses share one layout, and show the first seed's predictions "
      "beside true poses of source and target."
    )
  ]
  for target, figure in numbers.items():
    lines = [["classifier of", "held-out accuracy, source (%)", "held-out accuracy, target (%)", "poses held out"]]
    for kind, row in figure["classifiers"].items():
      accuracy = [number(row["accuracy"][side]) for side in ("source", "target")]
      lines.append([kind, *accuracy, " + ".join(map(str, row["poses"]["held_out"]))])
    shares = [["predicted 3D poses of", "taken for the target's (%)", "standard deviation over seeds"]]
    for name, row in figure["taken_for_target"].items():
      shares.append([name, number(row["share"]), number(row["sd_over_seeds"])])
    body += [page.heading(target), page.table(lines), page.table(shares)]
    body.append(page.picture(_plot(figure["t_sne"]), f"t-SNE of the classifiers' features, {target}"))
  return page.Section("Figure 6: do predictions look like the target's poses?", body)


def _plot(t_sne: dict[str, Any]):
  figure = drawing.figure(12, 3.9)
  colours = {"source": drawing.SOURCE, "target": drawing.TRUTH, **drawing.COLOURS}
  panels = [("3D poses", ["source", "target", name]) for name in SHOWN if name in t_sne["3D poses"]]
  panels.append(("2D inputs", list(t_sne["2D inputs"])))
  for axes, (kind, names) in zip(figure.subplots(1, len(panels)), panels):
    points = t_sne[kind]
    for name in names:
      x, y = np.array(points[name]).T
      axes.scatter(x, y, s=8, color=colours[name], alpha=0.75, linewidths=0, label=name)
    axes.set_title(f"{kind}: {names[2]}" if len(names) > 2 else kind, fontsize=10)
    axes.set_xticks([])
    axes.set_yticks([])
  shown = {text: dot for axes in figure.axes for dot, text in zip(*axes.get_legend_handles_labels())}
  figure.legend(shown.values(), shown, loc="outside lower center", ncols=len(shown), frameon=False, markerscale=2)
  return figure
