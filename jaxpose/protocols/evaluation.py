"""A report from scores: the headline, its intervals, the tables, and the fingerprint."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxpose import bootstrap
from jaxpose import skeleton as skeletons
from jaxpose.data.clip import Clip
from jaxpose.protocols import scoring
from jaxpose.protocols.protocol import FACTOR, REQUIRED_FACTS, Protocol

# What the numbers of each kind let the ground truth decide, beyond the root.
_ALIGNMENT = {
  "mpjpe_mm, pck_150, auc, mpjve_mm": "root subtracted from both",
  "n_mpjpe_mm, *_scaled": "root, then one least-squares scale a frame, <p, t> / <p, p> over all joints",
  "pa_mpjpe_mm, *_procrustes": "similarity Procrustes a frame over all joints, without reflection",
}


def evaluate_with(
  protocol: Protocol,
  clips: Sequence[Clip],
  predictions: Sequence[np.ndarray],
  *,
  facts: dict,
  seed: int,
  resamples: int,
) -> dict:
  """`protocols.evaluate` for a Protocol that need not be in PROTOCOLS."""
  check_facts(protocol, facts)
  kept, dropped = _select(protocol, clips, predictions)
  clips, predictions = [list(x) for x in zip(*kept)]
  scores = scoring.score(clips, predictions, protocol)
  skeleton = skeletons.get(protocol.joint_set) if protocol.joint_set else clips[0].skeleton

  names, values = _metrics(protocol, scores, skeleton)  # [N, M] means over each cell's frames
  sequences, frames = _merge(values, scores.frames, scores.clip, len(clips))
  velocity = names.index("mpjve_mm")
  sequences[:, velocity] = scores.velocity
  actions = [protocol.action(c) for c in clips]
  clusters = [f"{c.subject}/{c.sequence}" for c in clips]
  averaged = actions if protocol.averaging == "actions" else None
  bounds = bootstrap.intervals(sequences, frames, clusters, averaged, seed=seed, resamples=resamples)

  def table(labels):
    return _table(names, sequences, frames, labels)

  report: dict[str, Any] = {
    "metrics": _row(names, bootstrap.average(sequences, frames, averaged)),
    "intervals": dict(zip(names, bounds)),
    "per_action": table(actions),
    "per_sequence": {
      clip.name: {**_row(names, row), "frames": int(n), "action": action, "cluster": cluster}
      for clip, row, n, action, cluster in zip(clips, sequences, frames, actions, clusters)
    },
    "per_joint_group": _joint_groups(protocol, scores, skeleton, len(clips), averaged),
  }
  for title, label in protocol.clip_labels.items():
    report[title] = table([label(c) or "" for c in clips])
  if protocol.frame_labels:
    still = [i for i in range(len(names)) if i != velocity]  # a difference of two frames belongs to no single label
    report["per_activity"] = _table([names[i] for i in still], values[:, still], scores.frames, scores.label)
  report["fingerprint"] = {
    **_protocol_fields(protocol, skeleton),
    **_data_fields(protocol, clips, dropped, clusters),
    **protocol.notes(actions),
    "codec": None,
    "annotation": None,
    **facts,
    "oracles": sorted({*facts["oracles"], *([FACTOR] if protocol.factor else [])}),
    "bootstrap": {"seed": seed, "resamples": resamples, "level": 0.95, "over": "(subject, sequence)"},
  }
  return report


def check_facts(protocol: Protocol, facts: dict) -> None:
  """Raises a ValueError that names the fact which is missing, has the wrong kind, or is not the caller's to state."""
  required = (*REQUIRED_FACTS, *protocol.required, *(["codec"] if protocol.factor else []))
  missing = [f for f in required if f not in facts]
  if missing:
    raise ValueError(
      f"facts lack {', '.join(missing)}; protocol {protocol.name!r} needs {', '.join(required)}, "
      "because a number without them cannot be compared"
    )
  if protocol.factor and facts["codec"] != "image_25d":
    raise ValueError(
      f"facts['codec'] = {facts['codec']!r}; protocol {protocol.name!r} scores poses in 2.5D image space, which codec "
      "'image_25d' alone predicts; use another protocol"
    )
  if isinstance(facts["oracles"], str) or not all(isinstance(o, str) for o in facts["oracles"]):
    raise ValueError(
      f"facts['oracles'] = {facts['oracles']!r}; give a list of the ground truth that predictions used, [] for none"
    )
  for name, value in facts.items():
    if name in _COMPUTED:
      raise ValueError(f"facts[{name!r}] is computed by the protocol and cannot be given")
    try:
      json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
      raise ValueError(f"facts[{name!r}] = {value!r} is not JSON: {error}") from error


