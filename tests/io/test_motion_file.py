"""Motion files come back as they left, and other programs find what they look for."""

import dataclasses

import numpy as np
import pytest
import roma
import torch

from limner.body.skeleton import JOINT_NAMES, PARENTS
from limner.errors import OutputError
from limner.io.motion_file import EXTRAS, Motion, MotionFileError, read_params, write_bvh, write_params


def motion(frames=4, seed=0, **changes):
    random = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=random)

    sizes = {name: [frames if size == "T" else size for size in shape] for name, shape in EXTRAS.items()}
    record = Motion(
        rotations=roma.rotvec_to_rotmat(normal(frames, 55, 3)),
        transl=normal(frames, 3),
        betas=normal(10),
        expression=normal(frames, 7),
        pelvis_rest=torch.tensor([0.01, -0.35, 0.02]),
        body_model="limner",
        fps=25.0,
        extras={name: normal(*size) for name, size in sizes.items()},
    )
    return dataclasses.replace(record, **changes)


@pytest.mark.parametrize("frames", [1, 4])
def test_round_trip(tmp_path, frames):
    record = motion(frames)
    write_params(tmp_path / "params.npz", record)
    back = read_params(tmp_path / "params.npz")
    for name in ("rotations", "transl", "betas", "expression", "pelvis_rest"):
        assert torch.allclose(getattr(back, name), getattr(record, name), atol=1e-5), name
    assert (back.body_model, back.gender, back.fps, len(back)) == ("limner", "neutral", 25, frames)
    assert set(back.extras) == set(EXTRAS)
    for name, value in record.extras.items():
        assert torch.equal(back.extras[name], value)


def test_keys_shapes_and_no_pickle(tmp_path):
    write_params(tmp_path / "params.npz", motion(3))
    with np.load(tmp_path / "params.npz", allow_pickle=False) as file:
        data = {key: file[key] for key in file.files}
    for key, width in {
        "poses": 165, "trans": 3, "root_orient": 3, "pose_body": 63, "pose_hand": 90, "pose_jaw": 3, "pose_eye": 6,
        "expressions": 10, "expression": 10, "limner_expression": 7, "global_orient": 3,
        "body_pose": 63, "left_hand_pose": 45, "right_hand_pose": 45, "jaw_pose": 3, "leye_pose": 3, "reye_pose": 3,
        "transl": 3,
    }.items():  # fmt: skip
        assert data[key].shape == (3, width) and data[key].dtype == np.float32, key
    assert data["betas"].shape == (10,) and int(data["num_betas"]) == 10
    for key in ("betas", "expression", "expressions"):  # limner's numbers would be another person of SMPL-X
        assert not data[key].any()
    assert data["limner_betas"].shape == (10,) and data["limner_betas"].all()
    assert str(data["gender"]) == "neutral" and str(data["surface_model_type"]) == "smplx"
    assert float(data["mocap_frame_rate"]) == float(data["mocap_framerate"]) == 25
    assert float(data["mocap_time_length"]) == pytest.approx(3 / 25)
    hands = np.concatenate([data["left_hand_pose"], data["right_hand_pose"]], 1)
    assert np.allclose(data["pose_hand"], hands) and np.allclose(data["poses"][:, 75:], hands)
    assert np.allclose(data["poses"][:, 3:66], data["body_pose"])
    assert np.allclose(data["pose_eye"], np.concatenate([data["leye_pose"], data["reye_pose"]], 1))


def test_numbers_of_smplx_keep_its_names(tmp_path):
    record = motion(2, body_model="smplx", betas=torch.arange(16.0))
    write_params(tmp_path / "params.npz", record)
    with np.load(tmp_path / "params.npz") as data:
        assert data["betas"].tolist() == list(range(16)) and int(data["num_betas"]) == 16
        assert np.array_equal(data["expressions"], record.expression) and "limner_betas" not in data.files


def test_older_files_are_read_as_what_they_are(tmp_path):
    """They have limner's numbers, and as many as limner has, under SMPL-X's names."""
    record = motion(2, betas=torch.randn(40), expression=torch.randn(2, 20))
    write_params(tmp_path / "new.npz", record)
    with np.load(tmp_path / "new.npz") as file:
        arrays = {key: file[key] for key in file.files if not key.startswith("limner_")}
    arrays |= {"betas": record.betas.numpy(), "expression": record.expression.numpy(), "num_betas": np.array(40)}
    np.savez(tmp_path / "old.npz", **arrays | {"expressions": record.expression.numpy()})
    new, old = (read_params(tmp_path / f"{name}.npz") for name in ("new", "old"))
    for name in ("betas", "expression", "rotations", "transl"):
        assert torch.equal(getattr(old, name), getattr(new, name)), name
    assert torch.equal(new.betas, record.betas) and old.body_model == new.body_model == "limner"


