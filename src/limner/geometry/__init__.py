"""Rotations, cameras, boxes, crops and meshes: knows no body."""
