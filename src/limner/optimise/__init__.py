"""Small non-linear least-squares problems, many at once: the solver, and points in a picture as residuals."""