def test_the_two_halves_are_one_motion(tmp_path):
    """A point of the body, placed by AMASS's half, is where the camera's half puts it, with z up."""
    write_params(tmp_path / "params.npz", motion())
    data = np.load(tmp_path / "params.npz")
    point, pelvis = np.array([0.3, 0.5, 0.1]), data["pelvis_rest"]

    def placed(orient, transl):
        turn = roma.rotvec_to_rotmat(torch.from_numpy(data[orient])).numpy()
        return turn @ (point - pelvis) + pelvis + data[transl]

    camera, world = placed("global_orient", "transl"), placed("root_orient", "trans")
    assert np.abs(world - np.stack([camera[:, 0], camera[:, 2], -camera[:, 1]], -1)).max() < 1e-5


def test_who_stands_upright_does_so_in_blender(tmp_path):
    upright = torch.eye(3).repeat(1, 55, 1, 1)
    upright[0, 0] = torch.diag(torch.tensor([1.0, -1, -1]))  # facing the camera
    write_params(tmp_path / "params.npz", motion(1, rotations=upright))
    turn = roma.rotvec_to_rotmat(torch.from_numpy(np.load(tmp_path / "params.npz")["root_orient"]))[0]
    assert torch.allclose(turn @ torch.tensor([0.0, 1, 0]), torch.tensor([0.0, 0, 1]), atol=1e-6)  # head up
    assert torch.allclose(turn @ torch.tensor([0.0, 0, 1]), torch.tensor([0.0, -1, 0]), atol=1e-6)  # face to us


def test_write_errors(tmp_path):
    with pytest.raises(OutputError, match="'shoe_size' is known.*camera_K"):
        write_params(tmp_path / "a.npz", motion(extras={"shoe_size": torch.zeros(4)}))
    with pytest.raises(OutputError, match=r"score has shape \(3,\), expected \(4,\)"):
        write_params(tmp_path / "a.npz", motion(extras={"score": torch.zeros(3)}))
    with pytest.raises(OutputError, match="betas has values that are not finite"):
        write_params(tmp_path / "a.npz", motion(betas=torch.tensor([float("nan")])))
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="another folder"):
        write_params(tmp_path / "file" / "a.npz", motion())


def test_read_errors(tmp_path):
    path = tmp_path / "a.npz"
    with pytest.raises(MotionFileError, match="does not exist"):
        read_params(path)
    with pytest.raises(MotionFileError, match="is a folder"):
        read_params(tmp_path)
    for content in (b"", b"I am a text", b"PK\x03\x04 broken"):
        path.write_bytes(content)
        with pytest.raises(MotionFileError, match="Copy it again"):
            read_params(path)
    write_params(path, motion())
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(MotionFileError, match="Copy it again"):
        read_params(path)
    np.save(path.with_suffix(".npy"), np.zeros(3))
    with pytest.raises(MotionFileError, match="no .npz"):
        read_params(path.with_suffix(".npy"))
    np.savez(path, poses=np.zeros((1, 165)), trans=np.zeros((1, 3)))
    with pytest.raises(MotionFileError, match="lacks global_orient.*Estimate the photo again"):
        read_params(path)
    write_params(path, motion())
    data = dict(np.load(path)) | {"body_pose": np.zeros((4, 69), np.float32)}
    np.savez(path, **data)
    with pytest.raises(MotionFileError, match=r"body_pose has shape \(4, 69\), expected \(4, 63\)"):
        read_params(path)


# --- BVH ---------------------------------------------------------------------------------------------------------


