"""Networks: backbones, iterative regressors, part networks, person detector, weights."""
