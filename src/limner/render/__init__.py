"""Triangles to pixels: rasteriser, shading, overlays."""