def read_bvh(path):
    """An independent reader: names, parents, frame time, and joints in the world frame by frame, as players do."""
    words = path.read_text().split()
    names, parents, offsets, channels, stack, k = [], [], [], [], [], 1
    while words[k] != "MOTION":
        if words[k] in ("ROOT", "JOINT"):
            names.append(words[k + 1])
            parents.append(stack[-1] if stack else -1)
            stack.append(len(names) - 1)
            k += 3
        elif words[k] == "OFFSET":
            offsets.append([float(x) for x in words[k + 1 : k + 4]])
            k += 4
        elif words[k] == "CHANNELS":
            count = int(words[k + 1])
            channels.append(words[k + 2 : k + 2 + count])
            k += 2 + count
        elif words[k] == "End":
            assert words[k + 3] == "OFFSET" and words[k + 7] == "}"
            assert np.linalg.norm([float(x) for x in words[k + 4 : k + 7]]) > 0
            k += 8
        else:
            assert words[k] == "}"
            stack.pop()
            k += 1
    assert words[k + 1] == "Frames:" and words[k + 3 : k + 5] == ["Frame", "Time:"]
    values = np.array(words[k + 6 :], float).reshape(int(words[k + 2]), -1)
    worlds = []
    for row in values:
        numbers, turn, place = iter(row), [], []
        for joint, parent in enumerate(parents):
            rotation, position = np.eye(3), np.array(offsets[joint])
            for channel in channels[joint]:
                value = next(numbers)
                axis = "XYZ".index(channel[0])
                if channel.endswith("position"):
                    position[axis] += value
                else:
                    vector = torch.zeros(3, dtype=torch.float64)
                    vector[axis] = np.radians(value)
                    rotation = rotation @ roma.rotvec_to_rotmat(vector).numpy()
            turn.append(rotation if parent < 0 else turn[parent] @ rotation)
            place.append(position if parent < 0 else place[parent] + turn[parent] @ position)
        worlds.append((place, turn))
    return names, parents, float(words[k + 5]), worlds


def skeleton():
    offsets = torch.randn(55, 3, generator=torch.Generator().manual_seed(1)) * 0.2
    joints = offsets.clone()
    for j, parent in enumerate(PARENTS[1:], start=1):
        joints[j] = joints[parent] + offsets[j]
    return joints


def test_bvh_round_trip(tmp_path):
    record, joints = motion(), skeleton()
    rotations = record.rotations.clone()
    half_turn = roma.rotvec_to_rotmat(torch.tensor([torch.pi / 2, 0, 0]))  # where z and y turn about the same axis
    rotations[1, 16] = half_turn
    rotations[2, 16] = half_turn.mT @ roma.rotvec_to_rotmat(torch.tensor([0, 0.5, 0]))
    write_bvh(tmp_path / "a.bvh", joints, PARENTS, JOINT_NAMES, rotations, record.transl, record.fps)
    names, parents, frame_time, worlds = read_bvh(tmp_path / "a.bvh")
    assert sorted(names) == sorted(JOINT_NAMES) and frame_time == pytest.approx(1 / 25)
    index = [JOINT_NAMES.index(name) for name in names]
    assert [names[p] if p >= 0 else None for p in parents] == [
        JOINT_NAMES[PARENTS[j]] if PARENTS[j] >= 0 else None for j in index
    ]
    flip = np.diag([1.0, -1, -1])
    for frame, (place, turn) in enumerate(worlds):
        local = rotations[frame].double().numpy()
        for k, j in enumerate(index):
            if PARENTS[j] < 0:
                expected_turn = flip @ local[j]
                expected = flip @ (joints[j] + record.transl[frame]).double().numpy()
            else:
                parent = parents[k]
                expected_turn = turn[parent] @ local[j]
                expected = place[parent] / 100 + turn[parent] @ (joints[j] - joints[PARENTS[j]]).double().numpy()
            assert np.abs(turn[k] - expected_turn).max() < 1e-5
            assert np.abs(place[k] / 100 - expected).max() < 1e-5


def test_bvh_angles_do_not_jump(tmp_path):
    """Players blend between frames, so a turn past 180 degrees must go on to 181, not to -179."""
    rotations = torch.eye(3).repeat(40, 55, 1, 1)
    rotations[:, 3] = roma.rotvec_to_rotmat(torch.linspace(0, 7, 40)[:, None] * torch.tensor([0.0, 0, 1]))
    write_bvh(tmp_path / "a.bvh", skeleton(), PARENTS, JOINT_NAMES, rotations, torch.zeros(40, 3), 30.0)
    rows = (tmp_path / "a.bvh").read_text().splitlines()[-40:]
    values = np.array([row.split() for row in rows], float)
    assert np.abs(np.diff(values, axis=0)).max() < 15


def test_bvh_errors(tmp_path):
    record = motion()
    with pytest.raises(OutputError, match="transl has values that are not finite"):
        transl = record.transl * float("nan")
        write_bvh(tmp_path / "a.bvh", skeleton(), PARENTS, JOINT_NAMES, record.rotations, transl, 30.0)
