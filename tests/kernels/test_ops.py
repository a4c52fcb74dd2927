"""The operators as torch sees them: registration, compilation, dtypes, strides, derivatives only where asked."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch._dynamo.testing import CompileCounter

from weaksync import kernels
from weaksync.kernels import dispatch, internals, ops, reference

from .outputs import OPERATORS, assert_as_declared

B, N, M = 3, 5, 4
LENGTHS = (torch.tensor([5, 4, 3]), torch.tensor([4, 2, 3]))
SOFT = {
    "soft_dtw": ((), (*LENGTHS, 0.1, 3, False, False, True)),
    "soft_dsta": ((), (*LENGTHS, torch.tensor([2, 3, 4]), 0.1, 1.0, 1, None, False, False, True)),
    "soft_drop_dtw": ((torch.full((B, N), 0.4), torch.full((B, M), 0.6)), (*LENGTHS, 0.1, True, None, False, True)),
}
HARD = {
    "dtw_path": ((), (*LENGTHS, 3, False, False, True)),
    "dsta_path": ((), (*LENGTHS, None, 1.0, 1, None, False, False, True)),
    "drop_dtw": ((torch.full((B, N), 0.4), None), (*LENGTHS, True, None, False, True)),
}
#: what `internals` looks for
PRIVATE = (
    "torch._C._are_functorch_transforms_active",
    "torch._C._len_torch_dispatch_stack",
    "torch._C._get_tracing_state",
    "torch._C._is_any_autocast_enabled",
    "torch.autograd._profiler_enabled",
    "torch._C._functorch.is_batchedtensor",
    "torch._C._functorch.is_legacy_batchedtensor",
    "torch._C._autograd._get_current_graph_task_keep_graph",
)


def cost_of(seed=0, dtype=torch.float32):
    return torch.rand(B, N, M, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype) * 2


@pytest.mark.parametrize("name", [*SOFT, *HARD])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_opcheck(name, dtype):
    drops, settings = {**SOFT, **HARD}[name]
    inputs = [cost_of(dtype=dtype), *(None if drop is None else drop.to(dtype) for drop in drops)]
    if name in SOFT:
        inputs = [value.clone().requires_grad_() for value in inputs]
    results = torch.library.opcheck(getattr(torch.ops.weaksync, name).default, (*inputs, *settings))
    assert set(results.values()) == {"SUCCESS"}


@pytest.mark.usefixtures("each_backend")
@pytest.mark.parametrize("name", OPERATORS)
def test_outputs_are_those_that_the_operator_declares(name):
    for shape in ((2, 5, 8), (2, 5, 3), (0, 5, 4), (0, 0, 0)):
        assert_as_declared(name, shape)


def calls(cost, lengths):
    video, text = lengths
    options = {"video_lengths": video, "text_lengths": text}
    return {
        "soft_dtw": lambda c=cost: kernels.soft_dtw(c, **options),
        "soft_dsta": lambda c=cost: kernels.soft_dsta(c, window=4, **options),
        "soft_drop_dtw": lambda c=cost: kernels.soft_drop_dtw(c, 0.4, 0.6, **options),
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", list(SOFT))
def test_compiled_whole_and_once_for_all_lengths(name):
    counter = CompileCounter()

    @torch.compile(backend=counter, fullgraph=True)
    def loss(cost, video, text):
        return (calls(cost, (video, text))[name]() / video).mean()

    for lengths in (LENGTHS, (torch.tensor([3, 3, 5]), torch.tensor([1, 4, 2]))):
        cost = cost_of().requires_grad_()
        value = loss(cost, *lengths)
        value.backward()
        plain = cost_of().requires_grad_()
        (calls(plain, lengths)[name]() / lengths[0]).mean().backward()
        torch.testing.assert_close(cost.grad, plain.grad)
    assert counter.frame_count == 1


@pytest.mark.slow
@torch._functorch.config.patch(enable_autograd_cache=False)  # it would serve backward graphs of other versions of ours
def test_compiled_by_inductor():
    @torch.compile(fullgraph=True)
    def loss(video, text):
        return kernels.soft_dtw(kernels.cosine_cost(video, text)).sum()

    video = torch.randn(2, 6, 8, generator=torch.Generator().manual_seed(0), requires_grad=True)
    text = torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(1))
    (compiled,) = torch.autograd.grad(loss(video, text), video)
    (plain,) = torch.autograd.grad(kernels.soft_dtw(kernels.cosine_cost(video, text)).sum(), video)
    torch.testing.assert_close(compiled, plain)


@pytest.mark.parametrize("name", list(SOFT))
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_short_floats_are_summed_in_float32(name, dtype):
    cost = cost_of(dtype=dtype).requires_grad_()
    value = calls(cost, LENGTHS)[name]()
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, calls(cost.detach().float(), LENGTHS)[name]())
    value.sum().backward()
    assert cost.grad.dtype == dtype and cost.grad.isfinite().all()


@pytest.mark.parametrize("name", list(SOFT))
def test_autocast_leaves_the_sums_in_float32(name):
    video, text = torch.randn(B, N, 8), torch.randn(B, M, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cost = kernels.cosine_cost(video, text)
        value = calls(cost, LENGTHS)[name]()
        direct = torch.ops.weaksync.soft_dtw(cost.bfloat16(), None, None, 0.1, None, False, False, False)[0]
    assert value.dtype == direct.dtype == torch.float32


@pytest.mark.parametrize("name", list(SOFT))
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_any_strides(name, dtype):
    plain = cost_of(dtype=dtype)
    expected = calls(plain, LENGTHS)[name]()
    wide = torch.full((B, N, 2 * M), torch.nan, dtype=dtype)
    wide[..., ::2] = plain
    for cost in (plain.transpose(1, 2).contiguous().transpose(1, 2), wide[..., ::2]):
        assert not cost.is_contiguous()
        torch.testing.assert_close(calls(cost, LENGTHS)[name](), expected, rtol=0, atol=0)
    torch.testing.assert_close(calls(plain[:1].expand(B, N, M), LENGTHS)[name]()[0], expected[0], rtol=0, atol=0)


@pytest.mark.parametrize("name", list(SOFT))
def test_alignments_are_computed_only_where_asked(name, monkeypatch):
    asked = []
    backend = ops.backend_of(cost_of())
    original = getattr(backend, name)
    monkeypatch.setattr(backend, name, lambda *a, **k: (asked.append(k["with_alignment"]), original(*a, **k))[1])
    calls(cost_of(), LENGTHS)[name]()
    with torch.no_grad():
        calls(cost_of().requires_grad_(), LENGTHS)[name]()
    calls(cost_of().requires_grad_(), LENGTHS)[name]()
    assert asked == [False, False, True]


@pytest.mark.parametrize("name", list(SOFT))
def test_the_alignment_is_the_derivative(name):
    cost = cost_of().requires_grad_()
    calls(cost, LENGTHS)[name]().sum().backward()
    video, text = LENGTHS
    options = {"video_lengths": video, "text_lengths": text}
    alignment = {
        "soft_dtw": lambda: kernels.soft_dtw_alignment(cost, **options),
        "soft_dsta": lambda: kernels.soft_dsta_alignment(cost, window=4, **options),
        "soft_drop_dtw": lambda: kernels.soft_drop_dtw_alignment(cost, 0.4, 0.6, **options),
    }[name]()
    assert not alignment.requires_grad
    torch.testing.assert_close(alignment, cost.grad, rtol=0, atol=0)


@pytest.mark.parametrize("name", list(SOFT))
def test_a_second_derivative_is_an_error_and_not_a_zero(name):
    cost = cost_of().requires_grad_()
    (gradient,) = torch.autograd.grad(calls(cost, LENGTHS)[name]().sum(), cost, create_graph=True)
    with pytest.raises(NotImplementedError, match="no second derivative"):
        gradient.square().sum().backward()


@pytest.mark.parametrize("name", list(SOFT))
def test_a_graph_that_is_kept_gives_its_derivatives_again(name):
    cost = cost_of().requires_grad_()
    value = calls(cost, LENGTHS)[name]()
    first, again = (torch.autograd.grad(value.sum(), cost, retain_graph=True)[0].clone() for _ in range(2))
    (tripled,) = torch.autograd.grad(3 * value.sum(), cost, retain_graph=True)
    (last,) = torch.autograd.grad(value.sum(), cost)
    assert torch.equal(first, again) and torch.equal(first, last)
    torch.testing.assert_close(tripled, 3 * first)


@pytest.mark.parametrize("name", list(SOFT))
@pytest.mark.parametrize("kept", [True, False])
def test_many_upstream_gradients_at_once(name, kept):
    cost = cost_of().requires_grad_()
    (whole,) = torch.autograd.grad(calls(cost, LENGTHS)[name]().sum(), cost)
    value = calls(cost, LENGTHS)[name]()
    (parts,) = torch.autograd.grad(value, cost, torch.eye(B), is_grads_batched=True, retain_graph=kept)
    torch.testing.assert_close(parts.sum(0), whole)


@pytest.mark.parametrize("name", list(SOFT))
@pytest.mark.parametrize("registered", [True, False])
def test_a_sparse_upstream_gradient_is_a_gradient(name, registered):
    cost = cost_of().requires_grad_()
    drops, settings = SOFT[name]
    value = getattr(ops, name)(cost, *drops, *settings)[0] if registered else calls(cost, LENGTHS)[name]()
    (dense,) = torch.autograd.grad(value[1], cost, retain_graph=True)
    picked = torch.gather(value, 0, torch.tensor([1]), sparse_grad=True)
    assert torch.equal(torch.autograd.grad(picked, cost)[0], dense)


@pytest.mark.parametrize("name", [*SOFT, *HARD])
def test_called_through_the_dispatcher_or_past_it(name):
    drops, settings = {**SOFT, **HARD}[name]
    operator = getattr(ops, name)
    past = dispatch.call(operator, cost_of(), *drops, *settings)
    for one, other in zip(operator(cost_of(), *drops, *settings), past, strict=True):
        assert torch.equal(one, other)
    with torch.profiler.profile() as profile:
        dispatch.call(operator, cost_of(), *drops, *settings)
    assert f"weaksync::{name}" in {event.key for event in profile.key_averages()}


def test_drop_costs_get_their_derivatives():
    cost = cost_of(dtype=torch.float64)
    video = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    text = torch.rand(M, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v, t: kernels.soft_drop_dtw(cost, v, t, gamma=0.5), (video, text))


@pytest.mark.parametrize("name", list(SOFT))
def test_the_same_bits_every_time(name):
    cost = cost_of(3)
    assert torch.equal(calls(cost, LENGTHS)[name](), calls(cost, LENGTHS)[name]())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", list(SOFT))
def test_nan_spoils_its_own_pair_and_masks_leave_zero_gradients(name, dtype):
    cost = cost_of(dtype=dtype)
    clean = calls(cost, LENGTHS)[name]()
    cost[1, 2, 1] = torch.nan  # a real cell
    cost[2, :, :] = torch.inf
    cost.requires_grad_()
    with_drops = name == "soft_drop_dtw"
    value = calls(cost, LENGTHS)[name]()
    value[[0, 2]].sum().backward()
    assert value[1].isnan() and value[0] == clean[0]
    assert value[2].isfinite() if with_drops else value[2].isposinf()
    assert (cost.grad[2] == 0).all() and cost.grad[0].isfinite().all()


@pytest.mark.parametrize("name", list(SOFT))
def test_no_pairs_at_all(name):
    cost = torch.zeros(0, N, M, requires_grad=True)
    none = torch.zeros(0, dtype=torch.int64)
    calls(cost, (none, none))[name]().sum().backward()
    assert cost.grad.shape == (0, N, M)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"gamma": 0.0}, "gamma must be positive"),
        ({"gamma": torch.tensor(0.1, requires_grad=True)}, "gamma must be a number, not a tensor"),
        ({"video_lengths": [5, 4, 3]}, "video_lengths must be a tensor, not list"),
        ({"text_lengths": torch.tensor([True, True, True])}, r"text_lengths must be .* torch.bool"),
        ({"gamma": float("nan")}, "gamma must be positive"),
        ({"band": -1}, "band must be None or a whole number"),
        ({"video_lengths": torch.tensor([6, 1, 1])}, r"video_lengths\[0\] is 6, outside 0..5"),
        ({"text_lengths": torch.tensor([1.0, 1.0, 1.0])}, "text_lengths must be"),
        ({"video_lengths": torch.tensor([5, 0, 1])}, r"pair 1 \(0 x 4\) is empty"),
    ],
)
def test_bad_settings_are_named(options, words):
    for function in (kernels.soft_dtw, kernels.soft_dsta):
        with pytest.raises(ValueError, match=words):
            function(cost_of(), **options)


def test_the_folder_imported_by_its_bare_name_registers_nothing_twice():
    """As transformers does where the repository's root is on the path; the operators would be freed while in use."""
    lines = [
        "import torch, weaksync.kernels as ours, kernels",
        "assert not hasattr(kernels, 'soft_dtw') and 'kernels.ops' not in __import__('sys').modules",
        "print(ours.dsta_path(torch.zeros(1, 2, 2))[1].tolist(), ours.soft_dtw(torch.zeros(1, 1, 1)).item())",
    ]
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], cwd=root, capture_output=True, text=True)
    assert done.stdout.split("\n")[0] == "[[0, 1]] -0.0", done.stderr


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda c: kernels.soft_drop_dtw(c, torch.nan, 0.3, validate=True), r"drop_video\[0, 0\] is nan"),
        (lambda c: kernels.drop_dtw(c, 0.3, -torch.inf, validate=True), r"drop_text\[0, 0\] is -inf"),
        (lambda c: kernels.soft_dsta(c, window=[2, 3, 4]), r"or a \(B,\) tensor of integers, not \[2, 3, 4\]"),
        (lambda c: kernels.soft_dtw(c, gamma="0.1"), "gamma must be positive and finite, not '0.1'"),
        (lambda c: kernels.soft_dtw(c, gamma=None), "gamma must be positive and finite, not None"),
        (lambda c: kernels.dsta_path(c, order_weight="1"), "order_weight must be at least 0 and finite, not '1'"),
        (
            lambda c: kernels.soft_dtw(c, text_lengths=torch.ones(B, dtype=torch.int64, device="meta")),
            "text_lengths lies on meta and the costs on cpu",
        ),
        (
            lambda c: kernels.soft_dsta(c, window=torch.ones(B, dtype=torch.int64, device="meta")),
            "window lies on meta and the costs on cpu",
        ),
    ],
)
def test_what_is_wrong_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call(cost_of())


