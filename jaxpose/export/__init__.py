"""Writers of lifted poses: npz, JSON, BVH, TRC, C3D, video and a page to turn them around in."""
