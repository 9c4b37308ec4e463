"""The body layer alone: pose a body by hand, read joints and keypoints, differentiate, write a rigged GLB."""

import argparse
from pathlib import Path

import torch

from limner.body.model import BodyModel
from limner.body.params import BodyParams
from limner.body.skeleton import JOINT, JOINT_NAMES, PARENTS
from limner.geometry.rotation import rotation_from_axis_angle
from limner.io.glb_file import SkinnedMesh, write_glb


def waving(model: BodyModel) -> BodyParams:
    """One person who waves: rotations are matrices relative to the parent joint, by SMPL-X's names."""
    params = model.rest()  # T-pose, mean shape, upright and facing the camera
    pose = params.body_pose.clone()  # "1 21 3 3", all body joints but the root
    for joint, axis_angle in {"left_shoulder": (0.0, 0.0, -1.2), "right_elbow": (0.0, 0.0, -1.6)}.items():
        pose[:, JOINT[joint] - 1] = rotation_from_axis_angle(torch.tensor(axis_angle))
    return params.replace(body_pose=pose, transl=torch.tensor([[0.0, 0.0, 3.0]]))  # 3 m in front of the camera


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--body-model", type=Path, help="your SMPLX_NEUTRAL.npz; default: the embedded body")
    parser.add_argument("--out", type=Path, default=Path("out/example_02"))
    given = parser.parse_args()

    model = BodyModel.load(given.body_model)
    params = waving(model)
    mesh = model(params)  # vertices "1 V 3" and joints "1 55 3" in the camera frame, metres
    print(f"{mesh.vertices.shape[1]} vertices; right wrist at {mesh.joints[0, JOINT['right_wrist']].tolist()}")
    hand = model.keypoints(mesh, params, "right_hand21")  # any set of limner.body.keypoints, by name
    print(f"right hand: {hand.shape[1]} points, middle fingertip at {hand[0, 12].tolist()}")

    # all of it is differentiable: which way does the first shape coefficient move the crown of the head?
    betas = params.betas.clone().requires_grad_()
    crown = model(params.replace(betas=betas)).vertices[0, :, 1].min()  # y points down
    (slope,) = torch.autograd.grad(crown, betas)
    print(f"one unit of beta 0 lifts the crown by {-100 * float(slope[0, 0]):.1f} cm")

    rigged = SkinnedMesh(
        vertices_rest=model.rest_vertices(params)[0],
        faces=model.faces,
        joints_rest=model.rest_joints(params)[0],
        parents=PARENTS,
        joint_names=JOINT_NAMES,
        weights=model.weights,
        rotations=params.full_pose()[0],
        transl=params.transl[0],
        morphs=model.directions[model.num_betas :],
        morph_weights=params.expression[0],
        morph_names=[f"expression_{k}" for k in range(model.num_expression)],
    )
    write_glb(given.out / "waving.glb", rigged)
    print(f"written: {given.out / 'waving.glb'}")


if __name__ == "__main__":
    main()
