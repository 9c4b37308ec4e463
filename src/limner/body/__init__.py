"""The SMPL-X body: skeleton, parameters, model file, skinning, named keypoints."""
