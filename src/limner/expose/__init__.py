"""The official ExPose network, number for number: all that serves it alone. `limner[expose]` makes it fast."""
