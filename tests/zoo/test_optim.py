"""Groups and schedules against CCLM's rules as published."""

from __future__ import annotations

import math
import re

import pytest
import torch

from weaksync import zoo
from weaksync.zoo.optim import OptimConfig, is_decayed, optimizer, parameter_groups, rate_factor, schedule


def published_name(name: str) -> str:
    """Our name of a parameter as CCLM's code calls it."""
    name = re.sub(r"^vision\.", "vision_encoder.", re.sub(r"^text\.", "text_encoder.", name))
    return re.sub(
        r"layers\.(\d)\.downsample", lambda m: f"layers.{int(m[1]) - 1}.downsample", name
    )  # timm merges patches at the start of a stage


def published_rule(name: str) -> bool:
    return not any(nd in name for nd in ["bias", "LayerNorm.bias", "LayerNorm.weight", "norm.bias", "norm.weight",
                                         "norm1.bias", "norm1.weight", "norm2.bias", "norm2.weight"])  # fmt: skip


@pytest.fixture(scope="module")
def names() -> list[str]:
    with torch.device("meta"):
        return [name for name, _ in zoo.create("cclm-base").named_parameters()]


def test_decay_is_that_of_the_published_names(names: list[str]) -> None:
    assert [is_decayed(name) for name in names] == [published_rule(published_name(name)) for name in names]


def test_what_is_spared_and_what_is_not(names: list[str]) -> None:
    spared = {name for name in names if not is_decayed(name)}
    tables = {name for name in names if name.endswith("relative_position_bias_table")}
    assert len(tables) == 24
    assert tables <= spared
    assert {name for name in names if "norm" in name.lower()} <= spared
    decayed = set(names) - spared
    assert {"temp", "vision_proj.weight", "text_proj.weight", "text.embeddings.position_embeddings.weight"} <= decayed


def test_groups_hold_every_parameter_once_with_the_rate_of_its_tower() -> None:
    model = zoo.create("cclm-tiny", embed_dim=8, num_heads=[1, 1, 1])
    config = OptimConfig(lr=1e-3, weight_decay=0.2, vision_lr=0.5, text_lr=2.0, head_lr=10.0)
    groups = parameter_groups(model, config)
    seen = [id(p) for group in groups for p in group["params"]]
    assert sorted(seen) == sorted(id(p) for p in model.parameters())
    assert {g["name"]: (g["lr"], g["weight_decay"]) for g in groups} == {
        "vision": (5e-4, 0.2),
        "vision, no decay": (5e-4, 0.0),
        "text": (2e-3, 0.2),
        "text, no decay": (2e-3, 0.0),
        "head": (1e-2, 0.2),
        "head, no decay": (1e-2, 0.0),
    }


def test_frozen_parameters_are_left_out_and_nothing_to_learn_is_an_error() -> None:
    model = zoo.create("cclm-tiny", embed_dim=8, num_heads=[1, 1, 1], freeze=["text"])
    assert {g["name"] for g in parameter_groups(model, OptimConfig())} == {
        "vision",
        "vision, no decay",
        "head",
        "head, no decay",
    }
    with pytest.raises(ValueError, match="every one is frozen"):
        parameter_groups(model.requires_grad_(False), OptimConfig())


def test_the_rate_rises_for_a_tenth_and_falls_to_nothing() -> None:
    linear = [rate_factor(OptimConfig(), step, 100) for step in range(101)]
    assert linear[:11] == [pytest.approx(step / 10) for step in range(11)]
    assert linear[55] == pytest.approx(0.5)
    assert linear[100] == 0.0
    cosine = OptimConfig(schedule="cosine")
    assert rate_factor(cosine, 10, 100) == 1.0
    assert rate_factor(cosine, 40, 100) == pytest.approx(0.5 * (1 + math.cos(math.pi / 3)))
    assert rate_factor(cosine, 100, 100) == 0.0
    assert rate_factor(OptimConfig(schedule="constant"), 99, 100) == 1.0


@pytest.mark.parametrize("steps", [1, 2, 9])
def test_short_runs_have_finite_rates(steps: int) -> None:
    for name in ("linear", "cosine", "constant"):
        rates = [rate_factor(OptimConfig(schedule=name), step, steps) for step in range(steps + 2)]
        assert all(0 <= rate <= 1 for rate in rates)
        assert max(rates[:steps]) == 1.0


def test_the_schedule_drives_adamw_every_step() -> None:
    model = torch.nn.Linear(3, 2)
    adam = optimizer(model, OptimConfig(lr=1.0, weight_decay=0.3))
    plan = schedule(adam, OptimConfig(lr=1.0), 20)
    rates = []
    for _ in range(20):
        rates.append(adam.param_groups[0]["lr"])
        adam.step()
        plan.step()
    assert rates == [pytest.approx(rate_factor(OptimConfig(), step, 20)) for step in range(20)]
    assert adam.defaults["betas"] == (0.9, 0.98)
    assert adam.defaults["eps"] == 1e-8


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"schedule": "cosin"}, "did you mean 'cosine'"),
        ({"warmup": 1.5}, "warmup is a share"),
        ({"lr": -1.0}, "cannot be negative"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        OptimConfig(**settings)
