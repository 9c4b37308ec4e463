"""Panoramas light people from where they are bright."""

import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from limner.synth.light import (
    equirectangular,
    harmonics,
    irradiance,
    make_panoramas,
    read_panoramas,
    studio_panoramas,
)


def test_harmonics_of_an_even_sky_light_every_normal_the_same():
    direction, solid = equirectangular(64, torch.device("cpu"))
    assert abs(float(solid.sum()) - 4 * torch.pi) < 0.01
    light = irradiance(torch.ones(1, 64, 128, 3), direction, solid)
    normals = torch.nn.functional.normalize(torch.randn(20, 3, generator=torch.Generator().manual_seed(0)), dim=-1)
    assert torch.allclose(harmonics(normals) @ light[0], torch.ones(20, 3), atol=0.02)


def test_the_lamp_becomes_the_key_light_and_lies_where_the_panorama_shows_it():
    direction, _ = equirectangular(64, torch.device("cpu"))
    lamp = torch.nn.functional.normalize(torch.tensor([0.6, 0.3, -0.7]), dim=0)
    image = 0.3 + 200.0 * ((direction @ lamp) > 0.99)[..., None].float().expand(-1, -1, 3)
    panoramas = make_panoramas([image.numpy()], torch.device("cpu"))
    assert (panoramas.key_direction[0] @ lamp) > 0.99
    assert panoramas.key_color.min() > 0.1
    which, level = torch.tensor([0]), torch.tensor([0])
    seen = panoramas.look(which, torch.stack([lamp, -lamp])[None] * 3, level)
    assert seen[0, 0, 0] > 5 * seen[0, 1, 0]
    # the coarser levels show the same, blurred
    assert panoramas.look(which, lamp[None, None], torch.tensor([3]))[0, 0, 0] > seen[0, 1, 0]


def test_packed_panoramas_are_read_as_their_radiance(tmp_path: Path):
    packed = np.zeros((32, 64, 4), np.uint8)
    packed[..., :3], packed[..., 3] = 128, 129  # 128 * 2^(129-136) = 1
    packed[:16, :, 3] = 130  # the upper half is twice as bright
    Image.fromarray(packed, "RGBA").save(tmp_path / "a.webp", lossless=True, exact=True)
    (tmp_path / "names.json").write_text(json.dumps({"hdris": [{"file": "a.webp"}]}))
    panoramas = read_panoramas(tmp_path, torch.device("cpu"), height=16)
    directions = torch.tensor([[[0.1, 1.0, 0.0], [0.1, -1.0, 0.0]]])
    seen = panoramas.look(torch.tensor([0]), directions, torch.tensor([0]))[0, :, 0]
    assert torch.allclose(seen[0] / seen[1], torch.tensor(2.0), atol=0.01)


def test_the_built_in_studios_need_no_files():
    studios = studio_panoramas(torch.device("cpu"))
    assert len(studios) > 2 and torch.isfinite(studios.ambient).all()