def test_devices_without_a_kernel_are_named():
    with pytest.raises(ValueError, match="run on CPU and CUDA, not on meta"):
        ops.backend_of(torch.zeros(1, 1, 1, device="meta"))


def test_float64_on_cuda_is_slow_and_says_so_once():
    ops._warn_of_float64_on_cuda.cache_clear()
    cost = SimpleNamespace(is_cpu=False, is_cuda=True, dtype=torch.float64)
    with pytest.warns(RuntimeWarning, match=r"float64 costs on CUDA .* convert them with .float\(\)"):
        assert ops.backend_of(cost) is reference
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert ops.backend_of(cost, soft=False) is reference
    assert "float64 on the reference" in ops.describe("cuda:0")


@pytest.mark.usefixtures("each_backend")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_huge_price_of_a_text_is_refused_on_every_backend_of_the_cpu(dtype):
    for function in (kernels.soft_drop_dtw, kernels.drop_dtw):
        with pytest.raises(ValueError, match=r"drop_text\[0, 0\] is 2e\+06, beyond 1e\+06"):
            function(cost_of(dtype=dtype), 0.3, 2e6)


# ---- private functions of torch that a release may lack


def test_a_private_function_that_torch_lacks_forgoes_the_shortcut():
    assert internals.private("_C._no_such_function", otherwise=True)() is True
    assert internals.private("_no_such_module.function", otherwise=1)(None) == 1
    assert internals.private("is_tensor", otherwise=None) is torch.is_tensor


