"""People where you say they are: boxes of your own detector and a known camera instead of limner's guesses."""

import argparse
from pathlib import Path

from limner import Estimator, read_photo
from limner.errors import BoxError

DEMO = Path(__file__).parents[1] / "src/limner/assets/photos/eileen_collins.jpg"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photo", type=Path, nargs="?", default=DEMO)
    parser.add_argument("--box", type=float, nargs=4, default=(10, 5, 400, 512), metavar=("X0", "Y0", "X1", "Y1"))
    parser.add_argument("--focal-px", type=float, default=900.0)
    parser.add_argument("--weights", default="limner")
    given = parser.parse_args()

    estimator = Estimator.load(given.weights, refined=False)  # the networks' plain answer, without the last fit
    photo = read_photo(given.photo)
    boxes = [given.box]  # of each person left, top, right, bottom in photo pixels; numpy and torch will do, too
    people = estimator(photo, boxes, focal_px=given.focal_px)

    for side in ("left", "right"):
        square, trusted = getattr(people, f"{side}_hand_square"), getattr(people, f"{side}_hand_trusted")
        x, y = square.center_px[0].tolist()
        says = "the hand network" if bool(trusted[0]) else "the body network alone"
        print(f"{side} hand: looked at {square.size_px[0]:.0f} px about ({x:.0f}, {y:.0f}), fingers from {says}")

    # the same point in 3D and in the photo: pixel = K xyz / z
    wrist = people.joints[0, 20]
    pixel = people.camera.K[0] @ wrist / wrist[2]
    print(f"left wrist {wrist.tolist()} m in the camera is at pixel {pixel[:2].tolist()}")

    try:
        estimator(photo, [0, 0, 0, 0])
    except BoxError as error:  # every error that you can mend is a limner.errors.LimnerError and says how
        print(f"refused: {error}")


if __name__ == "__main__":
    main()
