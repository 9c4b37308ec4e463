"""The one binary buffer of a GLB file. (knows glTF 2.0, no bodies)"""

import json
import struct
from typing import Any

import numpy as np

_COMPONENT = {
    np.dtype(np.uint8): 5121,
    np.dtype(np.uint16): 5123,
    np.dtype(np.uint32): 5125,
    np.dtype(np.float32): 5126,
}
_TYPE = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4", 16: "MAT4"}
_ATTRIBUTES, _INDICES = 34962, 34963  # what a graphics card takes a part of the buffer for


class GlbBuffer:
    """A glTF document that grows: every array added becomes an accessor with its own part of the buffer.

    gltf: the document's lists (nodes, meshes, ...), which begin with their first entry: see `add`.
    """

    def __init__(self) -> None:
        self.gltf: dict[str, Any] = {"asset": {"version": "2.0", "generator": "limner"}}
        self._blob = bytearray()

    def add(self, kind: str, **entry: Any) -> int:
        """Add an entry to one of the document's lists; its index."""
        entries = self.gltf.setdefault(kind, [])
        entries.append(entry)
        return len(entries) - 1

    def vertices(self, values: np.ndarray, bounds: bool = False) -> int:
        """Add a per-vertex attribute (V C) and return its accessor; `bounds` is a must for positions."""
        return self._add(values, bounds, target=_ATTRIBUTES)

    def indices(self, faces: np.ndarray) -> int:
        """Add triangle corners (F 3) and return their accessor; two bytes each where that is enough."""
        kind = np.uint16 if faces.max(initial=0) < 65535 else np.uint32
        return self._add(faces.reshape(-1, 1).astype(kind), False, target=_INDICES)

    def values(self, values: np.ndarray) -> int:
        """Add anything else (N C): matrices column by column."""
        return self._add(values, False)

    def to_bytes(self) -> bytes:
        """The whole GLB file."""
        document = self.gltf | {"buffers": [{"byteLength": len(self._blob)}]}
        text = json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
        text += b" " * (-len(text) % 4)
        parts = (
            struct.pack("<I4s", len(text), b"JSON"),
            text,
            struct.pack("<I4s", len(self._blob), b"BIN\0"),
            self._blob,
        )
        return b"".join([struct.pack("<4sII", b"glTF", 2, 12 + sum(map(len, parts))), *parts])

    def _add(self, values: np.ndarray, bounds: bool, **target: int) -> int:
        data = np.ascontiguousarray(values)
        start = len(self._blob)
        self._blob += data.tobytes()
        self._blob += b"\0" * (-len(self._blob) % 4)  # every part starts at a multiple of four bytes
        view = self.add("bufferViews", buffer=0, byteOffset=start, byteLength=data.nbytes, **target)
        columns = np.ascontiguousarray(data.T)  # ten times as fast to search as rows
        limits = {"min": columns.min(1).tolist(), "max": columns.max(1).tolist()} if bounds else {}
        kind = {"componentType": _COMPONENT[data.dtype], "type": _TYPE[data.shape[1]]}
        return self.add("accessors", bufferView=view, count=len(data), **kind, **limits)