def test_without_the_private_functions_of_torch_results_are_the_same():
    """In a process whose torch lacks them while the kernels are imported."""
    code = f"""
import sys, torch
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
hidden = []
for path in {PRIVATE!r}:
    module, _, name = path.rpartition(".")
    owner = eval(module)
    hidden.append((owner, name, getattr(owner, name)))
    delattr(owner, name)
from weaksync.kernels import internals
for owner, name, function in hidden:
    setattr(owner, name, function)
assert internals.transforms_active() is True and internals.keeps_graph() is True
from tests.kernels import test_ops as tests
for name in tests.SOFT:
    tests.test_the_alignment_is_the_derivative(name)
    tests.test_torch_func_differentiates_and_maps(name)
    tests.test_many_upstream_gradients_at_once(name, True)
    tests.test_a_graph_that_is_kept_gives_its_derivatives_again(name)
    tests.test_a_second_derivative_is_an_error_and_not_a_zero(name)
tests.test_torch_func_maps_the_hard_forms_without_a_loop()
"""
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# ---- transforms of torch.func


@pytest.mark.parametrize("name", list(SOFT))
def test_torch_func_differentiates_and_maps(name):
    cost = cost_of().requires_grad_()
    value = calls(cost, LENGTHS)[name]()
    (expected,) = torch.autograd.grad(value.sum(), cost)
    plain = cost.detach()
    found = torch.func.grad(lambda c: calls(c, LENGTHS)[name]().sum())(plain)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    many = torch.stack([plain, plain.flip(0)], dim=3)
    mapped = torch.func.vmap(lambda c: calls(c, LENGTHS)[name](), in_dims=3)(many)
    torch.testing.assert_close(mapped[0], value.detach(), rtol=0, atol=0)
    each = torch.func.vmap(torch.func.grad(lambda c: calls(c, LENGTHS)[name]().sum()), in_dims=3)(many)
    torch.testing.assert_close(each[0], expected, rtol=0, atol=0)


