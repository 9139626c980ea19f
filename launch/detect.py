"""From a video to the keypoints of its people, in a file that jaxpose lift reads:

jaxpose detect --video=V --output=FILE.npz [--detector=rtmlib|WORKDIR]
  jaxpose detect --video=walk.mp4 --output=walk.npz

The extra `detect` brings rtmlib, which fetches its own weights when first used. WORKDIR is a run of method "image"
(docs/images.md), which detects one person.
"""

from absl import flags

from jaxpose import detect
from jaxpose.keypoints import npz_file
from launch import app

_VIDEO = flags.DEFINE_string("video", None, "The video.", required=True)
_OUTPUT = flags.DEFINE_string("output", None, "The file to write, .npz.", required=True)
_DETECTOR = flags.DEFINE_string("detector", "rtmlib", "Who detects: rtmlib, or the workdir of an image run.")


def main() -> None:
  if not _OUTPUT.value.endswith(".npz"):
    raise ValueError(f"--output={_OUTPUT.value}; give a file that ends in .npz")
  tracks = detect.people(_VIDEO.value, detect.by_name(_DETECTOR.value), show_progress=True)
  npz_file.write(_OUTPUT.value, tracks)
  size = "x".join(map(str, tracks.image_size or ()))
  print(f"wrote {_OUTPUT.value}: {len(tracks.ids)} people in {len(tracks)} frames of {size}, {tracks.skeleton.name}")
  app.following(f"jaxpose lift --keypoints={_OUTPUT.value} --output=DIR")


if __name__ == "__main__":
  app.run(main)
