"""Statistical body models: parameters to a skinned mesh (skinning), and joints regressed from it (regressor)."""
