"""Wide photos of several people, or of nobody."""

from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from limner.geometry.box import Squares
from limner.synth.chance import coin, log_uniform, normal, uniform
from limner.synth.people import Companions, SynthBatch

MOST_GUESTS = 5
LEAST_APART_M, LEAST_DEPTH_M = 0.45, 0.9
WIDEST = 2.2  # side of a square in focal lengths: 95 degrees


def photo_squares(batch: SynthBatch, generator: Generator) -> Squares:
    """What whole photos show: a third are the virtual photo, the others up to 4.5 times as wide, some turned.

    One in ten is turned by any angle, so that people lie, hang and stand on their heads in them.
    """
    count = len(batch)
    n = (count,)
    zoom = torch.where(coin(generator, n, 0.35), 1.0, log_uniform(generator, n, 1.15, 4.5))
    side = (zoom * batch.photo_px).minimum(WIDEST * batch.camera.focal_px).clamp_min(batch.photo_px)
    shift = uniform(generator, (count, 2), -0.5, 0.5) * (side - batch.photo_px)[:, None]
    anyhow = uniform(generator, n, -torch.pi, torch.pi)
    angle = torch.where(coin(generator, n, 0.1), anyhow, normal(generator, n, 0.06))
    return Squares(batch.photo_px / 2 + shift, side, angle)


def guest_photos(count: int, generator: Generator) -> Int[Tensor, "C"]:
    """Whose photo each guest is in: from none (four in ten photos) to MOST_GUESTS a photo."""
    guests = ((MOST_GUESTS + 1) * uniform(generator, (count,)).square()).long()
    return torch.repeat_interleave(torch.arange(count, device=guests.device), guests)


def with_guests(
    batch: SynthBatch, guests: SynthBatch, photo: Int[Tensor, "C"], squares: Squares, generator: Generator
) -> SynthBatch:
    """The batch with `guests` as its companions, `photo` says in whose photo: on the same ground, in the same light.

    They stand anywhere in the width of `squares`, nearer or farther than the person already there; who would stand
    inside somebody else is left out.
    """
    n = (len(photo),)
    up = batch.camera_from_world[photo, :, 1]
    turn = batch.camera_from_world[photo] @ guests.camera_from_world.mT
    root = guests.joints[:, 0]
    about = _turned(guests.vertices, turn, root)
    foot = _foot(batch.vertices, batch.camera_from_world[:, :, 1])[photo] - _foot(about, up)
    nearness = log_uniform(generator, n, 0.6, 3.0)
    z = (batch.joints[photo, 0, 2] * nearness).clamp_min(LEAST_DEPTH_M)
    across = squares.center_px[photo, 0] + uniform(generator, n, -0.45, 0.45) * squares.size_px[photo]
    x = (across - batch.camera.center_px[photo, 0]) / batch.camera.focal_px[photo] * z
    y = (foot - x * up[:, 0] - z * up[:, 2]) / up[:, 1]
    place = torch.stack([x, y, z], -1)
    rows = _apart(batch, place, photo)
    return replace(batch, companions=_companions(batch, guests[rows], photo[rows], turn[rows], place[rows]))


def _companions(
    batch: SynthBatch, guests: SynthBatch, photo: Tensor, turn: Float[Tensor, "C 3 3"], place: Float[Tensor, "C 3"]
) -> Companions:
    """Guests turned about their pelvis, which comes to `place`."""
    root = guests.joints[:, 0]

    def around(points: Float[Tensor, "C N 3"]) -> Float[Tensor, "C N 3"]:
        return _turned(points, turn, root) + root[:, None]

    worn = guests.surface[..., 2:] > -0.99
    people = replace(
        guests,
        params=guests.params.replace(global_orient=turn @ guests.params.global_orient),
        camera_from_world=batch.camera_from_world[photo],
        vertices=around(guests.vertices),
        surface=torch.where(worn, around(guests.surface), guests.surface),
        normals=guests.normals @ turn.mT,
        joints=around(guests.joints),
        keypoints=around(guests.keypoints),
        scene=batch.scene[photo],
    )
    return Companions(photo, people.moved(place - root, batch.camera[photo]))


def without_people(batch: SynthBatch, empty: Tensor) -> SynthBatch:
    """The batch with nobody in the photos that `empty` ("B", bool) names: they are left behind the camera."""
    behind = batch.surface.new_tensor([0.0, 0.0, -100.0])
    away = torch.where(empty[:, None, None], behind, batch.surface)
    others = batch.companions
    if others is not None:
        rows = (~empty[others.photo]).nonzero()[:, 0]
        others = Companions(others.photo[rows], others.people[rows])
    return replace(batch, surface=away, companions=others)


def _turned(
    points: Float[Tensor, "C N 3"], turn: Float[Tensor, "C 3 3"], root: Float[Tensor, "C 3"]
) -> Float[Tensor, "C N 3"]:
    """Points about their root, turned."""
    return (points - root[:, None]) @ turn.mT


def _foot(vertices: Float[Tensor, "C V 3"], up: Float[Tensor, "C 3"]) -> Float[Tensor, "C"]:
    """Height of the lowest point."""
    return (vertices @ up[..., None])[..., 0].amin(1)


def _apart(batch: SynthBatch, place: Float[Tensor, "C 3"], photo: Int[Tensor, "C"]) -> list[int]:
    """Guests who stand in nobody's place, first come, first served."""
    kept: list[int] = []
    for i, where in enumerate(photo.tolist()):
        up = batch.camera_from_world[where, :, 1]
        others = torch.stack([batch.joints[where, 0], *(place[k] for k in kept if photo[k] == where)])
        away = others - place[i]
        flat = away - (away @ up)[:, None] * up
        if float(flat.norm(dim=-1).amin()) >= LEAST_APART_M:
            kept.append(i)
    return kept
