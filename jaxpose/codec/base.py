"""What every codec is: the interface, the handling of missing joints, the checks. Formulas are in one file a codec."""

import dataclasses
import json
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxpose.data.clip import Clip
from jaxpose.geometry import camera as cameras
from jaxpose.geometry.camera import Camera
from jaxpose.skeleton import Skeleton

AnyArray = Array | np.ndarray
CONFIDENCE_CHANNEL = "confidence_channel"


@dataclasses.dataclass(frozen=True)
class Codec:
  """Pixels and metres <-> network inputs and outputs, for one skeleton. Pure, batched, differentiable.

  `constants` are JSON-able and travel with the checkpoint. Leading axes [*b] of all arrays agree, and the camera's
  batch axes are the first of them. `confidence` [*b, J], where given, marks missing joints by 0: they enter the
  network as 0 and take no part in the normalisation (their pixels may be NaN). A missing root is replaced by the mean
  of the joints present. Without it every joint counts as present.
  """

  skeleton: Skeleton
  constants: dict[str, Any] = dataclasses.field(default_factory=dict)

  name: ClassVar[str]
  defaults: ClassVar[dict[str, Any]] = {}  # constants that have a value without any data
  measured: ClassVar[tuple[str, ...]] = ()  # constants that `fit` measures
  required: ClassVar[tuple[str, ...]] = ()  # those of them that the codec cannot do without

  def __post_init__(self):
    constants = {k: _plain(v) for k, v in {**self.defaults, **self.constants}.items()}
    if constants.get(CONFIDENCE_CHANNEL) == 0:  # as if it had not been given
      del constants[CONFIDENCE_CHANNEL]
    object.__setattr__(self, "constants", constants)
    known = (*self.defaults, *self.measured, CONFIDENCE_CHANNEL)
    for key in constants:
      if key not in known:
        raise ValueError(f"codec {self.name!r} has no constant {key!r}; it has {', '.join(known)}")
    for key in self.required:
      if key not in constants:
        raise ValueError(
          f"codec {self.name!r} lacks the constant {key!r}; give it, or build the codec from training clips: "
          f"codec.build({self.name!r}, skeleton, clips=clips)"
        )
    if constants.get(CONFIDENCE_CHANNEL, 1) != 1:
      raise ValueError(f"codec {self.name!r}: {CONFIDENCE_CHANNEL}={constants[CONFIDENCE_CHANNEL]!r}, expected 0 or 1")
    self._check_constants()

  @property
  def channels(self) -> int:
    """How many numbers of each joint `encode` returns: 2, or 3 with the confidence."""
    return 3 if CONFIDENCE_CHANNEL in self.constants else 2

  def __hash__(self) -> int:
    return hash((self.name, self.skeleton, json.dumps(self.constants, sort_keys=True)))

  def encode(
    self,
    keypoints_2d: Float[AnyArray, "*b J 2"],
    camera: Camera,
    confidence: Float[AnyArray, "*b J"] | None = None,
  ) -> Float[Array, "*b J {self.channels}"]:
    """Pixels [*b, J, 2] to network inputs [*b, J, 2], or [*b, J, 3] with the confidence channel.

    Raises ValueError on a wrong shape and, for NumPy arrays, on NaN in a joint that is present (under `jit` no value
    can be looked at).
    """
    points, present = self._observed(keypoints_2d, camera, confidence)
    inputs = self._encode(points, present, camera)
    if self.channels == 2:
      return inputs
    certain = jnp.ones(inputs.shape[:-1], inputs.dtype) if confidence is None else jnp.asarray(confidence)
    return jnp.concatenate([inputs, certain[..., None]], -1)

  def encode_target(
    self,
    joints_3d: Float[AnyArray, "*b J 3"],
    keypoints_2d: Float[AnyArray, "*b J 2"],
    camera: Camera,
    confidence: Float[AnyArray, "*b J"] | None = None,
  ) -> Float[Array, "*b J 3"]:
    """Absolute camera-space metres [*b, J, 3] to targets [*b, J, 3]: root-relative, in the codec's own unit."""
    del keypoints_2d, camera, confidence
    return self._root_relative(joints_3d)

  def decode(
    self,
    outputs: Float[AnyArray, "*b J 3"],
    keypoints_2d: Float[AnyArray, "*b J 2"],
    camera: Camera,
    confidence: Float[AnyArray, "*b J"] | None = None,
  ) -> Float[Array, "*b J 3"]:
    """Network outputs [*b, J, 3] to root-relative metres in camera axes; decode(encode_target(X)) = X - X_root.

    What the network says of the root itself is kept, not zeroed.
    """
    del keypoints_2d, camera, confidence
    self._check_shape("outputs", outputs, 3)
    return jnp.asarray(outputs)

  def present(self, inputs: Float[AnyArray, "*n J C"]) -> Bool[Array, "*n J"]:
    """Which joints were there when `encode` made these inputs: those that are not exactly 0, or of any confidence."""
    inputs = jnp.asarray(inputs)
    return jnp.any(inputs[..., :2] != 0, -1) if inputs.shape[-1] == 2 else inputs[..., 2] > 0

  def up(
    self,
    keypoints_2d: Float[AnyArray, "*b J 2"],
    camera: Camera,
    confidence: Float[AnyArray, "*b J"] | None = None,
  ) -> Float[Array, "*b 3"]:
    """The world's z axis in the axes of the outputs, [*b, 3]: up, in every virtual rig and in Human3.6M.

    Trap: it is as right as the camera's rotation. Some data sets leave that at the identity, or have y up.
    """
    del confidence
    batch = keypoints_2d.shape[:-2]
    vertical = jnp.asarray(camera.rotation)[..., 2]
    vertical = vertical.reshape(vertical.shape[:-1] + (1,) * (len(batch) - vertical.ndim + 1) + (3,))
    return jnp.broadcast_to(vertical, (*batch, 3))

  def project(
    self, outputs: Float[AnyArray, "*n J 3"], present: Bool[AnyArray, "*n J"] | None = None
  ) -> Float[Array, "*n J 2"]:
    """A pose in the codec's output space [..., J, 3] to its input space [..., J, 2] by a canonical perspective camera.

    present: the joints that the input was centred on and normalised by (`present(inputs)`), so that both are treated
    alike; all by default. Missing joints are 0.

    Raises ValueError for codecs whose input depends on where in the image the person stands.
    """
    raise ValueError(
      f"codec {self.name!r} has no canonical projection, its inputs depend on the image position; "
      "self-supervision by projection needs 'root_scaled', 'root_rms' or 'canonical'"
    )

  def to_json(self) -> dict[str, Any]:
    """Name, joint set and constants, for a checkpoint; `from_json` is the inverse."""
    skeleton = {"name": self.skeleton.name, "names": list(self.skeleton.names), "parents": list(self.skeleton.parents)}
    return {"name": self.name, "skeleton": skeleton, "constants": self.constants}

  @classmethod
  def fit(cls, skeleton: Skeleton, clips: Iterable[Clip], options: dict[str, Any]) -> dict[str, Any]:
    """Measures the constants named by `measured` on training clips; `options` holds the other constants."""
    del skeleton, clips, options
    return {}

  # What a codec overrides.

  def _encode(self, points: Array, present: Array, camera: Camera) -> Array:
    """Inputs from pixels whose missing joints lie on the root; `present` is bool [*b, J, 1]."""
    raise NotImplementedError

  def _check_constants(self) -> None:
    for key, value in self.constants.items():
      if not (isinstance(value, float) and np.isfinite(value) and value > 0):
        raise ValueError(f"codec {self.name!r}: constant {key!r} is {value!r}, expected a positive number")

  # Shared by the codecs.

  def _root_relative(self, joints: AnyArray) -> Array:
    self._check_shape("joints", joints, 3)
    return centred(jnp.asarray(joints), self.skeleton.root)

  def _check_shape(self, what: str, array: AnyArray, channels: int) -> None:
    joints = self.skeleton.num_joints
    if array.ndim < 2 or array.shape[-2:] != (joints, channels):
      raise ValueError(
        f"codec {self.name!r}: {what} have shape {array.shape}, expected [..., {joints}, {channels}] "
        f"for skeleton {self.skeleton.name!r}"
      )

  def _observed(self, keypoints: AnyArray, camera: Camera, confidence: AnyArray | None) -> tuple[Array, Array]:
    """Checked pixels with missing joints moved to the root, and which joints are present, bool [*b, J, 1]."""
    self._check_shape("keypoints_2d", keypoints, 2)
    batch = camera.focal.shape[:-1]
    if keypoints.shape[: len(batch)] != batch or len(batch) > keypoints.ndim - 2:
      raise ValueError(
        f"codec {self.name!r}: the camera's batch axes {batch} do not lead the axes of keypoints_2d {keypoints.shape}"
      )
    if confidence is not None and confidence.shape != keypoints.shape[:-1]:
      raise ValueError(
        f"codec {self.name!r}: confidence has shape {confidence.shape}, expected {keypoints.shape[:-1]}, one per joint"
      )
    if isinstance(keypoints, np.ndarray):
      known = np.isfinite(keypoints).all(-1)
      bad = ~known if confidence is None else ~known & (np.asarray(confidence) > 0)
      if bad.any():
        raise ValueError(
          f"codec {self.name!r}: keypoints_2d holds NaN or infinity at index {tuple(np.argwhere(bad)[0].tolist())} of "
          "[..., J]; give missing joints confidence 0"
        )
    points = jnp.asarray(keypoints)
    if confidence is None:
      return points, jnp.ones((*points.shape[:-1], 1), bool)
    return fill_missing(points, jnp.asarray(confidence)[..., None] > 0, self.skeleton.root)