def _select(protocol: Protocol, clips, predictions) -> tuple[list[tuple[Clip, np.ndarray]], dict[str, str]]:
  """The clips that are scored with their predictions, and {name: reason} of the others."""
  if not clips:
    raise ValueError("there are no clips to evaluate")
  if len(clips) != len(predictions):
    lacking = f"; clip {clips[len(predictions)].name} is the first without one" if len(predictions) < len(clips) else ""
    raise ValueError(f"{len(predictions)} predictions for {len(clips)} clips{lacking}")
  kept, dropped, seen = [], {}, set()
  for clip, prediction in zip(clips, predictions):
    if clip.name in seen:
      raise ValueError(
        f"two clips are named {clip.name}; give whole sequences, each with its own subject, sequence or camera_id"
      )
    seen.add(clip.name)
    if protocol.joint_set is None and clip.skeleton != clips[0].skeleton:
      raise ValueError(
        f"clip {clip.name} has joints {clip.skeleton.name!r}, clip {clips[0].name} has {clips[0].skeleton.name!r}; "
        "one evaluation has one joint set"
      )
    scoring.joint_map(clip, protocol)
    scoring.check(clip, prediction)
    reason = protocol.dropped(clip) or (None if clip.valid.any() else "no valid frame")
    prepared = protocol.prepare(clip) if reason is None else clip
    if reason is None and not prepared.valid.any():
      reason = "no frame that the protocol scores"
    if reason is None:
      kept.append((prepared, prediction))
    else:
      dropped[clip.name] = reason
  if not kept:
    raise ValueError(f"nothing to score: {'; '.join(f'clip {n}: {r}' for n, r in list(dropped.items())[:3])}")
  return kept, dropped


def _metrics(protocol: Protocol, scores: scoring.Scores, skeleton) -> tuple[list[str], np.ndarray]:
  """Names, and the mean of each metric over the frames of each cell, [N, M]; mpjve_mm is still NaN."""
  everything = scores.over(range(len(protocol.scored_joints(skeleton))))
  counted = scores.over(protocol.counted_joints(skeleton))
  means = np.concatenate([everything[..., :1], counted[..., 1:]], -1) / scores.frames[:, None, None]
  columns = {
    "mpjpe_mm": means[:, 0, 0],
    "pa_mpjpe_mm": means[:, 2, 0],
    "n_mpjpe_mm": means[:, 1, 0],
    "mpjve_mm": np.full(len(means), np.nan),
    "pck_150": means[:, 0, 1],
    "auc": means[:, 0, 2],
  }
  if protocol.aligned:
    for a, suffix in list(enumerate(scoring.ALIGNMENTS))[1:]:
      for s in (1, 2, 0):
        columns[scoring.STATISTICS[s] + suffix] = means[:, a, s]
  return list(columns), np.stack(list(columns.values()), 1)


def _merge(values: np.ndarray, frames: np.ndarray, group: np.ndarray, number: int) -> tuple[np.ndarray, np.ndarray]:
  """Frame-weighted means [number, M] and frames [number] of rows [N, M] gathered by group."""
  total = np.bincount(group, weights=frames, minlength=number)
  sums = np.zeros((number, values.shape[1]))
  np.add.at(sums, group, values * frames[:, None])
  return sums / total[:, None], total.astype(int)


