"""limner: one photo in, an expressive 3D person out (body, hands and face as one SMPL-X mesh)."""

from limner.threads import prepare

__version__ = "0.1.0"

prepare()
