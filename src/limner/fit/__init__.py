"""Bodies fitted to 2D keypoints by optimisation (SMPLify-X, Pavlakos et al., CVPR 2019), many people at once."""
