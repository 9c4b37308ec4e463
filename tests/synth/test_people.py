"""What is rendered is what the labels say."""

from dataclasses import replace

import torch

from limner.body.keypoints import KEYPOINT_NAMES
from limner.geometry.box import squares_around
from limner.synth.chart import FIELD
from limner.synth.people import PARTS, SynthBatch, SyntheticPeople
from tests.conftest import same_picture


def plain(batch: SynthBatch) -> SynthBatch:
    """The same people photographed without any imperfection, in even light, nothing in front, black behind."""
    n = len(batch)
    style = replace(
        batch.scene.style,
        exposure=torch.ones(n), white=torch.ones(n, 3), contrast=torch.ones(n), saturation=torch.ones(n),
        pixel_px=torch.full((n,), 0.05), blur=torch.full((n,), 0.1), motion=torch.zeros(n, 2), noise=torch.zeros(n),
        quality=torch.ones(n),
    )  # fmt: skip
    scene = replace(
        batch.scene,
        style=style,
        background=torch.ones(n, dtype=torch.long),
        backdrop=torch.zeros(n, 2, 3),
        key_color=torch.zeros(n, 2, 3),
        occluder_on=torch.zeros_like(batch.scene.occluder_on),
        bounded=torch.zeros(n, dtype=torch.bool),
    )
    return replace(batch, scene=scene)


def test_a_coloured_mark_appears_where_its_keypoint_is_projected(people: SyntheticPeople, batch: SynthBatch):
    nose = int(people.body_model.vertex_ids[0])
    fields = people.chart.fields.clone()
    near = (fields[:, :3] - fields[nose, :3]).norm(dim=-1) < 0.006
    fields[:, FIELD["nails"]] = near.float()
    marked = SyntheticPeople(people.body_model, people.sampler, chart=replace(people.chart, fields=fields))
    n = len(batch)
    looks = replace(batch.looks, skin=torch.full((n, 3), 0.004), nails=torch.tensor([[0.9, 0.0, 0.0]]).repeat(n, 1),
                    redness=torch.zeros(n), lips=torch.full((n, 3), 0.004))  # fmt: skip
    shot = plain(replace(batch, looks=looks))
    squares = people.part_squares(batch, "face", 0.0, torch.Generator(), margin=1.5)
    image = marked.render(shot, squares, 96).float()
    expected = (squares.unit_from_photo(batch.keypoints_px) + 1) * 48
    seen = people.visible(shot)[:, KEYPOINT_NAMES.index("nose")]
    assert seen.any()
    axis = torch.arange(96) + 0.5
    for i in seen.nonzero()[:, 0].tolist():
        red = (image[i, 0] - image[i, 1] - image[i, 2] - 20).clamp_min(0)
        centre = torch.stack([(red.sum(0) * axis).sum(), (red.sum(1) * axis).sum()]) / red.sum()
        assert (centre - expected[i, KEYPOINT_NAMES.index("nose")]).norm() < 2.5


def test_same_seed_same_batch_and_image(people: SyntheticPeople, batch: SynthBatch):
    again = people.batch(4, torch.Generator().manual_seed(3))
    assert torch.allclose(again.vertices, batch.vertices, atol=1e-5)
    assert torch.allclose(again.looks.skin, batch.looks.skin)
    squares = squares_around(batch.boxes, 1.2)
    assert same_picture(people.render(again, squares, 64), people.render(batch, squares, 64))


def test_mirror_flips_just_the_chosen_crops(people: SyntheticPeople, batch: SynthBatch):
    squares = squares_around(batch.boxes, 1.2)
    straight = people.render(batch, squares, 64)
    mirror = torch.tensor([True, False, True, False])
    flipped = people.render(batch, squares, 64, mirror=mirror)
    assert same_picture(flipped[mirror], straight[mirror].flip(-1))
    assert same_picture(flipped[~mirror], straight[~mirror])


def test_labels_are_finite_consistent_and_in_front_of_the_camera(people: SyntheticPeople, batch: SynthBatch):
    for value in (batch.vertices, batch.surface, batch.keypoints, batch.keypoints_px, batch.boxes):
        assert torch.isfinite(value).all()
    assert (batch.vertices[..., 2] > 0.2).all()
    mesh = people.body_model(batch.params)
    assert torch.allclose(mesh.vertices, batch.vertices, atol=1e-4)
    assert torch.allclose(batch.camera.project(batch.keypoints), batch.keypoints_px)
    # clothes lie outside the skin, and not by much
    off = (batch.surface[:, : batch.vertices.shape[1]] - batch.vertices).norm(dim=-1)
    assert off.max() < 0.06 and off.mean() > 0.0005


def test_surface_points_are_visible_from_the_front_and_hidden_from_behind(people: SyntheticPeople):
    batch = plain(people.batch(20, torch.Generator().manual_seed(11)))
    nose = KEYPOINT_NAMES.index("nose")
    head = KEYPOINT_NAMES.index("head")
    # the nose is nearer to the camera than the middle of the head by almost its whole distance, or behind it
    ahead = batch.keypoints[:, head, 2] - batch.keypoints[:, nose, 2]
    inside = ((batch.keypoints_px[:, nose] > 0) & (batch.keypoints_px[:, nose] < batch.photo_px)).all(-1)
    seen = people.visible(batch)[:, nose]
    front, back = (ahead > 0.08) & inside, (ahead < -0.09) & inside
    assert front.any() and back.any()
    assert seen[front].float().mean() > 0.75
    assert not seen[back].any()
    assert not people.visible(batch)[:, nose][~inside].any()


def test_part_squares_hold_the_part(people: SyntheticPeople, batch: SynthBatch):
    generator = torch.Generator().manual_seed(0)
    for part in PARTS:
        squares = people.part_squares(batch, part, 0.0, generator, margin=1.5)
        name = "nose" if part == "face" else f"{part.removesuffix('_hand')}_middle1"
        unit = squares.unit_from_photo(batch.keypoints_px[:, [KEYPOINT_NAMES.index(name)]])
        assert (unit.abs() < 0.9).all()


def test_shading_image_by_image_equals_shading_all_at_once(people: SyntheticPeople, batch: SynthBatch):
    whole = SyntheticPeople(people.body_model, people.sampler, chunk=1 << 24, chart=people.chart)
    squares = squares_around(batch.boxes, 1.2)
    a, b = people.render(batch, squares, 64).int(), whole.render(batch, squares, 64).int()
    assert (a - b).abs().max() <= 2


def test_other_people_appear_in_their_photos_only_and_hide_what_they_cover(people: SyntheticPeople):
    batch = plain(people.batch(12, torch.Generator().manual_seed(8)))
    others = batch.companions
    assert others is not None and 0 < len(others.photo) < 12
    alone = replace(batch, companions=None)
    squares = squares_around(batch.boxes, 1.5)
    here, gone = people.render(batch, squares, 48).int(), people.render(alone, squares, 48).int()
    changed = ((here - gone).abs() > 8).flatten(1).any(-1)
    with_guest = torch.zeros(12, dtype=torch.bool)
    with_guest[others.photo] = True
    assert not changed[~with_guest].any() and changed[with_guest].any()
    assert not (people.visible(batch) & ~people.visible(alone)).any()
    # a part of the batch keeps its own guests
    row = int(others.photo[0])
    part = batch[[row]]
    assert part.companions is not None and part.companions.photo.tolist() == [0]
    assert torch.equal(part.companions.people.vertices[0], others.people.vertices[0])
