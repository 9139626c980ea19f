"""Human3.6M's takes: what each subject did, under which file name, for how many frames."""

import functools
import re
from typing import NamedTuple

SUBJECTS = ("S1", "S5", "S6", "S7", "S8", "S9", "S11")  # those whose poses are published
TRAIN, TEST = SUBJECTS[:5], SUBJECTS[5:]  # of the literature; the official split is another one
FPS = 50.0
CORRUPT = ("S11", "Directions")  # what papers leave out; the official files have it, VideoPose3D's do not

# From the official metadata.xml: <mapping>, in the order of its rows (actions 2 to 16, two takes each), and the frames
# of each pose file, a quarter of <frames>' motion capture frames at 200 Hz.
_TABLE = {
  "S1": (
    "Directions 1 1383, Directions 1612, Discussion 1 3805, Discussion 3852, Eating 2 2357, Eating 2721, "
    "Greeting 1 1265, Greeting 1149, Phoning 1 2636, Phoning 2266, Posing 1 1167, Posing 992, Purchases 1 1064, "
    "Purchases 1158, Sitting 1 3304, Sitting 2 2612, SittingDown 2 3023, SittingDown 2742, Smoking 1 2611, "
    "Smoking 2478, TakingPhoto 1 1074, TakingPhoto 1036, Waiting 1 1440, Waiting 1792, Walking 1 3476, Walking 3134, "
    "WalkingDog 1 1662, WalkingDog 1777, WalkTogether 1 1275, WalkTogether 1231"
  ),
  "S5": (
    "Directions 1 4973, Directions 2 2067, Discussion 2 6090, Discussion 3 5935, Eating 1 3276, Eating 2331, "
    "Greeting 1 1474, Greeting 2 3199, Phoning 1 3277, Phoning 2085, Posing 1 2245, Posing 1885, Purchases 1 2479, "
    "Purchases 3124, Sitting 1 3937, Sitting 3878, SittingDown 5203, SittingDown 1 3926, Smoking 1 3201, "
    "Smoking 3421, Photo 3325, Photo 2 2782, Waiting 1 4517, Waiting 2 4856, Walking 1 3000, Walking 2521, "
    "WalkDog 1 1937, WalkDog 2135, WalkTogether 1 3016, WalkTogether 2984"
  ),
  "S6": (
    "Directions 1 2843, Directions 2819, Discussion 1 2720, Discussion 2415, Eating 1 2010, Eating 2 2226, "
    "Greeting 1 1980, Greeting 1621, Phoning 1 2379, Phoning 2086, Posing 2 1159, Posing 1161, Purchases 1 1332, "
    "Purchases 1382, Sitting 1 1817, Sitting 2 1998, SittingDown 1 1873, SittingDown 1594, Smoking 1 2899, "
    "Smoking 3173, Photo 1672, Photo 1 1775, Waiting 3 2305, Waiting 2054, Walking 1 2750, Walking 3614, "
    "WalkDog 1 1996, WalkDog 1594, WalkTogether 1 1629, WalkTogether 1590"
  ),
  "S7": (
    "Directions 1 2549, Directions 2949, Discussion 1 5415, Discussion 5470, Eating 1 3763, Eating 3171, "
    "Greeting 1 2215, Greeting 2161, Phoning 2 4354, Phoning 3586, Posing 1 2341, Posing 2920, Purchases 1 1237, "
    "Purchases 1527, Sitting 1 4533, Sitting 2826, SittingDown 4549, SittingDown 1 6343, Smoking 1 4395, "
    "Smoking 4870, Photo 2155, Photo 1 1877, Waiting 1 4201, Waiting 2 4332, Walking 1 3636, Walking 2 3623, "
    "WalkDog 1 2641, WalkDog 2732, WalkTogether 1 2379, WalkTogether 2871"
  ),
  "S8": (
    "Directions 1 2011, Directions 2028, Discussion 1 1931, Discussion 2064, Eating 1 2807, Eating 2694, "
    "Greeting 1 1598, Greeting 1447, Phoning 1 2970, Phoning 3319, Posing 1 1812, Posing 1685, Purchases 1 1274, "
    "Purchases 1193, Sitting 1 2073, Sitting 2140, SittingDown 1501, SittingDown 1 1554, Smoking 1 2932, "
    "Smoking 3333, Photo 1 1616, Photo 1700, Waiting 1 1612, Waiting 1715, Walking 1 3737, Walking 3695, "
    "WalkDog 1 1735, WalkDog 1644, WalkTogether 1 2359, WalkTogether 2 2499"
  ),
  "S9": (
    "Directions 1 2356, Directions 2699, Discussion 1 5873, Discussion 2 5306, Eating 1 2663, Eating 2686, "
    "Greeting 1 2711, Greeting 1447, Phoning 1 3821, Phoning 3319, Posing 1 1968, Posing 1964, Purchases 1 1226, "
    "Purchases 1529, Sitting 1 3071, Sitting 2962, SittingDown 2932, SittingDown 1 1554, Smoking 1 4377, "
    "Smoking 4334, Photo 1 1449, Photo 2346, Waiting 1 1612, Waiting 3312, Walking 1 2446, Walking 1612, "
    "WalkDog 1 2217, WalkDog 2237, WalkTogether 1 1685, WalkTogether 1703"
  ),
  "S11": (
    "Directions 1 1552, Directions 1825, Discussion 1 2684, Discussion 2 2198, Eating 1 2275, Eating 2203, "
    "Greeting 2 1695, Greeting 1808, Phoning 3 3390, Phoning 2 3492, Posing 1 1481, Posing 1407, Purchases 1 1026, "
    "Purchases 1040, Sitting 1 1857, Sitting 2179, SittingDown 1841, SittingDown 1 2004, Smoking 2 2767, "
    "Smoking 2410, Photo 1 1545, Photo 1990, Waiting 1 2280, Waiting 2262, Walking 1 1637, Walking 1621, "
    "WalkDog 1 1187, WalkDog 1435, WalkTogether 1 1793, WalkTogether 1360"
  ),
}
_RENAMED = {"TakingPhoto": "Photo", "WalkingDog": "WalkDog"}  # S1's files alone have these names


