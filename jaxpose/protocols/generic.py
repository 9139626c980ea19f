"""Any data in any joint set: the same metrics, pooled over frames, comparable with themselves alone."""

from jaxpose.protocols.protocol import Protocol

GENERIC = Protocol("generic", version=2, joint_set=None)
