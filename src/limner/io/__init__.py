"""Files in and out: photos, meshes, motions, keypoints."""
