"""2D keypoints of people, as detectors write them: read, linked into tracks, filled and checked."""

from jaxpose.keypoints.read import FORMATS as FORMATS
from jaxpose.keypoints.read import arrays as arrays
from jaxpose.keypoints.read import read as read
from jaxpose.keypoints.tracks import Detections as Detections
from jaxpose.keypoints.tracks import Status as Status
from jaxpose.keypoints.tracks import Tracks as Tracks
