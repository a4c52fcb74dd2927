"""Every pair at once is every pair alone, whatever the blocks, derivatives included."""

from __future__ import annotations

import pytest
import torch

from weaksync import kernels

VIDEO_LENGTHS, TEXT_LENGTHS = torch.tensor([6, 5, 4, 6, 3]), torch.tensor([5, 3, 2, 4])
WINDOWS = torch.randint(2, 6, (5, 4), generator=torch.Generator().manual_seed(2))
SOFT = [
    ("soft_dtw", {"gamma": 0.2}),
    ("soft_dsta", {"gamma": 0.2, "window": 3}),
    ("soft_dsta", {"window": WINDOWS, "order_weight": 0.3, "order_margin": 0}),
]
HARD = [("dtw", {}), ("dsta", {"window": 3}), ("dsta", {"window": WINDOWS})]


def features(count, steps, seed, dtype=torch.float64):
    return torch.randn(count, steps, 8, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def one_by_one(function, video, text, options, cost=kernels.cosine_cost):
    """(V, S), from each pair without its padding."""
    rows = []
    for v, n in enumerate(VIDEO_LENGTHS.tolist()):
        row = []
        for s, m in enumerate(TEXT_LENGTHS.tolist()):
            alone = {k: w[v, s].item() if isinstance(w, torch.Tensor) else w for k, w in options.items()}
            value = function(cost(video[v : v + 1, :n], text[s : s + 1, :m]), **alone)
            row.append((value[0] if isinstance(value, tuple) else value)[0])
        rows.append(torch.stack(row))
    return torch.stack(rows)


@pytest.mark.parametrize(("name", "options"), SOFT)
@pytest.mark.parametrize("memory", [1, 1500, 1 << 30])
def test_soft_values_and_derivatives(name, options, memory):
    video, text = features(5, 6, 0).requires_grad_(), features(4, 5, 1).requires_grad_()
    upstream = torch.randn(5, 4, dtype=torch.float64)
    expected = one_by_one(getattr(kernels, name), video, text, options)
    lengths = {"video_lengths": VIDEO_LENGTHS, "text_lengths": TEXT_LENGTHS}
    found = getattr(kernels, f"pairwise_{name}")(video, text, **lengths, **options, memory=memory)
    torch.testing.assert_close(found, expected)
    gradients = torch.autograd.grad((found * upstream).sum(), (video, text))
    for gradient, truth in zip(gradients, torch.autograd.grad((expected * upstream).sum(), (video, text)), strict=True):
        torch.testing.assert_close(gradient, truth)


@pytest.mark.parametrize(("name", "options"), HARD)
@pytest.mark.parametrize("memory", [1, 1 << 30])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_hard_values(name, options, memory, dtype):
    video, text = features(5, 6, 0, dtype), features(4, 5, 1, dtype)
    lengths = {"video_lengths": VIDEO_LENGTHS, "text_lengths": TEXT_LENGTHS}
    found = getattr(kernels, f"pairwise_{name}")(video, text, **lengths, **options, memory=memory)
    torch.testing.assert_close(found, one_by_one(getattr(kernels, f"{name}_path"), video, text, options))


@pytest.mark.parametrize("memory", [1, 1 << 30])
def test_a_cost_of_ones_own_keeps_its_derivatives(memory):
    rate = torch.tensor(0.8, requires_grad=True)
    video, text = features(2, 6, 0, torch.float32), features(3, 5, 1, torch.float32)

    def cost(v, s):
        return kernels.pairwise_cosine_cost(v, s) + 0.3 * kernels.duration_prior(v.shape[1], s.shape[1], rate=rate)

    kernels.pairwise_soft_dsta(video, text, cost=cost, memory=memory).sum().backward()
    found, rate.grad = rate.grad, None
    for v in video:
        for s in text:
            prior = kernels.duration_prior(6, 5, rate=rate)
            kernels.soft_dsta(kernels.cosine_cost(v[None], s[None]) + 0.3 * prior).sum().backward()
    torch.testing.assert_close(found, rate.grad, rtol=1e-5, atol=1e-5)
    assert found != 0


def test_values_alone_are_computed_without_alignments(monkeypatch):
    from weaksync.kernels import ops

    asked = []
    backend = ops.backend_of(torch.zeros(1, 1, 1))
    original = backend.soft_dtw
    monkeypatch.setattr(backend, "soft_dtw", lambda *a, **k: (asked.append(k["with_alignment"]), original(*a, **k))[1])
    video = features(2, 6, 0, torch.float32).requires_grad_()
    kernels.pairwise_soft_dtw(video, features(3, 5, 1, torch.float32), memory=1).sum().backward()
    assert asked.count(False) == asked.count(True) == 6  # blocks of one pair: there, and again on the way back


#: how each function is kept from aligning pairs, and how many of twelve it then cannot align
INFEASIBLE = [
    ("soft_dtw", {"band": 0}, 10),
    ("soft_dsta", {"window": 2}, 7),
    ("soft_dsta", {"window": 2, "band": 0}, 9),
]


@pytest.mark.parametrize(("name", "options", "unfit"), INFEASIBLE)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("memory", [1, 1 << 30])
def test_pairs_that_cannot_be_aligned_cost_infinity_and_teach_nothing(name, options, unfit, dtype, memory):
    n, m = torch.tensor([6, 2, 0]), torch.tensor([5, 3, 0, 1])
    video, text = features(3, 6, 0, dtype).requires_grad_(), features(4, 5, 1, dtype).requires_grad_()
    value = getattr(kernels, f"pairwise_{name}")(video, text, video_lengths=n, text_lengths=m, **options, memory=memory)
    upstream = torch.arange(1.0, 13, dtype=dtype).view(3, 4)
    alone = torch.zeros((), dtype=dtype)
    for v, s in torch.cartesian_prod(torch.arange(3), torch.arange(4)).tolist():
        cost = kernels.cosine_cost(video[v : v + 1, : n[v]], text[s : s + 1, : m[s]])
        try:
            one = getattr(kernels, name)(cost, **options)[0]
        except ValueError:
            assert value[v, s] == torch.inf
            unfit -= 1
        else:
            torch.testing.assert_close(value[v, s], one)
            alone = alone + one * upstream[v, s]
    assert unfit == 0
    found = torch.autograd.grad((value * upstream).sum(), (video, text))
    for gradient, truth in zip(found, torch.autograd.grad(alone, (video, text)), strict=True):
        torch.testing.assert_close(gradient, truth)
    hard = getattr(kernels, f"pairwise_{name[5:]}")(
        video, text, video_lengths=n, text_lengths=m, **options, memory=memory
    )
    assert torch.equal(hard.isinf(), value.isinf())
    with pytest.raises(ValueError, match=r"pair \d"):
        getattr(kernels, f"pairwise_{name}")(
            video, text, video_lengths=n, text_lengths=m, **options, memory=memory, validate=True
        )


def test_no_videos_or_no_texts():
    video = features(0, 6, 0).requires_grad_()
    kernels.pairwise_soft_dsta(video, features(4, 5, 1)).sum().backward()
    assert video.grad.shape == video.shape
    assert kernels.pairwise_dtw(features(0, 6, 0), features(4, 5, 1)).shape == (0, 4)
    assert kernels.pairwise_soft_dtw(features(2, 6, 0), features(0, 5, 1)).shape == (2, 0)


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        ((features(2, 6, 0)[0], features(3, 5, 1)), {}, r"\(V, n, d\) and \(S, m, d\)"),
        ((features(2, 6, 0), features(3, 5, 1)), {"video_lengths": torch.tensor([6])}, r"must be a tensor \(2,\)"),
        ((features(2, 6, 0), features(3, 5, 1)), {"text_lengths": [5, 5, 5]}, r"text_lengths must be .* not list"),
        ((features(2, 6, 0), features(3, 5, 1)[..., :2]), {}, "the same, or a cost of your own"),
        ((features(2, 6, 0), features(3, 5, 1)), {"window": torch.ones(2)}, r"\(V, S\) = \(2, 3\)"),
        ((features(2, 6, 0), features(3, 5, 1)), {"window": [2, 3]}, r"or a \(V, S\) tensor of integers, not \[2, 3\]"),
        ((features(2, 6, 0), features(3, 5, 1)), {"memory": -1}, "memory must be at least 0"),
        ((features(2, 6, 0), features(3, 5, 1)), {"gamma": "0.1"}, "gamma must be positive and finite, not '0.1'"),
        (
            (features(2, 6, 0), features(3, 5, 1)),
            {"video_lengths": torch.full((2,), 6, device="meta")},
            "video_lengths lies on meta and the costs on cpu",
        ),
        ((features(2, 6, 0), features(3, 5, 1)), {"cost": lambda v, s: v}, r"\(v, s, n, m\) = \(1, 3, 6, 5\)"),
    ],
)
def test_bad_input_is_named(arguments, options, words):
    with pytest.raises(ValueError, match=words):
        kernels.pairwise_soft_dsta(*arguments, **options)
