"""The private functions of torch that the kernels call, in one place: a release may rename them.

Each tells whether a shortcut is safe.  Where this release of torch lacks one, the answer is the one that forgoes the
shortcut: calls then go through the registered operators, slower by some 10 µs and equally right.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch


def private(path: str, *, otherwise: Any) -> Callable[..., Any]:
    """The function at `path` below the module `torch`; if there is none, one that always answers `otherwise`."""
    found: Any = torch
    for name in path.split("."):
        found = getattr(found, name, None)
    return found if callable(found) else lambda *_: otherwise


#: whether a transform of torch.func is being applied
transforms_active = private("_C._are_functorch_transforms_active", otherwise=True)
#: how many modes, such as those of fake tensors or of torch.utils.flop_counter, watch the calls of operators
dispatch_modes = private("_C._len_torch_dispatch_stack", otherwise=1)
#: what torch.jit.trace records into, None where nothing is traced
tracing_state = private("_C._get_tracing_state", otherwise="unknown")
#: whether autocast is enabled on any device
autocasts = private("_C._is_any_autocast_enabled", otherwise=True)
#: whether a profiler is running
profiling = private("autograd._profiler_enabled", otherwise=True)
#: whether a tensor is one of vmap's, or of the older vmap's that is_grads_batched=True uses
is_batched = private("_C._functorch.is_batchedtensor", otherwise=True)
is_legacy_batched = private("_C._functorch.is_legacy_batchedtensor", otherwise=True)
#: within a backward pass: whether its graph is kept for another one
keeps_graph = private("_C._autograd._get_current_graph_task_keep_graph", otherwise=True)
