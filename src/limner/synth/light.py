"""Light and backgrounds: panoramas as soft light, key light and what lies behind people."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from limner.errors import DataSetError
from limner.io.image_limits import open_image, open_photo_file
from limner.reading.json_file import read_json
from limner.reading.told import RefusedError, told_as

LUMINANCE = (0.2126, 0.7152, 0.0722)  # Rec. 709
_LEVELS = 4  # sizes of each panorama kept, each half as large as the one before


@dataclass(frozen=True)
class Panoramas:
    """P surroundings in linear light, mean luminance about 1, the world y-up.

    pixels "T 3" float16: all panoramas at all sizes, flattened (level, panorama, row, column); ambient "P 9 3"
    irradiance / pi as spherical harmonics without the brightest spot; key_direction "P 3" towards that spot and
    key_color "P 3" its irradiance / pi at normal incidence.
    """

    pixels: Float[Tensor, "T 3"]
    height: int
    ambient: Float[Tensor, "P 9 3"]
    key_direction: Float[Tensor, "P 3"]
    key_color: Float[Tensor, "P 3"]

    def __len__(self) -> int:
        return len(self.ambient)

    def look(
        self, which: Int[Tensor, "B"], directions: Float[Tensor, "B N 3"], level: Int[Tensor, "B"]
    ) -> Float[Tensor, "B N 3"]:
        """Radiance seen along world directions, bilinear, at the given size level (0 is the finest)."""
        x, y, z = directions.unbind(-1)
        height = torch.div(self.height, 2**level, rounding_mode="floor")[:, None].to(x.dtype)
        # column 0 looks along -z and the azimuth grows towards +x; row 0 is the zenith
        azimuth = torch.atan2(x, -z) / (2 * torch.pi) + 0.5
        polar = torch.acos((y / directions.norm(dim=-1)).clamp(-1, 1)) / torch.pi
        column, row = azimuth * 2 * height - 0.5, polar * height - 0.5
        c0, r0 = column.floor(), row.floor()
        fx, fy = (column - c0)[..., None], (row - r0)[..., None]
        start = self._start(which, level)[:, None]
        taps = []
        for dr in (0, 1):
            r = torch.minimum((r0 + dr).clamp_min(0), height - 1)
            for dc in (0, 1):
                c = torch.remainder(c0 + dc, 2 * height)
                index = start + (r * 2 * height + c).long()
                taps.append(self.pixels.index_select(0, index.flatten()).view(*index.shape, 3).to(x.dtype))
        top, bottom = torch.lerp(taps[0], taps[1], fx), torch.lerp(taps[2], taps[3], fx)
        return torch.lerp(top, bottom, fy)

    def _start(self, which: Tensor, level: Tensor) -> Tensor:
        """Where a panorama's level starts in `pixels`."""
        sizes = [len(self) * 2 * (self.height >> k) ** 2 for k in range(_LEVELS)]
        starts = torch.tensor([sum(sizes[:k]) for k in range(_LEVELS)], device=which.device)
        height = torch.div(self.height, 2**level, rounding_mode="floor")
        return starts[level] + which * 2 * height**2


def read_panoramas(folder: str | Path, device: torch.device, height: int = 512) -> Panoramas:
    """Read all panoramas of a folder (`names.json`, WebP files of RGBE bytes, see the data's README).

    `height`: rows kept of each (a power of two); smaller saves memory.
    """
    listed = Path(folder) / "names.json"
    with told_as(DataSetError, listed, "Give the folder of panoramas (see its README)."):
        files = [Path(folder) / str(entry["file"]) for entry in read_json(listed)["hdris"]]
        if not files:
            raise RefusedError("it names no panorama")
    return make_panoramas([_read_rgbe(file, height) for file in files], device)