def fill_missing(
  points: Float[Array, "*b J 2"], present: Bool[Array, "*b J 1"], root: int
) -> tuple[Float[Array, "*b J 2"], Bool[Array, "*b J 1"]]:
  """Missing joints moved to the root, or to the mean of the joints present where the root itself is missing."""
  points = jnp.where(present, points, 0)  # first, so that a NaN reaches neither the mean nor a gradient
  mean = jnp.sum(points, -2, keepdims=True) / jnp.maximum(jnp.sum(present, -2, keepdims=True), 1)
  origin = jnp.where(present[..., root : root + 1, :], points[..., root : root + 1, :], mean)
  return jnp.where(present, points, origin), present


def centred(points: Float[Array, "*b J C"], root: int) -> Float[Array, "*b J C"]:
  """points - points[root]."""
  return points - points[..., root : root + 1, :]


def over(field: AnyArray, points: AnyArray) -> Array:
  """A camera's field [*b, n] with axes added, [*b, 1.., n], to broadcast against points [*b, ..., J, C]."""
  field = jnp.asarray(field)
  return field.reshape(field.shape[:-1] + (1,) * (points.ndim - field.ndim) + field.shape[-1:])


def usable(skeleton: Skeleton, clips: Iterable[Clip], name: str) -> Iterator[tuple[Clip, np.ndarray]]:
  """The clips to measure constants on, checked, each with its valid frames' root-relative joints, float64 metres."""
  count = 0
  for clip in clips:
    if clip.skeleton.names != skeleton.names:
      raise ValueError(
        f"codec {name!r} is built for skeleton {skeleton.name!r} but clip {clip.name} has {clip.skeleton.name!r}; "
        "map the clip's joints first (jaxpose.skeleton.joint_map)"
      )
    if clip.joints_3d is None:
      raise ValueError(f"codec {name!r} measures its constants on 3D joints, and clip {clip.name} has none")
    joints = clip.joints_3d[clip.valid].astype(np.float64)
    count += len(joints)
    yield clip, joints - joints[:, skeleton.root : skeleton.root + 1]
  if not count:
    raise ValueError(f"codec {name!r}: the clips hold no valid frame to measure its constants on")


_BLOCK = 4096
_unproject = jax.jit(cameras.unproject)


def clip_rays(clip: Clip, joints: list[int]) -> np.ndarray:
  """Undistorted rays [T, len(joints), 2] of a clip, computed in blocks of one size: one compilation for any lengths."""
  points = clip.keypoints_2d[:, joints]
  padded = np.pad(points, ((0, -len(points) % _BLOCK), (0, 0), (0, 0)), mode="edge")
  blocks = [np.asarray(_unproject(padded[i : i + _BLOCK], clip.camera)) for i in range(0, len(padded), _BLOCK)]
  return np.concatenate(blocks)[: len(points)]


def _plain(value: Any) -> Any:
  """NumPy and JAX numbers and arrays as Python floats and lists; ints as floats; text as it is."""
  if isinstance(value, str):
    return value
  return np.asarray(value, np.float64).tolist()
