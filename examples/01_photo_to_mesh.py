"""One photo to meshes, skeletons and pictures: `python examples/01_photo_to_mesh.py photo.jpg`."""

import argparse
from pathlib import Path

from limner import Estimator, read_photo, save_results
from limner.io.image import write_image
from limner.render.overlay import overlay

DEMO = Path(__file__).parents[1] / "src/limner/assets/photos/eileen_collins.jpg"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photo", type=Path, nargs="?", default=DEMO)
    parser.add_argument("--out", type=Path, default=Path("out/example_01"))
    parser.add_argument("--weights", default="limner")
    given = parser.parse_args()

    photo = read_photo(given.photo)  # upright, 8-bit RGB, with the focal length from EXIF where there is one
    estimator = Estimator.load(given.weights)
    people = estimator(photo)  # a People; nobody in the photo is a People of length 0
    print(f"{len(people)} people in {given.photo.name}")

    for i, person in enumerate(people):
        points_px, confidence, _ = person.keypoint_set("coco17")  # "17 2" photo pixels, "17", "17 3" camera metres
        depth_m = float(person.joints[0, 2])
        nose = [round(x) for x in points_px[0].tolist()]
        print(f"person {i}: {depth_m:.1f} m from the camera, nose at pixel {nose}, confidence {confidence[0]:.2f}")

    # everything that `limner estimate` writes: overlay, sheet, GLB, OBJ, PLY, params.npz, keypoints.json ...
    folder = save_results(people, photo, estimator.body_model, given.out / "results")
    # ... or single pieces
    picture = overlay(photo.pixels, people.vertices, people.faces, people.camera, opacity=0.7)
    write_image(given.out / "overlay_see_through.png", picture)
    print(f"results in {folder}")


if __name__ == "__main__":
    main()
