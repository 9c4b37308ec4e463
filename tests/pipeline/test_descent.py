"""The descent of the refinements: downhill only, everybody alone, and no step where there is nothing to gain."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from limner.geometry.camera import Camera
from limner.geometry.rotation import rotation_from_axis_angle
from limner.pipeline.descent import descend, image_slopes, robust_cost, robust_step, turn_slopes


@dataclass
class Valley:
    """Rosenbrock's: residuals 10 (y - x^2) and 1 - x, times a weight a person."""

    weight: Tensor
    looked: list[Tensor] = field(default_factory=list)

    def look(self, unknown: Tensor) -> tuple[Tensor, Tensor]:
        self.looked.append(unknown)
        x, y = unknown.unbind(1)
        residual = torch.stack([10 * (y - x.square()), 1 - x], 1)
        rows = [torch.stack([-20 * x, torch.full_like(x, 10.0)], 1), torch.tensor([-1.0, 0.0]).expand(len(x), 2)]
        return self.weight * residual, self.weight[..., None] * torch.stack(rows, 1)

    def objective(self, unknown: Tensor, look: tuple[Tensor, Tensor]) -> Tensor:
        return look[0].square().sum(1)

    def step(self, unknown: Tensor, look: tuple[Tensor, Tensor], damping: Tensor) -> Tensor:
        residual, jacobian = look
        free, one = torch.zeros_like(unknown), torch.ones(len(unknown), 1)
        return robust_step(jacobian, residual[:, None], one, torch.inf, free, free, damping)


START = torch.tensor([[-1.2, 1.0], [3.0, -2.0], [1.0, 1.0]])


def test_arrives_and_leaves_who_is_there_alone():
    found = descend(Valley(torch.ones(3, 1)), START, 60, 1e-2, 0.0)
    assert torch.allclose(found, torch.ones(3, 2), atol=1e-3) and torch.equal(found[2], START[2])


def test_never_worse_after_any_number_of_steps():
    values = []
    for steps in range(8):
        valley = Valley(torch.ones(3, 1))
        found = descend(valley, START, steps, 1e-2, 0.0)
        values.append(valley.objective(found, valley.look(found)))
    assert (torch.stack(values).diff(dim=0) <= 0).all() and (values[-1][:2] < values[0][:2]).all()


def test_company_changes_nobody():
    together = descend(Valley(torch.tensor([[1.0], [5.0], [0.2]])), START, 7, 1e-2, 1e-2)
    for k, weight in enumerate((1.0, 5.0, 0.2)):
        alone = descend(Valley(torch.tensor([[weight]])), START[k : k + 1], 7, 1e-2, 1e-2)
        assert torch.allclose(together[k], alone[0], atol=1e-6)


def test_ends_when_steps_gain_too_little():
    patient, hasty = Valley(torch.ones(1, 1)), Valley(torch.ones(1, 1))
    descend(patient, START[:1], 60, 1e-2, 0.0)
    descend(hasty, START[:1], 60, 1e-2, 0.9)
    assert len(hasty.looked) < len(patient.looked) / 2


def test_slopes_are_those_of_the_picture_of_a_turning_point():
    g = torch.Generator().manual_seed(0)
    points, joints = torch.rand(2, 4, 3, generator=g).double() + torch.tensor([0, 0, 2.0]), torch.rand(2, 3, 3).double()
    absolute = rotation_from_axis_angle(torch.rand(2, 3, 3, generator=g).double())
    camera, sigma = (
        Camera(torch.full((2,), 500.0).double(), torch.zeros(2, 2).double()),
        torch.full((2, 4), 3.0).double(),
    )

    def picture(turn: Tensor) -> Tensor:
        """All points hang on joint 1."""
        around = absolute[:, 1] @ rotation_from_axis_angle(turn) @ absolute[:, 1].mT
        moved = (around[:, None] @ (points - joints[:, 1:2])[..., None])[..., 0] + joints[:, 1:2]
        return (camera.project(moved) / sigma[..., None]).flatten(1)

    numeric = torch.autograd.functional.jacobian(picture, torch.zeros(2, 3).double())
    ours = turn_slopes(points, image_slopes(points, camera, sigma), absolute, joints)[:, :, 3:6]
    for i in range(2):
        assert torch.allclose(ours[i], numeric[i, :, i], atol=1e-5)


def test_steps_lower_the_robust_cost_and_give_way_to_the_pull():
    g = torch.Generator().manual_seed(0)
    jacobian, residual, weight = (torch.rand(2, *shape, generator=g).double() for shape in ((8, 3), (4, 2), (4,)))
    away, none = torch.rand(2, 3, generator=g).double(), torch.zeros(2, 1).double()

    def cost(step: Tensor, pull: float) -> Tensor:
        moved = residual + (jacobian @ step[..., None])[..., 0].unflatten(1, (4, 2))
        return (weight * robust_cost(moved, 3.0)).sum(1) + pull * (away + step).square().sum(1)

    still = torch.zeros(2, 3).double()
    for pull in (1e-3, 10.0):
        step = robust_step(jacobian, residual, weight, 3.0, torch.full_like(away, pull), away, none)
        assert (cost(step, pull) < cost(still, pull)).all()
    far = robust_step(jacobian, residual, weight, 3.0, torch.full_like(away, 1e9), away, none)
    assert torch.allclose(far, -away, atol=1e-6)
    assert (robust_cost(1000 * residual, 3.0) < 9).all()
