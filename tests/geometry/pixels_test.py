"""The convention of pixels: what arrays do, coordinates do."""

import jax.numpy as jnp
import numpy as np

from jaxpose import skeleton as skeletons
from jaxpose.data import transforms
from jaxpose.geometry import camera as cameras
from jaxpose.geometry import pixels


def test_a_grid_is_the_centres():
  assert pixels.centers(4).tolist() == [0.5, 1.5, 2.5, 3.5]
  assert pixels.centers(4, 2.0).tolist() == [0.25, 0.75, 1.25, 1.75]
  assert pixels.grid(3, 4)[2, 1].tolist() == [1.5, 2.5]


def test_the_flip_of_keypoints_is_the_mirrored_array():
  """A single bright pixel, in the middle of which a keypoint lies, before and after."""
  skeleton = skeletons.get("coco_17")
  image = np.zeros((6, 9))
  image[4, 2] = 1
  nose = pixels.grid(6, 9)[image > 0]
  batch = {
    "keypoints_2d": jnp.broadcast_to(nose, (1, 1, 17, 2)),
    "confidence": jnp.ones((1, 1, 17)),
    "camera": cameras.Camera(*(f[None] for f in cameras.create((9, 9), (4.5, 3), (9, 6)))),
  }
  mirrored = transforms.flip(batch, skeleton)
  np.testing.assert_array_equal(mirrored["keypoints_2d"][0, 0, 0], pixels.grid(6, 9)[image[:, ::-1] > 0][0])


def test_shrinking_an_image_shrinks_coordinates():
  """The mean place of a patch's pixels, before and after the mean of 2 x 2 pixels."""
  rng = np.random.default_rng(0)
  image = rng.uniform(size=(8, 12))
  small = image.reshape(4, 2, 6, 2).mean((1, 3))
  place = lambda a: np.tensordot(a, np.asarray(pixels.grid(*a.shape)), 2) / a.sum()  # noqa: E731
  np.testing.assert_allclose(place(small), place(image) / 2, atol=0.25)
  blocks = np.kron(small, np.ones((2, 2)))
  np.testing.assert_allclose(place(small), place(blocks) / 2, rtol=1e-5)
