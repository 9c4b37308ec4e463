"""MediaPipe's pre-trained Blaze networks as plain torch modules (Apache-2.0, see docs/cards/blaze.md)."""
