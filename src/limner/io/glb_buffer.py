"""How do arrays get into the one binary buffer of a GLB file? (knows glTF, no bodies)"""

from typing import Any

import numpy as np
import pygltflib

_COMPONENT = {
    np.dtype(np.uint8): pygltflib.UNSIGNED_BYTE,
    np.dtype(np.uint16): pygltflib.UNSIGNED_SHORT,
    np.dtype(np.uint32): pygltflib.UNSIGNED_INT,
    np.dtype(np.float32): pygltflib.FLOAT,
}
_TYPE = {1: pygltflib.SCALAR, 2: pygltflib.VEC2, 3: pygltflib.VEC3, 4: pygltflib.VEC4, 16: pygltflib.MAT4}


class GlbBuffer:
    """A glTF document that grows: every array added becomes an accessor with its own part of the buffer."""

    def __init__(self) -> None:
        self.gltf = pygltflib.GLTF2(asset=pygltflib.Asset(version="2.0", generator="limner"))
        self._blob = bytearray()

    def vertices(self, values: np.ndarray, bounds: bool = False) -> int:
        """Add a per-vertex attribute (V C) and return its accessor; `bounds` is a must for positions."""
        return self._add(values, pygltflib.ARRAY_BUFFER, bounds)

    def indices(self, faces: np.ndarray) -> int:
        """Add triangle corners (F 3) and return their accessor; two bytes each where that is enough."""
        kind = np.uint16 if faces.max(initial=0) < 65535 else np.uint32
        return self._add(faces.reshape(-1, 1).astype(kind), pygltflib.ELEMENT_ARRAY_BUFFER, False)

    def values(self, values: np.ndarray, bounds: bool = False) -> int:
        """Add anything else (N C): matrices column by column, key times (with bounds), key values."""
        return self._add(values, None, bounds)

    def to_bytes(self) -> bytes:
        """The whole GLB file."""
        self.gltf.buffers = [pygltflib.Buffer(byteLength=len(self._blob))]
        self.gltf.set_binary_blob(bytes(self._blob))
        return b"".join(self.gltf.save_to_bytes())

    def _add(self, values: np.ndarray, target: int | None, bounds: bool) -> int:
        data = np.ascontiguousarray(values)
        view = pygltflib.BufferView(buffer=0, byteOffset=len(self._blob), byteLength=data.nbytes, target=target)
        self._blob += data.tobytes()
        self._blob += b"\0" * (-len(self._blob) % 4)  # every part starts at a multiple of four bytes
        self.gltf.bufferViews.append(view)
        limits: dict[str, Any] = {"min": data.min(0).tolist(), "max": data.max(0).tolist()} if bounds else {}
        accessor = pygltflib.Accessor(
            bufferView=len(self.gltf.bufferViews) - 1,
            componentType=_COMPONENT[data.dtype],
            count=len(data),
            type=_TYPE[data.shape[1]],
            **limits,
        )
        self.gltf.accessors.append(accessor)
        return len(self.gltf.accessors) - 1