def _read_rgbe(file: Path, height: int) -> np.ndarray:
    with told_as(DataSetError, file, "Copy the panorama again."):
        with open_photo_file(file) as stream, open_image(stream, file, ("WEBP", "PNG")) as image:
            packed = np.asarray(image).astype(np.float32)
        linear = packed[..., :3] * np.exp2(packed[..., 3:] - 136)
        linear[packed[..., 3] == 0] = 0
        factor = max(1, linear.shape[0] // height)
        return linear.reshape(linear.shape[0] // factor, factor, linear.shape[1] // factor, factor, 3).mean((1, 3))


def make_panoramas(images: list[np.ndarray], device: torch.device) -> Panoramas:
    """Panoramas from equirectangular images in linear light, all H x 2H x 3, row 0 the zenith."""
    radiance = torch.stack([torch.as_tensor(image, dtype=torch.float32) for image in images]).to(device)
    height = radiance.shape[1]
    direction, solid = equirectangular(height, device)
    luminance = radiance @ radiance.new_tensor(LUMINANCE)
    mean = (luminance.clamp_max(50) * solid).sum((1, 2)) / (4 * torch.pi)
    radiance = radiance / mean[:, None, None, None].clamp_min(1e-6)
    # light above a few times the mean is a lamp or the sun: taken out of the soft light, a key light instead
    limit = 6.0
    luminance = (radiance @ radiance.new_tensor(LUMINANCE))[..., None]
    soft = radiance * (limit / luminance.clamp_min(limit))
    excess = (radiance - soft) * solid[None, ..., None]
    weight = excess @ radiance.new_tensor(LUMINANCE)
    spot = torch.nn.functional.normalize(torch.einsum("phw,hwc->pc", weight, direction), dim=-1, eps=1e-6)
    near = ((direction[None] * spot[:, None, None]).sum(-1) > 0.8)[..., None]
    color = (excess * near).sum((1, 2)) / torch.pi
    rest = soft + (radiance - soft).clamp_max(20) * ~near  # other lamps stay in the soft light
    return Panoramas(
        _pyramid(radiance.clamp_max(60)), height, irradiance(rest, direction, solid), spot, color.clamp_max(8)
    )


def _pyramid(radiance: Float[Tensor, "P H W 3"]) -> Float[Tensor, "T 3"]:
    levels = [radiance]
    for _ in range(_LEVELS - 1):
        image = levels[-1].permute(0, 3, 1, 2)
        levels.append(torch.nn.functional.avg_pool2d(image, 2).permute(0, 2, 3, 1))
    return torch.cat([level.reshape(-1, 3) for level in levels]).half()


def equirectangular(height: int, device: torch.device) -> tuple[Float[Tensor, "H W 3"], Float[Tensor, "H W"]]:
    """World directions (y up) and solid angles of the pixels of a panorama."""
    polar = (torch.arange(height, device=device) + 0.5) / height * torch.pi
    azimuth = ((torch.arange(2 * height, device=device) + 0.5) / (2 * height) - 0.5) * 2 * torch.pi
    sin, cos = polar.sin()[:, None], polar.cos()[:, None].expand(-1, 2 * height)
    direction = torch.stack([sin * azimuth.sin(), cos, -sin * azimuth.cos()], -1)
    solid = (sin * (torch.pi / height) ** 2).expand(-1, 2 * height)
    return direction, solid


def harmonics(direction: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 9"]:
    """Real spherical harmonics up to degree 2 of unit vectors."""
    x, y, z = direction.unbind(-1)
    one = torch.ones_like(x)
    return torch.stack(
        [
            0.282095 * one, 0.488603 * y, 0.488603 * z, 0.488603 * x, 1.092548 * x * y, 1.092548 * y * z,
            0.315392 * (3 * z * z - 1), 1.092548 * x * z, 0.546274 * (x * x - y * y),
        ],
        -1,
    )  # fmt: skip


def irradiance(
    radiance: Float[Tensor, "P H W 3"], direction: Float[Tensor, "H W 3"], solid: Float[Tensor, "H W"]
) -> Float[Tensor, "P 9 3"]:
    """Irradiance / pi as harmonics of the normal (Ramamoorthi and Hanrahan, SIGGRAPH 2001)."""
    coefficients = torch.einsum("phwc,hwk->pkc", radiance, harmonics(direction) * solid[..., None])
    kernel = radiance.new_tensor([1.0, *[2 / 3] * 3, *[0.25] * 5])  # cosine lobe / pi
    # a little less of the second degree: keeps strong lights from turning the far side black
    kernel[4:] *= 0.8
    return coefficients * kernel[None, :, None]


def studio_panoramas(device: torch.device) -> Panoramas:
    """Plain rooms with a soft box, for when no panoramas are at hand."""
    direction, _ = equirectangular(32, device)
    images = []
    for x, y, z, warm in ((0.5, 0.7, 0.5, 1.1), (-0.6, 0.5, 0.6, 0.9), (0.0, 0.9, 0.3, 1.0), (0.8, 0.3, -0.5, 1.0)):
        lamp = torch.nn.functional.normalize(direction.new_tensor([x, y, z]), dim=0)
        glow = ((direction @ lamp).clamp_min(0) ** 24)[..., None] * 12
        base = 0.6 + 0.3 * direction[..., 1:2]
        images.append(((base + glow) * direction.new_tensor([warm, 1.0, 2 - warm])).cpu().numpy())
    return make_panoramas(images, device)
