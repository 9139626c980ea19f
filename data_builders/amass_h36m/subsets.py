"""The data sets within AMASS: their names, old and new, and the split that AMASS recommends."""

# Name -> other spellings of its folder: the archives of 2019 and those of later years differ.
SUBSETS: dict[str, tuple[str, ...]] = {
  "ACCAD": (), "BMLhandball": (), "BMLmovi": (), "BMLrub": ("BioMotionLab_NTroje", "BML"), "CMU": (), "CNRS": (),
  "DFaust": ("DFaust_67", "DFaust67"), "DanceDB": (), "EKUT": (),
  "EyesJapanDataset": ("Eyes_Japan_Dataset",), "GRAB": (), "HDM05": ("MPI_HDM05",), "HUMAN4D": (), "HumanEva": (),
  "KIT": (), "MOYO": (), "MoSh": ("MPI_mosh",), "PosePrior": ("MPI_Limits",), "SFU": (), "SOMA": (),
  "SSM": ("SSM_synced",), "TCDHands": ("TCD_handMocap",), "TotalCapture": (),
  "Transitions": ("Transitions_mocap",), "WEIZMANN": (),
}  # fmt: skip
_BY_SPELLING = {s.lower(): name for name, others in SUBSETS.items() for s in (name, *others)}

# github.com/nghorbani/amass, prepare_data.py: amass_splits. A notebook there, 02-AMASS_DNN.ipynb, trains on ACCAD too.
OFFICIAL = {
  "train": ("CMU", "PosePrior", "TotalCapture", "EyesJapanDataset", "KIT", "BMLrub", "EKUT", "TCDHands"),
  "validation": ("HumanEva", "HDM05", "SFU", "MoSh"),
  "test": ("Transitions", "SSM"),
}


def canonical(name: str) -> str:
  """The one name of a data set under any of its spellings; a ValueError lists the known ones."""
  if name.lower() not in _BY_SPELLING:
    raise ValueError(f"AMASS has no data set {name!r}; it has {', '.join(SUBSETS)}")
  return _BY_SPELLING[name.lower()]


def of_path(path: str, above: str = "") -> tuple[str, str, str] | None:
  """(data set, subject, motion) of `.../DATASET/SUBJECT/MOTION.npz`, None where no folder has a data set's name.

  above: the name of the folder of raw files, which may itself be that of a data set. Archives count as folders.
  """
  *folders, file = path.split("/")
  folders = [above, *(f.removesuffix(".zip").removesuffix(".bz2").removesuffix(".tar") for f in folders)]
  named = [i for i, f in enumerate(folders) if f.lower() in _BY_SPELLING]
  if not named or named[-1] == len(folders) - 1:
    return None
  stem = file.removesuffix(".npz").removesuffix("_poses").removesuffix("_stageii")
  return _BY_SPELLING[folders[named[-1]].lower()], "/".join(folders[named[-1] + 1 :]), stem


def split_of(subset: str) -> str | None:
  """The recommended split that a data set belongs to, None for those that came later."""
  return next((split for split, names in OFFICIAL.items() if subset in names), None)
