"""Many poses of one input: solvers of a flow, guidance by the keypoints, and one pose of many."""
