"""AdamLARS: torch's own Adam gives the direction, each tensor's norm the length."""

from __future__ import annotations

import copy

import pytest
import torch

from weaksync.zoo.lars import AdamLARS


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_every_step_is_adams_direction_at_the_length_of_the_tensor(weight_decay: float) -> None:
    torch.manual_seed(0)
    weights = [torch.randn(5, 3, dtype=torch.float64), torch.randn(7, dtype=torch.float64) * 100]
    for weight in weights:
        ours = torch.nn.Parameter(weight.clone())
        lars = AdamLARS([ours], lr=7.0, trust=1e-3, weight_decay=weight_decay)
        mirror = torch.nn.Parameter(weight.clone())
        adam = torch.optim.Adam([mirror], lr=1.0)
        for _ in range(5):
            gradient = torch.randn_like(weight)
            ours.grad, mirror.grad = gradient.clone(), gradient + weight_decay * ours.detach()
            before, told = ours.detach().clone(), mirror.detach().clone()
            lars.step()
            adam.step()
            direction = told - mirror.detach()
            expected = before - 7.0 * 1e-3 * before.norm() / direction.norm() * direction
            torch.testing.assert_close(ours.detach(), expected)
            assert float((ours.detach() - before).norm() / before.norm()) == pytest.approx(0.007)


def test_what_is_all_zero_learns_and_what_has_no_gradient_stays() -> None:
    zero, still, idle = (
        torch.nn.Parameter(torch.zeros(3)),
        torch.nn.Parameter(torch.ones(3)),
        torch.nn.Parameter(torch.ones(3)),
    )
    optimizer = AdamLARS([zero, still, idle], lr=1.0)
    zero.grad, still.grad = torch.tensor([1.0, -2.0, 3.0]), torch.zeros(3)
    optimizer.step()
    torch.testing.assert_close(zero.detach(), -1e-3 * torch.tensor([1.0, -1.0, 1.0]))
    assert still.tolist() == idle.tolist() == [1.0, 1.0, 1.0]


def test_it_goes_on_from_its_state() -> None:
    torch.manual_seed(0)
    start, gradients = torch.randn(4), torch.randn(6, 4)
    whole = torch.nn.Parameter(start.clone())
    optimizer = AdamLARS([whole])
    for step, gradient in enumerate(gradients):
        if step == 3:
            kept, state = whole.detach().clone(), copy.deepcopy(optimizer.state_dict())
        whole.grad = gradient.clone()
        optimizer.step()
    again = torch.nn.Parameter(kept)
    resumed = AdamLARS([again])
    resumed.load_state_dict(state)
    for gradient in gradients[3:]:
        again.grad = gradient.clone()
        resumed.step()
    assert torch.equal(again.detach(), whole.detach())


@pytest.mark.parametrize("wrong", [{"lr": -1}, {"trust": 0}, {"weight_decay": -1}])
def test_settings_that_cannot_be_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="cannot be negative"):
        AdamLARS([torch.nn.Parameter(torch.ones(1))], **wrong)
