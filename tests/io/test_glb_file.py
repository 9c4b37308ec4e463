"""A GLB, read by an independent reader and posed as viewers do it, is the body model's mesh."""

import dataclasses
import json
import struct

import numpy as np
import pytest
import roma
import torch

from limner.body.model import BodyModel
from limner.body.skeleton import JOINT_NAMES, PARENTS
from limner.errors import OutputError
from limner.io.glb_file import SkinnedMesh, strongest_joints, write_glb

# --- a small independent reader ----------------------------------------------------------------------------------

COMPONENTS = {5121: np.uint8, 5123: np.uint16, 5125: np.uint32, 5126: np.float32}
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}


class Glb:
    """JSON and arrays of a GLB file, from the format's specification."""

    def __init__(self, path):
        data = path.read_bytes()
        magic, version, length = struct.unpack_from("<4sII", data)
        assert (magic, version, length) == (b"glTF", 2, len(data))
        size, kind = struct.unpack_from("<I4s", data, 12)
        assert kind == b"JSON" and size % 4 == 0
        self.json = json.loads(data[20 : 20 + size])
        binary, kind = struct.unpack_from("<I4s", data, 20 + size)
        assert kind == b"BIN\0" and 28 + size + binary == len(data)
        self.blob = data[28 + size :]

    def array(self, index):
        accessor = self.json["accessors"][index]
        view = self.json["bufferViews"][accessor["bufferView"]]
        kind, width = COMPONENTS[accessor["componentType"]], WIDTHS[accessor["type"]]
        start = view.get("byteOffset", 0) + accessor.get("byteOffset", 0)
        assert start % np.dtype(kind).itemsize == 0
        return np.frombuffer(self.blob, kind, accessor["count"] * width, start).reshape(-1, width)

    def node_matrices(self, pose):
        """World matrices of all nodes; `pose` overrules a node's own translation and rotation."""
        world = {}

        def visit(index, parent):
            node = self.json["nodes"][index] | pose.get(index, {})
            local = np.eye(4)
            local[:3, :3] = quaternion_matrix(node.get("rotation", [0, 0, 0, 1]))
            local[:3, 3] = node.get("translation", [0, 0, 0])
            world[index] = parent @ local
            for child in node.get("children", []):
                visit(child, world[index])

        for root in self.json["scenes"][self.json["scene"]]["nodes"]:
            visit(root, np.eye(4))
        return world

    def posed(self, mesh_index=0, weights=None, pose=None):
        """Skinned vertices of a mesh in the file's axes, and the world positions of its joints."""
        mesh = self.json["meshes"][mesh_index]
        (primitive,) = mesh["primitives"]
        attributes = primitive["attributes"]
        vertices = self.array(attributes["POSITION"]).astype(np.float64)
        for target, weight in zip(primitive.get("targets", []), weights or mesh.get("weights", []), strict=True):
            vertices = vertices + weight * self.array(target["POSITION"])
        (node,) = [n for n in self.json["nodes"] if n.get("mesh") == mesh_index]
        skin = self.json["skins"][node["skin"]]
        world = self.node_matrices(pose or {})
        bind = self.array(skin["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1)
        skinning = np.stack([world[j] for j in skin["joints"]]) @ bind
        homogeneous = np.concatenate([vertices, np.ones((len(vertices), 1))], 1)
        joint, weight = (self.array(attributes[what]) for what in ("JOINTS_0", "WEIGHTS_0"))
        total = np.einsum("vk,vkij,vj->vi", weight, skinning[joint], homogeneous)
        return total[:, :3], np.stack([world[j][:3, 3] for j in skin["joints"]])


def quaternion_matrix(q):
    x, y, z, w = np.asarray(q) / np.linalg.norm(q)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


# --- a person and the plain skinning to compare with --------------------------------------------------------------


def person(joints_a_vertex=4, seed=0, **changes):
    """Random numbers in the shape of a person: 400 vertices, 55 joints, 5 expressions."""
    random = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=random)

    weights = torch.zeros(400, 55)
    for row in weights:
        chosen = torch.randperm(55, generator=random)[:joints_a_vertex]
        row[chosen] = torch.rand(joints_a_vertex, generator=random) + 0.01
    weights /= weights.sum(-1, keepdim=True)
    offsets = normal(55, 3) * 0.1
    joints = offsets.clone()
    for j, parent in enumerate(PARENTS):
        if parent >= 0:
            joints[j] = joints[parent] + offsets[j]
    record = SkinnedMesh(
        vertices_rest=normal(400, 3) * 0.5,
        faces=torch.randint(0, 400, (700, 3), generator=random),
        joints_rest=joints,
        parents=PARENTS,
        joint_names=JOINT_NAMES,
        weights=weights,
        rotations=roma.rotvec_to_rotmat(normal(55, 3) * 0.5),
        transl=torch.tensor([0.3, -0.2, 3.0]),
        morphs=normal(5, 400, 3) * 0.01,
        morph_weights=torch.tensor([0.5, -2.0, 0.0, 1.0, 3.0]),
        morph_names=[f"expression_{k}" for k in range(5)],
    )
    return dataclasses.replace(record, **changes)


def skinned(record, rotations=None, transl=None, morph_weights=None):
    """Linear blend skinning in plain numpy: camera-frame vertices and joints."""
    local = (record.rotations if rotations is None else rotations).double().numpy()
    shift = (record.transl if transl is None else transl).double().numpy()
    strength = (record.morph_weights if morph_weights is None else morph_weights).double().numpy()
    rest = record.joints_rest.double().numpy()
    turn, place = [None] * 55, [None] * 55
    for j, parent in enumerate(record.parents):
        if parent < 0:
            turn[j], place[j] = local[j], rest[j] + shift
        else:
            turn[j] = turn[parent] @ local[j]
            place[j] = place[parent] + turn[parent] @ (rest[j] - rest[parent])
    vertices = record.vertices_rest.double().numpy() + np.einsum("e,evc->vc", strength, record.morphs.double().numpy())
    moved = [(vertices - rest[j]) @ turn[j].T + place[j] for j in range(55)]
    return np.einsum("vj,jvc->vc", record.weights.double().numpy(), np.stack(moved)), np.stack(place)


def y_up(points):
    return points * (1, -1, -1)


# --- tests -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("joints_a_vertex", [1, 3, 4])
def test_posed_mesh_is_the_models(tmp_path, joints_a_vertex):
    record = person(joints_a_vertex)
    write_glb(tmp_path / "a.glb", record)
    vertices, joints = skinned(record)
    got_vertices, got_joints = Glb(tmp_path / "a.glb").posed()
    assert np.abs(got_vertices - y_up(vertices)).max() < 1e-5
    assert np.abs(got_joints - y_up(joints)).max() < 1e-5


def test_dropped_joints_leave_weights_that_sum_to_one():
    joint, weight = strongest_joints(person(8).weights)
    full = person(8).weights.numpy()
    assert np.abs(weight.sum(1) - 1).max() < 1e-6
    assert (np.sort(np.take_along_axis(full, joint.astype(int), 1), 1) == np.sort(full, 1)[:, -4:]).all()
    joint, weight = strongest_joints(person(3).weights)
    assert (joint[:, 3] == 0).all() and (weight[:, 3] == 0).all() and (weight[:, 2] > 0).all()


def test_rest_pose_is_the_t_pose(tmp_path):
    """What an animator gets who clears the pose: the shaped template, upright, facing +z."""
    record = person()
    write_glb(tmp_path / "a.glb", record)
    glb = Glb(tmp_path / "a.glb")
    nodes = glb.json["nodes"]
    still = {k: {"rotation": [0, 0, 0, 1]} for k in range(len(nodes))}
    pelvis = glb.json["skins"][0]["joints"][0]
    still[pelvis]["translation"] = record.joints_rest[0].tolist()
    vertices, joints = glb.posed(weights=[0] * 5, pose=still)
    assert np.abs(vertices - record.vertices_rest.numpy()).max() < 1e-5
    assert np.abs(joints - record.joints_rest.numpy()).max() < 1e-5


def test_names_and_hierarchy(tmp_path):
    write_glb(tmp_path / "a.glb", person(name="ada"))
    content = Glb(tmp_path / "a.glb").json
    joints = content["skins"][0]["joints"]
    names = [content["nodes"][j]["name"] for j in joints]
    assert names == list(JOINT_NAMES)
    for j, parent in enumerate(PARENTS[1:], start=1):
        assert joints[j] in content["nodes"][joints[parent]]["children"]
    assert content["meshes"][0]["extras"]["targetNames"] == [f"expression_{k}" for k in range(5)]
    assert content["meshes"][0]["name"] == "ada"
    assert content["asset"]["version"] == "2.0"


def test_arrays_are_as_the_format_demands(tmp_path):
    record = person()
    write_glb(tmp_path / "a.glb", record)
    glb = Glb(tmp_path / "a.glb")
    (primitive,) = glb.json["meshes"][0]["primitives"]
    assert (glb.array(primitive["indices"]).reshape(-1, 3) == record.faces.numpy()).all()
    assert np.abs(np.linalg.norm(glb.array(primitive["attributes"]["NORMAL"]), axis=1) - 1).max() < 1e-5
    for where in (primitive["attributes"], *primitive["targets"]):
        accessor, values = glb.json["accessors"][where["POSITION"]], glb.array(where["POSITION"])
        assert np.allclose(accessor["min"], values.min(0)) and np.allclose(accessor["max"], values.max(0))


def test_several_people_and_no_expression(tmp_path):
    a, b = person(seed=0, name="a"), person(seed=1, name="b", transl=torch.tensor([-1.0, 0.0, 5.0]))
    c = person(seed=2, morphs=torch.zeros(0, 400, 3), morph_weights=torch.zeros(0), morph_names=[])
    write_glb(tmp_path / "a.glb", [a, b, c])
    glb = Glb(tmp_path / "a.glb")
    for index, record in enumerate((a, b, c)):
        assert np.abs(glb.posed(index)[0] - y_up(skinned(record)[0])).max() < 1e-5
    assert len(glb.json["materials"]) == 1


def test_the_embedded_body(tmp_path):
    """The real thing: close with four joints a vertex, and small."""
    model = BodyModel.load()
    params, random = model.rest(), torch.Generator().manual_seed(0)
    turns = roma.rotvec_to_rotmat(0.3 * torch.randn(1, 21, 3, generator=random))
    expression = torch.randn(1, model.num_expression, generator=random)
    transl = torch.tensor([[0.2, 0.1, 3.0]])
    params = params.replace(body_pose=turns, left_hand_pose=turns[:, :15], expression=expression, transl=transl)
    neutral = params.replace(expression=torch.zeros_like(expression))
    record = SkinnedMesh(
        vertices_rest=model.rest_vertices(neutral)[0],
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
    expected = y_up(model(params).vertices[0].numpy())
    write_glb(tmp_path / "a.glb", record)
    assert np.abs(Glb(tmp_path / "a.glb").posed()[0] - expected).max() < 1e-2
    assert (tmp_path / "a.glb").stat().st_size < 6e6


def test_broken_numbers_and_paths(tmp_path):
    with pytest.raises(OutputError, match="transl has values that are not finite.*leave the person out"):
        write_glb(tmp_path / "a.glb", person(transl=torch.tensor([0, float("nan"), 0])))
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="another folder"):
        write_glb(tmp_path / "file" / "a.glb", person())
