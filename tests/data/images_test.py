"""Stored images as they stream, and what is drawn onto them."""

import io

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from data_builders import still_images
from jaxpose import skeleton as skeletons
from jaxpose.data import images, pipeline
from jaxpose.heatmaps import gaussian

COCO = skeletons.get("coco_17")


def _photograph(number, size=(200, 160)):
  """A smooth photograph of a person whose joints are bright dots, and the joints."""
  rng = np.random.default_rng(number)
  points = rng.uniform((60, 40), (140, 120), (17, 2)).astype(np.float32)
  maps = np.asarray(gaussian.target(points[None], np.zeros((1, size[1], size[0], 1)), size))[0].max(-1)
  file = io.BytesIO()
  Image.fromarray(np.repeat((255 * maps).astype(np.uint8)[..., None], 3, -1)).save(file, "PNG")
  return file.getvalue(), points


def _clip(number, crop=True):
  encoded, points = _photograph(number)
  annotated = np.arange(17) != 3
  clip = still_images.clip(
    COCO, points, annotated, annotated, occluded=1.0, image="a.png", size=(200.0, 160.0), encoded=encoded,
    extra={"center": np.float32([100, 80]), "scale": 0.5}, subject=str(number), sequence="a", action="",
  )  # fmt: skip
  return still_images.cropped(clip, np.array([95.0, 85.0]), 80.0) if crop else clip


def test_a_stored_crop_shows_its_keypoints_where_they_are():
  clip = _clip(0)
  assert clip.camera.size.tolist() == [256, 256] and clip.confidence[0].tolist() == [float(j != 3) for j in range(17)]
  np.testing.assert_allclose(clip.extra["crop"], [35, 25, 120])
  left, top, side = clip.extra["crop"]
  photograph = _clip(0, crop=False)
  back = clip.keypoints_2d * side / 256 + (left, top)
  seen = clip.confidence[0] > 0
  np.testing.assert_allclose(back[0, seen], photograph.keypoints_2d[0, seen], atol=1e-3)
  np.testing.assert_allclose(clip.camera.focal, photograph.camera.focal * 256 / side)
  image = images.of_clips([clip])(0)[0, :, :, 0].astype(float)
  assert image.shape == (256, 256)
  # A joint apart from the others is the middle of its dot.
  points = clip.keypoints_2d[0, seen]
  alone = [p for p in points if np.sort(np.linalg.norm(points - p, axis=-1))[1] > 26]
  assert alone
  y, x = np.mgrid[:256, :256] + 0.5
  for point in alone:
    near = np.hypot(x - point[0], y - point[1]) < 13
    weight = np.where(near, image, 0)
    np.testing.assert_allclose([(weight * x).sum(), (weight * y).sum()] / weight.sum(), point, atol=0.3)


def test_rows_stream_with_the_images_of_their_clips():
  clips = [_clip(n) for n in range(5)]
  data = pipeline.windows(clips, allow_2d=True)
  options = dict(length=1, batch_size=4, seed=3, num_steps=3, images=images.of_clips(clips))
  whole = list(pipeline.batches(data, **options))
  assert len(whole) == 3
  direct = images.of_clips(clips)
  for batch in whole:
    assert batch["images"].shape == (4, 1, 256, 256, 3) and batch["images"].dtype == np.uint8
    for keypoints, image in zip(batch["keypoints_2d"], batch["images"]):
      number = next(n for n, c in enumerate(clips) if np.array_equal(c.keypoints_2d, keypoints))
      np.testing.assert_array_equal(image, direct(number))
  halves = [list(pipeline.batches(data, **options, process=(p, 2))) for p in (0, 1)]
  for one, parts in zip(whole, zip(*halves)):
    np.testing.assert_array_equal(one["images"], np.concatenate([p["images"] for p in parts]))


def test_colour_and_erasing_depend_on_key_and_place_alone():
  batch = {"images": jnp.full((6, 1, 40, 30, 3), 0.5)}
  key = jax.random.key(0)
  coloured = np.asarray(images.colour(batch, key)["images"])
  assert (np.ptp(coloured, axis=(1, 2, 3)) < 1e-6).all() and 0.4 <= coloured.min() < coloured.max() <= 0.6
  assert len(np.unique(coloured.round(5))) == 18
  erased = np.asarray(images.erase(batch, key)["images"])
  share = (erased != 0.5).any(-1).mean((1, 2, 3))
  assert 0 < (share > 0).sum() < 6 and (share[share > 0] > 0.01).all() and (share < 0.35).all()
  for transform, whole in ((images.colour, coloured), (images.erase, erased)):
    np.testing.assert_array_equal(transform({"images": batch["images"][:2]}, key)["images"], whole[:2])
  for transform, options in ((images.colour, dict(strength=1.0)), (images.erase, dict(probability=2.0))):
    with pytest.raises(ValueError, match=f"{transform.__name__}: "):
      transform(batch, key, **options)


def test_images_that_are_none_or_do_not_fit_are_named():
  clip = _clip(0)
  with pytest.raises(ValueError, match="clip 0/a/ stores 0 images for 1 frames; build it with images='crops'"):
    images.of_clips([clip.replace(extra={})])
  with pytest.raises(ValueError, match="clip 0/a/: its image cannot be decoded"):
    images.of_clips([clip.replace(extra={**clip.extra, "encoded_image": [clip.extra["encoded_image"][0][:900]]})])(0)
  with pytest.raises(ValueError, match=r"an image of \(200, 160\) px, a camera of \[256"):
    images.of_clips([clip.replace(extra={**clip.extra, "encoded_image": [_photograph(0)[0]]})])(0)
  with pytest.raises(ValueError, match="holds nobody"):
    still_images.cropped(_clip(0, crop=False), np.zeros(2), 0.0)
