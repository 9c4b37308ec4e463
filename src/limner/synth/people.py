"""Images of people with exact targets: who is in the virtual photo, and how any square of it looks."""

from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Generator, Tensor

from limner.body.keypoints import HEAD_KEYPOINTS, KEYPOINT_NAMES, hand21, indices_of
from limner.body.model import BodyModel
from limner.body.params import BodyParams
from limner.geometry.box import Squares, bounds_of, squares_around
from limner.geometry.camera import Camera
from limner.geometry.mesh import vertex_normals
from limner.geometry.warp import unit_grid
from limner.index import Index, rows_of
from limner.records import Rows
from limner.render.raster import Fragments, rasterize
from limner.synth.appearance import Looks, sample_looks
from limner.synth.chance import coin, normal, uniform
from limner.synth.chart import FIELD, BodyChart, make_chart
from limner.synth.drape import Drape, drape
from limner.synth.light import Panoramas, studio_panoramas
from limner.synth.loose import LOOSE, loose_vertices, loosened, make_kit, sample_loose
from limner.synth.noise import noise_image
from limner.synth.photo import develop
from limner.synth.sampler import PersonSampler
from limner.synth.scene import Scene, backgrounds, occlusion, place_people, sample_scenes, soft_light
from limner.synth.shade import Corners, ShadowMaps, Spots, corners_of, crevices, light_up, shadow_maps, unit
from limner.synth.surface import dot, paint

PARTS = ("left_hand", "right_hand", "face")


@dataclass(frozen=True)
class SynthBatch(Rows):
    """B people, each in a virtual photo of photo_px x photo_px pixels; positions in camera axes, metres.

    params with `transl`; vertices "B V 3" of the naked body, which all labels describe; surface "B W 3" the same
    vertices with clothes and hair on, then those of loose pieces, its normals, and `drape`, what is worn where;
    joints "B 55 3"; keypoints "B 144 3"; keypoints_px "B 144 2"; boxes "B 4" of the visible body in the photo
    (clipped to it); camera; looks; scene; seed of the photo noise; companions: other people in some of the photos.
    """

    params: BodyParams
    camera_from_world: Float[Tensor, "B 3 3"]
    vertices: Float[Tensor, "B V 3"]
    surface: Float[Tensor, "B W 3"]
    normals: Float[Tensor, "B W 3"]
    joints: Float[Tensor, "B 55 3"]
    keypoints: Float[Tensor, "B 144 3"]
    keypoints_px: Float[Tensor, "B 144 2"]
    boxes: Float[Tensor, "B 4"]
    camera: Camera
    looks: Looks
    drape: Drape
    scene: Scene
    photo_px: int = field(metadata={"shared": True})
    seed: int = field(metadata={"shared": True})
    companions: "Companions | None" = field(default=None, metadata={"shared": True})

    def __getitem__(self, index: Index) -> "SynthBatch":
        """Some of the people, with the companions in their photos."""
        others = None if self.companions is None else self.companions.of_photos(index, len(self))
        return replace(super().__getitem__(index), companions=others)

    def moved(self, shift: Float[Tensor, "B 3"], camera: Camera) -> "SynthBatch":
        """The same people alone, so many metres (camera axes) elsewhere before other cameras."""
        by = shift[:, None]
        keypoints = self.keypoints + by
        return replace(
            self,
            params=self.params.replace(transl=self.params.transl + shift),
            vertices=self.vertices + by,
            # pieces that are not worn lie behind the camera and stay there
            surface=torch.where(self.surface[..., 2:] > -0.99, self.surface + by, self.surface),
            joints=self.joints + by,
            keypoints=keypoints,
            keypoints_px=camera.project(keypoints),
            camera=camera,
            companions=None,
        )


@dataclass(frozen=True)
class Companions:
    """C other people: whose photo each is in ("C", rows of the batch), and they themselves with that photo's camera."""

    photo: Int[Tensor, "C"]
    people: SynthBatch

    def of_photos(self, index: Index, count: int) -> "Companions":
        """Those in the photos that an index picks out of `count` ones (each at most once)."""
        chosen = torch.arange(count, device=self.photo.device)[rows_of(index, count)]
        place = torch.full((count,), -1, device=self.photo.device)
        place[chosen] = torch.arange(len(chosen), device=place.device)
        kept = (place[self.photo] >= 0).nonzero()[:, 0]
        return Companions(place[self.photo[kept]], self.people[kept])


