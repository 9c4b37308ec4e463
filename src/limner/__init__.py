"""limner: one photo in, an expressive 3D person out (body, hands and face as one SMPL-X mesh)."""

from limner.threads import settle

__version__ = "0.1.0"

settle()  # before torch is imported: its OpenMP reads its settings only once