def _table(names, values, frames, labels: Sequence[str]) -> dict[str, dict]:
  """{label: metrics and frames}, frame-weighted; rows whose label is empty belong to no group."""
  table = {}
  for label in sorted({x for x in labels if x}):
    rows = np.array([x == label for x in labels])
    row = _row(names, bootstrap.average(values[rows], frames[rows]))
    table[label] = {**row, "frames": int(frames[rows].sum())}
  return table


def _row(names: Sequence[str], values: np.ndarray) -> dict[str, float | None]:
  return {name: float(v) if np.isfinite(v) else None for name, v in zip(names, values)}


def _joint_groups(protocol: Protocol, scores: scoring.Scores, skeleton, number: int, averaged) -> dict[str, dict]:
  """{group: unscaled MPJPE, PCK and AUC of its joints}, averaged as the headline is."""
  table = {}
  for group, joints in protocol.joint_groups(skeleton).items():
    means = scores.over(joints)[:, 0] / scores.frames[:, None]
    values, frames = _merge(means, scores.frames, scores.clip, number)
    row = _row(scoring.STATISTICS, bootstrap.average(values, frames, averaged))
    table[group] = {**row, "joints": [protocol.scored_joints(skeleton)[j] for j in joints]}
  return table


def _protocol_fields(protocol: Protocol, skeleton) -> dict:
  return {
    "protocol": protocol.name,
    "protocol_version": protocol.version,
    "joint_set": skeleton.name,
    "root": skeleton.names[skeleton.root],
    **({"scored_joints": list(protocol.scored)} if protocol.scored else {}),
    "counted_joints": [protocol.scored_joints(skeleton)[j] for j in protocol.counted_joints(skeleton)],
    "alignment": _ALIGNMENT,
    "scale": "metric; none fitted in unsuffixed metrics",
    "averaging": protocol.averaging,
    "pck": "error < 150 mm",
    "auc": "mean PCK at 0, 5, ..., 150 mm (31 thresholds)",
  }


def _data_fields(protocol: Protocol, clips: Sequence[Clip], dropped: dict[str, str], clusters: Sequence[str]) -> dict:
  return {
    "frames": int(sum(c.valid.sum() for c in clips)),
    "sequences": len(clips),
    "clusters": len(set(clusters)),
    "dropped": dropped,
    "renamed_joints": _renamed_joints(protocol, clips),
    "frame_rates": sorted({float(c.fps) for c in clips}),
    "scored_sha256": _digest(clips),
  }


def _renamed_joints(protocol: Protocol, clips: Sequence[Clip]) -> dict[str, dict[str, str]]:
  """{source joint set: {scored joint: the source joint that stands in under another name}}."""
  maps = {c.skeleton.name: scoring.joint_map(c, protocol) for c in clips}
  return {name: {n: s[0] for n, s in m.averaged.items()} for name, m in sorted(maps.items()) if m is not None}


def _digest(clips: Sequence[Clip]) -> str:
  """A short SHA-256 of which frames were scored: every clip's name, length and mask, in order of name."""
  digest = hashlib.sha256()
  for clip in sorted(clips, key=lambda c: c.name):
    digest.update(json.dumps([clip.name, len(clip)]).encode())
    digest.update(np.packbits(clip.valid).tobytes())
  return digest.hexdigest()[:16]


_COMPUTED = (
  "protocol", "protocol_version", "joint_set", "root", "counted_joints", "alignment", "scale", "averaging", "pck",
  "auc", "frames", "sequences", "clusters", "dropped", "renamed_joints", "frame_rates", "scored_sha256",
  "scored_joints", "missing_actions", "space", "whole_windows", "ground_truth", "bootstrap",
)  # fmt: skip