class SyntheticPeople:
    """Draws batches of people and renders any square of their photos, all on the body model's device."""

    def __init__(
        self,
        body_model: BodyModel,
        sampler: PersonSampler,
        panoramas: Panoramas | None = None,
        photo_px: int = 1024,
        chunk: int = 1 << 15,
        chart: BodyChart | None = None,
    ):
        """`panoramas`: light and backgrounds (`read_panoramas`); None lights people in plain studios.

        `chart`: made from the body model unless given (it takes a second).
        `chunk`: batches of more covered pixels than this are shaded image by image. On a GPU give it millions.
        """
        self.body_model, self.sampler, self.photo_px, self.chunk = body_model, sampler, photo_px, chunk
        device = body_model.v_template.device
        self.panoramas = studio_panoramas(device) if panoramas is None else panoramas
        self.chart = make_chart(body_model) if chart is None else chart
        self.kit = make_kit(body_model, self.chart)
        self.painted = loosened(self.chart, self.kit)
        self.faces = torch.cat([body_model.faces, self.kit.faces + len(self.chart.fields)])
        generator = torch.Generator(device).manual_seed(0)
        self.fabric = noise_image(generator)
        self.noise = _noise_image(generator)

    @torch.no_grad()
    def batch(self, count: int, generator: Generator) -> SynthBatch:
        """B new people with camera, clothes and surroundings; the same generator state gives the same people."""
        people = self.sampler.sample_people(count, generator)
        mesh = self.body_model(people.params)
        anchors = mesh.joints[:, [15, 12, 9, 6, 0]]  # head, neck, chest, belly, pelvis: what close-ups show
        camera, transl = place_people(mesh.vertices[:, ::4], anchors, self.photo_px, generator)
        params = people.params.replace(transl=transl)
        vertices, joints = mesh.vertices + transl[:, None], mesh.joints + transl[:, None]
        keypoints = self.body_model.keypoints144(type(mesh)(vertices, joints), params)
        marks = camera.project(keypoints)
        boxes = bounds_of(camera.project(vertices[:, ::4])).clamp(0, self.photo_px)
        loose = sample_loose(params, generator)
        looks = sample_looks(self.chart, loose.on[:, LOOSE.index("skirt")] > 0.5, generator)
        scene = sample_scenes(self.panoramas, people.camera_from_world, marks[:, :76], boxes, looks.skin, generator)
        bare = vertex_normals(vertices, self.body_model.faces)
        worn = drape(self.chart, self.kit, looks, self.fabric)
        hanging = loose_vertices(self.kit, loose, self.body_model, params)
        surface = torch.cat([vertices + bare * worn.offset[..., None], hanging], 1)
        batch = SynthBatch(
            params=params,
            camera_from_world=people.camera_from_world,
            vertices=vertices,
            surface=surface,
            normals=vertex_normals(surface, self.faces),
            joints=joints,
            keypoints=keypoints,
            keypoints_px=marks,
            boxes=boxes,
            camera=camera,
            looks=looks,
            drape=worn,
            scene=scene,
            photo_px=self.photo_px,
            seed=int(torch.randint(2**31, (1,), generator=generator, device=generator.device)),
        )
        return replace(batch, companions=_companions(batch, generator))

    @torch.no_grad()
    def render(
        self,
        batch: SynthBatch,
        squares: Squares,
        size: int,
        supersample: float = 1.25,
        mirror: Bool[Tensor, "B"] | None = None,
    ) -> UInt8[Tensor, "B 3 S S"]:
        """How the squares look at `size` pixels; `mirror` flips those crops left to right.

        Drawn at `supersample` times the size and reduced to the resolution that the photo's true pixels give.
        """
        drawn = 2 * int(round(size * supersample / 2))
        linear = self._light(batch, squares, drawn)
        generator = torch.Generator(linear.device).manual_seed(batch.seed + size)
        image = develop(linear, batch.scene.style, squares.size_px, size, generator)
        image = image.masked_fill(self._outside(batch, squares, size), 0.0)
        if mirror is not None:
            image = torch.where(mirror[:, None, None, None], image.flip(-1), image)
        return (image * 255).round().to(torch.uint8)

    def _light(self, batch: SynthBatch, squares: Squares, size: int) -> Float[Tensor, "B R R 3"]:
        """Linear light on the sensor under the squares, without lens, noise and photo processing."""
        image = self._background(batch, squares, size)
        fragments = self._fragments(batch, squares, size)
        person = self._person(batch, fragments, squares, size)
        image = image.reshape(-1, 3).index_copy_(0, fragments.covered_pixels, person)
        image = self._with_companions(image, batch, fragments, squares, size).view(len(batch), -1, 3)
        grid = unit_grid(size, squares.size_px).flatten(0, 1).expand(len(batch), -1, 2)
        places = squares.photo_from_unit(grid)
        image = self._occluded(image, batch.scene, places, squares.size_px / size)
        return image.unflatten(1, (size, size))

    def _with_companions(
        self, image: Float[Tensor, "P 3"], batch: SynthBatch, fragments: Fragments, squares: Squares, size: int
    ) -> Float[Tensor, "P 3"]:
        """The image (all pixels of all crops in a row) with the other people, where they are nearer."""
        others = batch.companions
        if others is None or len(others.photo) == 0:
            return image
        nearest = fragments.depth.view(-1)
        for row in _one_a_photo(others.photo):
            where, people = others.photo[row], others.people[row]
            seen = self._fragments(people, squares[where], size)
            light = self._person(people, seen, squares[where], size)
            pixel = seen.covered_pixels
            photo = where.index_select(0, pixel.div(size * size, rounding_mode="floor"))
            target = photo * (size * size) + pixel.remainder(size * size)
            depth = seen.depth.view(-1).index_select(0, pixel)
            ahead = depth < nearest.index_select(0, target)
            image = image.index_copy(0, target[ahead], light[ahead])
            nearest = nearest.index_copy(0, target[ahead], depth[ahead])
        return image

    def _outside(self, batch: SynthBatch, squares: Squares, size: int) -> Bool[Tensor, "B 1 S S"]:
        """Pixels beyond the edges of photos that have edges."""
        grid = unit_grid(size, squares.size_px).flatten(0, 1).expand(len(batch), -1, 2)
        places = squares.photo_from_unit(grid)
        outside = ((places < 0) | (places > batch.photo_px)).any(-1) & batch.scene.bounded[:, None]
        return outside.view(-1, 1, size, size)

    def _background(self, batch: SynthBatch, squares: Squares, size: int) -> Float[Tensor, "B N 3"]:
        """What lies behind, drawn at half size: it is out of focus."""
        grid = unit_grid(size // 2, squares.size_px).flatten(0, 1).expand(len(batch), -1, 2)
        places = squares.photo_from_unit(grid)
        image = backgrounds(batch.scene, self.panoramas, batch.camera, self.noise, places)
        image = image.mT.unflatten(-1, (size // 2, size // 2))
        image = torch.nn.functional.interpolate(image, (size, size), mode="bilinear", align_corners=False)
        return image.flatten(2).mT.contiguous()

    def _occluded(self, image: Tensor, scene: Scene, places: Tensor, edge_px: Tensor) -> Float[Tensor, "B N 3"]:
        """The image with the things in front of the person."""
        rows = scene.occluder_on.any(-1).nonzero()[:, 0]
        part, places = scene[rows], places[rows]
        cover = occlusion(part, places, edge_px[rows])
        result = image[rows]
        for k in range(cover.shape[-1]):
            result = torch.lerp(result, _occluder_color(part, places, k), cover[..., k, None])
        return image.index_copy(0, rows, result)

    def _fragments(self, batch: SynthBatch, squares: Squares, size: int, faces: Tensor | None = None) -> Fragments:
        place = squares.unit_from_photo(batch.camera.project(batch.surface))
        pixels = torch.cat([(place + 1) * (size / 2), batch.surface[..., 2:]], -1)
        return rasterize(pixels, self.faces if faces is None else faces, size, size, near=0.05)

    def _person(self, batch: SynthBatch, fragments: Fragments, squares: Squares, size: int) -> Float[Tensor, "N 3"]:
        """Light from the covered pixels: all at once, or image by image, which stays in a CPU's cache."""
        corners = corners_of(fragments)
        # a metre at the person's depth, in drawn pixels
        metre = batch.camera.focal_px / batch.joints[..., 2].mean(1) * size / squares.size_px
        dim = crevices(fragments, metre).view(-1).index_select(0, fragments.covered_pixels)
        toward = batch.scene.key_direction[:, 0]
        maps = shadow_maps(batch.surface, self.faces, corners, toward, size // 2)
        scene = batch.scene
        soft = soft_light(self.panoramas, scene.panorama, scene.pano_from_camera, batch.normals)
        soft = soft * scene.ambient[:, None, None]
        shape = torch.cat([batch.surface, batch.normals, soft, batch.drape.depth], -1)
        if len(corners) <= self.chunk:
            return self._spots(batch, corners, dim, shape, maps)
        ends = torch.bincount(corners.sample, minlength=len(batch)).cumsum(0).tolist()
        lit = []
        for image, (start, end) in enumerate(zip([0, *ends[:-1]], ends, strict=True)):
            own, rows = slice(image, image + 1), slice(start, end)
            lit.append(self._spots(batch[own], corners.part(rows, image), dim[rows], shape[own], maps[own]))
        return torch.cat(lit)

    def _spots(
        self, batch: SynthBatch, corners: Corners, dim: Tensor, shape: Float[Tensor, "B V C"], maps: ShadowMaps
    ) -> Float[Tensor, "N 3"]:
        """Light from some covered pixels."""
        field = corners.mix(self.painted.fields[None])
        position, normal, soft, depth = corners.mix(shape).split([3, 3, 3, shape.shape[-1] - 9])
        # loose pieces are thin: seen from the inside they face the other way
        turned = (corners.face >= len(self.body_model.faces)) & (dot(normal, position) > 0)
        spots = Spots(
            sample=corners.sample,
            position=position,
            normal=unit(torch.where(turned, -normal, normal)),
            openness=dim * field[FIELD["openness"]].clamp(0.03, 1) ** 0.8,
            soft=soft,
        )
        unrolled = corners.mix_corners(self.painted.unrolled)
        surface = paint(field, unrolled, depth, corners.sample, batch.looks, self.painted, self.fabric)
        reach = maps.reach(corners.sample, position)
        return light_up(spots, surface, batch.scene, batch.camera_from_world[:, :, 1], reach).mT

    @torch.no_grad()
    def visible(self, batch: SynthBatch, size: int = 256) -> Bool[Tensor, "B 144"]:
        """True for keypoints in the photo that neither the body itself nor an occluder hides.

        Joints lie inside the body: each kind may be as deep behind the seen surface as the body is thick there.
        """
        squares = squares_around(batch.boxes, 1.05)
        depth = self._fragments(batch, squares, size).depth
        if batch.companions is not None and len(batch.companions.photo) > 0:
            photo, others = batch.companions.photo, batch.companions.people
            depth = nearest_of(depth, photo, self._fragments(others, squares[photo], size).depth)
        place = squares.unit_from_photo(batch.keypoints_px)
        index = ((place + 1) * (size / 2)).long().clamp(0, size - 1)
        flat = (index[..., 1] * size + index[..., 0]).clamp(0, size * size - 1)
        front = depth.flatten(1).gather(1, flat)
        shown = batch.keypoints[..., 2] - front < keypoint_thickness(batch.keypoints)
        inside = ((batch.keypoints_px >= 0) & (batch.keypoints_px <= batch.photo_px)).all(-1)
        free = occlusion(batch.scene, batch.keypoints_px, torch.ones_like(squares.size_px)).amax(-1) < 0.5
        return shown & inside & free

    def depths(self, batch: SynthBatch, squares: Squares, size: int) -> Float[Tensor, "B S S"]:
        """How far away each person is at each pixel of the squares, metres, inf where they are not.

        With clothes and hair, without what they hold; nothing hides them here, not even companions.
        """
        kinds = self.kit.piece[self.kit.faces[:, 0]]
        own = torch.ones(len(self.faces), dtype=torch.bool, device=kinds.device)
        own[len(self.body_model.faces) :] = kinds != LOOSE.index("held")
        return self._fragments(batch, squares, size, self.faces[own]).depth

    def body_squares(self, batch: SynthBatch, jitter: float, generator: Generator, margin: float = 1.2) -> Squares:
        """Upright squares about the visible people; `jitter` (0: none) moves and scales them by that share."""
        return _jittered(squares_around(batch.boxes, margin), jitter, 0.0, generator)

    def part_squares(
        self, batch: SynthBatch, part: str, jitter: float, generator: Generator, margin: float = 2.0, turn: float = 0.0
    ) -> Squares:
        """Squares about a hand or the face (one of PARTS), `margin` times the box of its keypoints.

        `jitter` moves and scales them by that share; `turn` is the standard deviation of their angle, radians.
        """
        names = HEAD_KEYPOINTS if part == "face" else hand21(part.removesuffix("_hand"))
        box = bounds_of(batch.keypoints_px[:, list(indices_of(names))])
        return _jittered(squares_around(box, margin), jitter, turn, generator)


def nearest_of(
    depth: Float[Tensor, "B S S"], photo: Int[Tensor, "C"], others: Float[Tensor, "C S S"]
) -> Float[Tensor, "B S S"]:
    """Depth maps of photos with other people added, `photo` says to which."""
    nearest = depth.clone()
    for row, other in zip(photo.tolist(), others, strict=True):
        nearest[row] = torch.minimum(nearest[row], other)
    return nearest


def _one_a_photo(photo: Int[Tensor, "C"]) -> list[Int[Tensor, "_"]]:
    """Rows of companions in turns, of each photo one a turn."""
    turn = (photo[:, None] == photo).tril(-1).sum(1)
    return [(turn == k).nonzero()[:, 0] for k in range(int(turn.amax()) + 1)]


def _companions(batch: SynthBatch, generator: Generator) -> Companions:
    """In every seventh photo another person of the batch stands beside, mostly behind, in the same light."""
    count = len(batch)
    photo = coin(generator, (count,), 0.15).nonzero()[:, 0]
    n = (len(photo),)
    guest = (photo + torch.randint(1, max(count, 2), n, generator=generator, device=photo.device)) % count
    behind = coin(generator, n, 0.7)
    nearness = torch.where(behind, uniform(generator, n, 1.03, 1.9), uniform(generator, n, 0.72, 0.96))
    root = batch.params.transl[photo]
    size = (batch.boxes[:, 2:] - batch.boxes[:, :2])[photo].amax(-1)
    side = torch.where(coin(generator, n, 0.5), 1.0, -1.0)
    # those in front stand further aside: the person in question shall not be lost
    aside = side * size * torch.where(behind, uniform(generator, n, 0.08, 0.7), uniform(generator, n, 0.4, 0.8))
    z = root[:, 2] * nearness
    x = root[:, 0] / root[:, 2] * z + aside / batch.camera.focal_px[photo] * z
    y = root[:, 1] + normal(generator, n, 0.05)
    visitors = batch[guest]
    people = visitors.moved(torch.stack([x, y, z], -1) - visitors.params.transl, batch.camera[photo])
    world = batch.camera_from_world[photo]
    return Companions(photo, replace(people, camera_from_world=world, scene=batch.scene[photo]))


def _occluder_color(scene: Scene, places: Float[Tensor, "B N 2"], k: int) -> Float[Tensor, "B N 3"]:
    """Light from occluder k: two shades that run into each other."""
    first, second = scene.occluder_color[:, None, k, 0], scene.occluder_color[:, None, k, 1]
    away = (places - scene.occluder_center_px[:, None, k]) / scene.occluder_half_px[:, None, k, :1]
    share = (0.25 + 0.2 * (away * scene.seed_place[:, None]).sum(-1, keepdim=True)).clamp(0, 0.5)
    return torch.lerp(first, second, share)


def _jittered(squares: Squares, jitter: float, turn: float, generator: Generator) -> Squares:
    n = (len(squares),)
    center = squares.center_px + uniform(generator, (*n, 2), -0.5, 0.5) * jitter * squares.size_px[:, None]
    size = squares.size_px * (normal(generator, n, 0.5, limit=2) * jitter).exp()
    return Squares(center, size, squares.angle_rad + normal(generator, n, 1.0) * turn)


def keypoint_thickness(keypoints: Tensor) -> Float[Tensor, "144"]:
    """How far behind the seen surface each keypoint may lie and still count as seen, metres."""
    limits = {
        "pelvis": 0.22, "spine": 0.2, "neck": 0.12, "head": 0.15, "jaw": 0.1, "collar": 0.16, "hip": 0.17,
        "shoulder": 0.13, "elbow": 0.085, "wrist": 0.05, "knee": 0.11, "ankle": 0.09, "foot": 0.07, "smplx": 0.03,
    }  # fmt: skip
    values = []
    for index, name in enumerate(KEYPOINT_NAMES):
        if index < 25:
            values.append(next((v for k, v in limits.items() if k in name), 0.1))
        elif index < 55:
            values.append(0.024)
        else:
            values.append(0.025 if index < 127 else 0.03)
    return keypoints.new_tensor(values)


def _noise_image(generator: Generator) -> Float[Tensor, "1 6 M M"]:
    """Six smooth random images, unit variance, finest detail a pixel."""
    total = torch.zeros(1, 6, 128, 128, device=generator.device)
    for size, weight in ((16, 0.7), (32, 0.5), (64, 0.35), (128, 0.25)):
        layer = torch.randn(1, 6, size, size, generator=generator, device=generator.device)
        total += weight * torch.nn.functional.interpolate(layer, 128, mode="bicubic", align_corners=False)
    return total
