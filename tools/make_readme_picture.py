"""The README's picture: each photo, its people over it, and the same people from the side.

    python tools/make_readme_picture.py [PHOTO ...] [--weights limner] [--out docs/images/demo.jpg]

Without photos the bundled ones, whose licences allow it.
"""

import argparse
from pathlib import Path

import torch
from jaxtyping import UInt8
from torch import Tensor

from limner.estimator import Estimator
from limner.io.image import read_photo, write_image
from limner.io.photo_list import list_photos
from limner.render.overlay import fit, overlay, side_view

ROOT = Path(__file__).parents[1]
HEIGHT, GAP = 420, 8


def row(estimator: Estimator, path: Path) -> UInt8[Tensor, "3 h w"]:
    """Photo, overlay and side view side by side, HEIGHT pixels high."""
    photo = read_photo(path)
    people = estimator(photo)
    drawn = overlay(photo.pixels, people.vertices, people.faces, people.camera)
    pictures = [fit(image, HEIGHT, 10 * HEIGHT, enlarge=True)[0] for image in (photo.pixels, drawn)]
    pictures.append(side_view(people.vertices, people.faces, HEIGHT, HEIGHT * 3 // 4))
    gap = torch.full((3, HEIGHT, GAP), 255, dtype=torch.uint8)
    return torch.cat([pictures[0], gap, pictures[1], gap, pictures[2]], 2)


def stacked(rows: list[Tensor]) -> UInt8[Tensor, "3 h w"]:
    """Rows below each other on white."""
    width = max(r.shape[2] for r in rows)
    page = torch.full((3, len(rows) * (HEIGHT + GAP) - GAP, width), 255, dtype=torch.uint8)
    for i, r in enumerate(rows):
        page[:, i * (HEIGHT + GAP) : i * (HEIGHT + GAP) + HEIGHT, : r.shape[2]] = r
    return page


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="*", type=Path, default=[ROOT / "src/limner/assets/photos"])
    parser.add_argument("--weights", default="limner")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/images/demo.jpg")
    given = parser.parse_args()
    estimator = Estimator.load(given.weights)
    picture = stacked([row(estimator, path) for path in list_photos(given.photos)])
    write_image(given.out, picture)
    print(f"{given.out}: {picture.shape[2]} x {picture.shape[1]} px, {given.out.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