@pytest.mark.filterwarnings("error")
def test_torch_func_maps_the_hard_forms_without_a_loop():
    many = torch.stack([cost_of(), cost_of(1)], dim=1)
    prices = torch.tensor([0.3, 0.5])
    for function, arguments in (
        (kernels.dtw_path, ()),
        (kernels.dsta_path, ()),
        (kernels.drop_dtw, (prices,)),
    ):
        found = torch.func.vmap(function, in_dims=(1, *(0 for _ in arguments)))(many, *arguments)
        for turn in range(2):
            alone = function(many[:, turn], *(one[turn].item() for one in arguments))
            for here, there in zip(found, alone, strict=True):
                torch.testing.assert_close(here[turn], there, rtol=0, atol=0)


@pytest.mark.parametrize("name", list(SOFT))
def test_forward_mode_is_an_error_and_not_a_zero(name):
    cost = cost_of()
    with pytest.raises(NotImplementedError, match="no forward-mode derivative"):
        torch.func.jvp(lambda c: calls(c, LENGTHS)[name](), (cost,), (torch.ones_like(cost),))


@pytest.mark.parametrize("name", list(SOFT))
def test_a_second_derivative_in_torch_func_is_an_error_too(name):
    def slope(cost):
        return torch.func.grad(lambda c: calls(c, LENGTHS)[name]().sum())(cost).square().sum()

    with pytest.raises(NotImplementedError, match="no second derivative"):
        torch.func.grad(slope)(cost_of())


@pytest.mark.parametrize("name", list(SOFT))
def test_costs_on_the_cpu_whatever_the_default_device(name):
    expected = calls(cost_of(), LENGTHS)[name]()
    cost = cost_of()
    with torch.device("meta"):
        torch.testing.assert_close(calls(cost, LENGTHS)[name](), expected, rtol=0, atol=0)
        assert kernels.drop_dtw(cost, 0.4, 0.6)[1].device.type == kernels.dtw_path(cost)[1].device.type == "cpu"
        assert kernels.dsta_path(cost, window=3)[1].device.type == "cpu"


@pytest.mark.slow
def test_no_pairs_and_no_cells_keep_their_shapes_when_compiled():
    found = torch.compile(kernels.dtw_path, backend="eager", fullgraph=True)(torch.zeros(0, 0, 0))
    assert [tuple(one.shape) for one in found] == [tuple(one.shape) for one in kernels.dtw_path(torch.zeros(0, 0, 0))]
