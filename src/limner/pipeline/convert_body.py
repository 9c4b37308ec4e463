"""Conversion of people of limner's own body to the user's SMPL-X body. Shape, expression, pose and place.

All that shapes a body at rest is linear in its coefficients, so the coefficients of one body that come nearest to those
of the other are a matrix product, found once for a pair of models.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from limner.body.keypoints import FACE68, KEYPOINT_NAMES, hand21, indices_of
from limner.body.model import PERSON_BETAS, BodyModel
from limner.body.params import BodyParams
from limner.body.skeleton import BODY_JOINTS, JOINT, JOINT_NAMES
from limner.body.skinning import pose_joints
from limner.geometry.box import bounds_of
from limner.geometry.camera import Camera, translation_from_points
from limner.pipeline.match_bodies import (
    SurfaceMatch,
    match_surfaces,
    rest_keypoints,
    rest_turns,
    skin_vertices,
    turned,
)
from limner.pipeline.refine import RefineOptions, Targets, refine

POINTS = 100.0
"""So many independent measurements all joints, landmarks and the surface together are worth, each off by what is left
over: against these a coefficient is pulled to zero by one standard deviation of people."""
LEAST_LEFT_M = 2e-4
"""Two models never agree better than this, metres (the embedded body's directions are rounded to 0.03 mm)."""
SHARES = {"joints": 0.3, "surface": 0.5, "landmarks": 0.2}
HAND_JOINT_WEIGHT = 0.2
"""Thirty of the 55 joints are fingers'."""
LEAST_HEAD_MM = 0.3
"""Head shapes that are lost by more than this are said to be lost."""
PLACING = RefineOptions(replace(RefineOptions().solver, steps=4), betas_stiffness=1000.0)
"""The shape is converted; where somebody stands does not touch it."""
PLACED_SIGMA = 0.003
"""Usual error of a point to be met, as a share of the person's longer side in the photo."""
SPINE = ("spine1", "spine2", "spine3", "left_collar", "right_collar")
"""Joints that nobody sees and that each model has elsewhere: they are not met."""
HAND_WEIGHT, FACE_WEIGHT = 0.1, 0.03
"""Of one point of a hand's 20 and a face's 51."""


@dataclass(frozen=True)
class Leftover:
    """What a conversion cannot express: root mean square distances at rest, millimetres, over people whose shape and
    expression are usual (standard normal).

    joints_mm, surface_mm, landmarks_mm: of the 55 joints, the skin (None: the surfaces could not be matched), the 51
    face landmarks. head_mm: of the face's skin and landmarks, by shapes of the head alone.
    """

    joints_mm: float
    surface_mm: float | None
    landmarks_mm: float
    head_mm: float

    def __str__(self) -> str:
        surface = "surfaces not matched" if self.surface_mm is None else f"surface {self.surface_mm:.1f}"
        return f"joints {self.joints_mm:.1f}, {surface}, face landmarks {self.landmarks_mm:.1f} mm"


class BodyConverter:
    """Turns people of limner's own body into people of another body of SMPL-X's skeleton.

    leftover: what is lost on the way. Setting it up takes half a second, converting a person a matrix product, some
    products for the place and a few steps of `refine`.
    """

    def __init__(self, source: BodyModel, target: BodyModel):
        """`source`: limner's own body; `target`: the user's."""
        self.source, self.target = source, target
        self.turns = rest_turns(source, target)
        self._small_source, self._small_target = source.keypoints_only(), target.keypoints_only()
        rows = _rows(source, target, self.turns)
        people = slice(0, source.num_betas)
        shape = _fit(rows.shape(source.num_betas, target.num_betas))
        expression = _fit(rows.expression(source.num_betas, target.num_betas))
        self._shape, self._expression = shape, expression
        self.leftover = rows.leftover(shape, expression, people)

    @classmethod
    def to(cls, target: BodyModel) -> "BodyConverter | None":
        """From the embedded body to `target`; None where that is limner's body itself."""
        return None if target.is_limners else cls(BodyModel.load(), target)

    def move(self, device: torch.device) -> None:
        """Go on on another device."""
        for model in (self.source, self.target, self._small_source, self._small_target):
            model.to(device)
        self.turns = self.turns.to(device)
        self._shape, self._expression = self._shape.to(device), self._expression.to(device)

    @property
    def note(self) -> str:
        """One sentence for the user: what was converted and what is lost."""
        lost = ""
        if self.leftover.head_mm > LEAST_HEAD_MM:
            lost = f" Head shapes that it does not have are dropped ({self.leftover.head_mm:.1f} mm)."
        return (
            f"Shape and expression are converted to {self.target.assets.path.name} "
            f"({self.target.num_betas} betas, {self.target.num_expression} expression coefficients); left over at "
            f"rest, RMS over usual people: {self.leftover}.{lost}"
        )

    def betas(self, betas: Float[Tensor, "B S"]) -> Float[Tensor, "B T"]:
        """The target's betas for betas of limner's body."""
        return self._shape(betas)

    def expression(self, expression: Float[Tensor, "B E"]) -> Float[Tensor, "B G"]:
        """The target's expression coefficients for those of limner's body; neutral stays neutral."""
        return self._expression(expression)

    @torch.no_grad()
    def __call__(self, params: BodyParams, camera: Camera | None = None) -> BodyParams:
        """The same people as bodies of the target, standing where limner's stand.

        Shape and expression as above, joints turned so that bones point where limner's point. With the photo's camera
        the body is moved, and its limbs by a little, so that its keypoints lie where limner's lie in the photo; without
        one, where they lie in space.
        """
        small, other = self._small_source, self._small_target
        wanted = small.keypoints144(small(params), params)
        body = params.with_full_pose(turned(params, self.turns)).replace(
            betas=self.betas(params.betas),
            expression=self.expression(params.expression),
            transl=torch.zeros_like(params.transl),
        )
        points = other.keypoints144(other(body), body)
        index = list(indices_of(MET))
        in_space = (wanted - points)[:, index].mean(1)
        if camera is None or not len(params):
            return body.replace(transl=in_space)
        wanted_px = camera.project(wanted)
        transl = translation_from_points(points[:, index], wanted_px[:, index], camera, in_space)
        body = body.replace(transl=transl)
        return refine(other, body, camera, _placing_targets(other, body, points + transl[:, None], wanted_px), PLACING)


MET = tuple(name for name in KEYPOINT_NAMES[:127] if name not in SPINE)
"""Points that the converted body shares with limner's: all but the spine's and the contour, which slides."""


def _placing_targets(
    model: BodyModel, body: BodyParams, points: Float[Tensor, "B 144 3"], wanted_px: Float[Tensor, "B 144 2"]
) -> Targets:
    """Where the points of a body should be seen; fingers ride on the wrist, toes on the ankle, the face on the head."""
    carriers, weights = {name: name for name in BODY_JOINTS if name not in SPINE}, dict[str, float]()
    for side in ("left", "right"):
        carriers |= {f"{side}_{toe}": f"{side}_ankle" for toe in ("big_toe", "small_toe", "heel")}
        carriers |= dict.fromkeys(hand21(side)[1:], f"{side}_wrist")
        weights |= dict.fromkeys(hand21(side)[1:], HAND_WEIGHT)
    carriers |= dict.fromkeys(FACE68[17:], "head")
    weights |= dict.fromkeys(FACE68[17:], FACE_WEIGHT)
    index = list(indices_of(tuple(carriers)))
    joint = torch.tensor([JOINT[name] for name in carriers.values()], device=points.device)
    absolute, joints = pose_joints(body.full_pose(), model.rest_joints(body))
    arms = points[:, index] - (joints + body.transl[:, None])[:, joint]
    seen = wanted_px[:, index]
    bounds = bounds_of(seen)
    size = (bounds[:, 2:] - bounds[:, :2]).amax(1, keepdim=True).clamp_min(1.0)
    weight = seen.new_tensor([weights.get(name, 1.0) for name in carriers])
    return Targets(
        joint=joint,
        offset=(absolute[:, joint].mT @ arms[..., None])[..., 0],
        point_px=seen,
        weight=weight.expand(len(seen), -1),
        sigma_px=(PLACED_SIGMA * size).expand(-1, len(index)),
    )


@dataclass(frozen=True)
class _Affine:
    """y = start + matrix x."""

    start: Float[Tensor, "T"]
    matrix: Float[Tensor, "T S"]

    def __call__(self, x: Float[Tensor, "B S"]) -> Float[Tensor, "B T"]:
        known = min(x.shape[1], self.matrix.shape[1])  # files of an older body have fewer
        return (self.start + x[:, :known].double() @ self.matrix[:, :known].mT).to(x.dtype)

    def to(self, device: torch.device) -> "_Affine":
        return _Affine(self.start.to(device), self.matrix.to(device))


@dataclass(frozen=True)
class _System:
    """Rows of a least-squares problem, three a point: mine @ y + free shift = theirs + theirs_by x, weighted."""

    mine: Float[Tensor, "N 3 T"]
    theirs: Float[Tensor, "N 3"]
    theirs_by: Float[Tensor, "N 3 S"]
    weight: Float[Tensor, "N"]
    shifts: bool

    def left(self, fit: _Affine) -> tuple[Float[Tensor, "N 3"], Float[Tensor, "N 3 S"]]:
        """What a fit leaves: for the mean person, and by each of the person's coefficients."""
        mean = torch.einsum("nct,t->nc", self.mine, fit.start) - self.theirs
        by = torch.einsum("nct,ts->ncs", self.mine, fit.matrix) - self.theirs_by
        if self.shifts:
            share = self.weight / self.weight.sum()
            mean, by = mean - (share @ mean), by - torch.einsum("n,ncs->cs", share, by)
        return mean, by


@dataclass(frozen=True)
class _Rows:
    """The same points of both bodies at rest, and how they move with each coefficient (betas, then expression).

    here, there "N 3" of the first and the second body; here_by, there_by "N 3 C"; group: slices of the points;
    area "surface" weights; face: which points tell of the face.
    """

    here: Float[Tensor, "N 3"]
    there: Float[Tensor, "N 3"]
    here_by: Float[Tensor, "N 3 C"]
    there_by: Float[Tensor, "N 3 D"]
    group: dict[str, slice]
    weight: Float[Tensor, "N"]
    face: Float[Tensor, "N"]

    def shape(self, num_source: int, num_target: int) -> _System:
        there_by, here_by = self.there_by[..., :num_target], self.here_by[..., :num_source]
        return _System(there_by, self.here - self.there, here_by, self.weight, True)

    def expression(self, num_source: int, num_target: int) -> _System:
        """Displacements of the face alone: a neutral face stays one, whoever's it is."""
        still = torch.zeros_like(self.here)
        weight = self.weight * self.face
        weight = weight / weight.sum().clamp_min(1e-12)
        return _System(self.there_by[..., num_target:], still, self.here_by[..., num_source:], weight, False)

    def leftover(self, shape: _Affine, expression: _Affine, betas: slice) -> Leftover:
        """Root mean squares over people whose coefficients are standard normal: the mean and all slopes squared."""
        num_target = len(shape.start)
        mean, by_shape = self.shape(betas.stop, num_target).left(shape)
        _, by_expression = self.expression(betas.stop, num_target).left(expression)
        squared = mean.square().sum(1) + by_shape.square().sum((1, 2)) + by_expression.square().sum((1, 2))
        head = by_shape[..., PERSON_BETAS:].square().sum((1, 2))

        def rms_mm(values: Tensor, name: str) -> float | None:
            rows = self.group[name]
            weight = self.weight[rows]
            if not len(weight):
                return None
            return 1000 * float((values[rows] * weight).sum() / weight.sum()) ** 0.5

        face = self.face * self.weight
        return Leftover(
            joints_mm=rms_mm(squared, "joints") or 0.0,
            surface_mm=rms_mm(squared, "surface"),
            landmarks_mm=rms_mm(squared, "landmarks") or 0.0,
            head_mm=1000 * float((head * face).sum() / face.sum()) ** 0.5,
        )


def _fit(system: _System) -> _Affine:
    """Ridge least squares: first nearly free, to see what must be left over; then with that as the points' error."""
    sigma = LEAST_LEFT_M
    fit = _solve(system, sigma)
    mean, by = system.left(fit)
    left = ((mean.square().sum(1) + by.square().sum((1, 2))) * system.weight).sum() / system.weight.sum()
    return _solve(system, max(sigma, float(left) ** 0.5))


def _solve(system: _System, sigma: float) -> _Affine:
    weight = (system.weight / system.weight.sum() * POINTS).sqrt()[:, None, None] / sigma
    count = system.mine.shape[-1]
    columns, wanted = system.mine, torch.cat([system.theirs[..., None], system.theirs_by], -1)
    if system.shifts:
        columns = torch.cat([columns, torch.eye(3, dtype=columns.dtype).expand(len(columns), 3, 3)], -1)
    a, b = (columns * weight).flatten(0, 1), (wanted * weight).flatten(0, 1)
    ridge = torch.zeros(columns.shape[-1], dtype=a.dtype)
    ridge[:count] = 1.0
    solved = torch.linalg.solve(a.mT @ a + torch.diag(ridge + 1e-9), a.mT @ b)[:count]
    return _Affine(solved[:, 0], solved[:, 1:])


def _rows(source: BodyModel, target: BodyModel, turns: Float[Tensor, "55 3 3"]) -> _Rows:
    """Joints, matched surface, landmarks of both bodies in the target's rest pose."""
    match = match_surfaces(source, target, turns, skin_vertices(source)[::2])
    none = torch.zeros(0, dtype=torch.int64)
    vertex = none if match is None else match.vertex
    here, here_by = _of_source(source, turns, vertex)
    there, there_by = _of_target(target, match)
    joints, marks = len(JOINT_NAMES), len(FACE68) - 17
    total = len(here)
    skin = joints + marks
    group = {"joints": slice(0, joints), "landmarks": slice(joints, skin), "surface": slice(skin, total)}
    weight = torch.ones(total, dtype=torch.float64)
    weight[len(BODY_JOINTS) + 3 : joints] = HAND_JOINT_WEIGHT
    face = torch.zeros(total, dtype=torch.float64)
    face[group["landmarks"]] = 1.0
    if match is not None:
        weight[group["surface"]] = match.area
        face[group["surface"]] = match.face.double()
    for name, rows in group.items():
        weight[rows] *= SHARES[name] / weight[rows].sum().clamp_min(1e-12)
    return _Rows(here, there, here_by, there_by, group, weight, face)


def _of_source(
    model: BodyModel, turns: Float[Tensor, "55 3 3"], vertex: Int[Tensor, "N"]
) -> tuple[Float[Tensor, "M 3"], Float[Tensor, "M 3 C"]]:
    """Joints, landmarks and vertices of limner's body laid into the other's rest pose: mean, and by coefficient."""
    marks = model.landmark_vertices
    used, place = torch.cat([vertex, marks.flatten()]).unique(return_inverse=True)
    small = model.restricted(used)
    count = model.num_betas + model.num_expression
    unit = torch.cat([torch.zeros(1, count), torch.eye(count)]).to(model.v_template)
    rest = model.rest(1 + count)
    people = rest.replace(
        betas=unit[:, : model.num_betas],
        expression=unit[:, model.num_betas :],
        global_orient=torch.eye(3).to(unit).expand(1 + count, 3, 3),
    )
    mesh = small(people.with_full_pose(turned(people, turns.mT)))  # rest turned into the other's rest
    corners = mesh.vertices[:, place[len(vertex) :].reshape(marks.shape)]
    face = (corners * model.landmark_barycentric[..., None]).sum(2)
    points = torch.cat([mesh.joints, face, mesh.vertices[:, place[: len(vertex)]]], 1).double()
    return points[0], (points[1:] - points[:1]).permute(1, 2, 0).contiguous()


def _of_target(model: BodyModel, match: SurfaceMatch | None) -> tuple[Float[Tensor, "M 3"], Float[Tensor, "M 3 D"]]:
    """The same points of the other body at rest: mean, and by coefficient."""
    joints = len(JOINT_NAMES)
    corners, barycentric = model.landmark_vertices, model.landmark_barycentric.double()
    if match is not None:
        corners, barycentric = torch.cat([corners, match.corners]), torch.cat([barycentric, match.barycentric])
    directions = model.directions.double()[:, corners]  # D N 3 3
    by = torch.einsum("dnkc,nk->ncd", directions, barycentric)
    mean = (model.v_template.double()[corners] * barycentric[..., None]).sum(1)
    by_joint = model.joint_directions.double().permute(1, 2, 0)
    return torch.cat([rest_keypoints(model).double()[:joints], mean]), torch.cat([by_joint, by])