def canonical(file: str) -> str:
  """A take's name as all derived files have it: "WalkingDog 1" is "WalkDog 1"; the number stays."""
  word, blank, number = file.partition(" ")
  return f"{_RENAMED.get(word, word)}{blank}{number}"


class Take(NamedTuple):
  """One recording: its number in the metadata (action 2 to 16, subaction 1 or 2), its file's name, its frames."""

  action: int
  subaction: int
  file: str
  frames: int

  @property
  def name(self) -> str:
    return canonical(self.file)


def _parse(text: str) -> tuple[Take, ...]:
  entries = (entry.rpartition(" ") for entry in text.split(", "))
  return tuple(Take(2 + i // 2, 1 + i % 2, file, int(frames)) for i, (file, _, frames) in enumerate(entries))


TAKES = {subject: _parse(text) for subject, text in _TABLE.items()}
ACTIONS = tuple(dict.fromkeys(take.name.split(" ")[0] for take in TAKES["S9"]))


def action(take: str) -> str:
  """The action of a take's canonical name, one of ACTIONS: the text before the first blank.

  Trap: the number after it counts takes of a day and is not the subaction.
  """
  word = take.split(" ")[0]
  if word not in ACTIONS:
    raise ValueError(f"{take!r} is no take of Human3.6M; its actions are {', '.join(ACTIONS)}")
  return word


class Source(NamedTuple):
  """A take as LCN's and MotionBERT's files name it, s_09_act_05_subact_02_ca_01: camera is 1 to 4."""

  subject: str
  take: str  # canonical
  camera: int


@functools.cache
def parse_source(source: str) -> Source:
  """Raises ValueError for another form, and for a subject, action, subaction or camera that does not exist."""
  match = re.fullmatch(r"s_(\d\d)_act_(\d\d)_subact_(\d\d)_ca_(\d\d)", source)
  if match is None:
    raise ValueError(f"source {source!r} has not the form s_09_act_05_subact_02_ca_01")
  subject, number, subaction, camera = map(int, match.groups())
  takes = {(t.action, t.subaction): t.name for t in TAKES.get(f"S{subject}", ())}
  if (number, subaction) not in takes or not 1 <= camera <= 4:
    raise ValueError(f"source {source!r} names no take of subjects {', '.join(SUBJECTS)} and cameras 01 to 04")
  return Source(f"S{subject}", takes[number, subaction], camera)


def source_of(subject: str, take: Take, camera: int) -> str:
  """The inverse of `parse_source`."""
  return f"s_{int(subject[1:]):02d}_act_{take.action:02d}_subact_{take.subaction:02d}_ca_{camera:02d}"
