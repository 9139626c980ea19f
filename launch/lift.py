"""From a detector's keypoints of people to poses in 3D, and files for the browser, Blender, OpenSim and scripts:

jaxpose lift --keypoints=FILE --output=OUT [--image_size=WxH] [--fps=30] [--adapt=online] [--height=1.78]
jaxpose lift --video=V --output=OUT         detects people first, by the extra `detect`
jaxpose lift --sample --output=OUT
"""

import os
import warnings

from absl import flags

from jaxpose import lifted, pose_lifter, smoothing
from jaxpose.export import save
from launch import app, keypoint_flags

_OUTPUT = flags.DEFINE_string("output", None, "The folder to write to.", required=True)
_CHECKPOINT = flags.DEFINE_string(
  "checkpoint", "cmu_clip", "Shipped weights by name (cmu_clip, cmu_frame), or a run's workdir."
)
_ADAPT = flags.DEFINE_enum("adapt", "none", pose_lifter.ADAPT, "To each frame, from frame to frame, or to all of them.")
_WRITE = flags.DEFINE_list("write", ["json", "html", "bvh", "trc"], f"Beside npz: {', '.join(save.FORMATS)}.")
_FOCAL = flags.DEFINE_float("focal", None, "Focal length of the camera, in pixels.")
_FOV = flags.DEFINE_float("fov", None, "Field of view along the image's longer side, in degrees.")
_UP = flags.DEFINE_string("up", "auto", "auto, camera (it is level), or the degrees by which it looks down.")
_MOVING = flags.DEFINE_bool("moving_camera", False, "The camera moves: poses alone, no place in the world.")
_HEIGHT = flags.DEFINE_float("height", None, "Of everyone, in metres; else people are as tall as those trained on.")
_SMOOTH = flags.DEFINE_float("smooth", None, f"Cutoff of a low-pass in Hz, as {smoothing.CUTOFF_HZ:g}.")
_BVH_UNIT = flags.DEFINE_enum("bvh_unit", "m", ["m", "cm"], "Blender takes m, game engines cm.")

flags.adopt_module_key_flags(keypoint_flags)  # --helpshort lists them too


def main() -> None:
  if os.path.exists(_OUTPUT.value) and not os.path.isdir(_OUTPUT.value):
    raise NotADirectoryError(f"--output={_OUTPUT.value} is a file; give a folder")
  save.check(_WRITE.value, keypoint_flags.video())
  tracks = keypoint_flags.read(_OUTPUT.value)
  print(keypoint_flags.described(tracks))
  with warnings.catch_warnings():
    warnings.simplefilter("ignore", UserWarning)  # of the assumed camera: it stands among the notes
    camera = pose_lifter.camera(tracks, _FOCAL.value, _FOV.value)
    result = pose_lifter.load(_CHECKPOINT.value).lift_tracks(
      tracks, adapt=_ADAPT.value, camera=camera, height=_HEIGHT.value, smooth_hz=_SMOOTH.value, up=_UP.value,
      moving_camera=_MOVING.value, show_progress=True,
    )  # fmt: skip
  print(*result.provenance["notes"], lifted.quality(result), sep="\n")
  options = dict(video=keypoint_flags.video(), bvh_unit=_BVH_UNIT.value, title=os.path.basename(tracks.source))
  saved = save.save(_OUTPUT.value, result, tuple(_WRITE.value), **options)
  print(*saved.notes, f"wrote {' '.join([_OUTPUT.value + ':', *(file.name for file in saved.files)])}", sep="\n")
  app.following(f"open {os.path.join(_OUTPUT.value, 'viewer.html' if 'html' in _WRITE.value else 'poses.npz')}")


if __name__ == "__main__":
  app.run(main)
