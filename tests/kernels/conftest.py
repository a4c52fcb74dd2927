"""Tests that hold for every backend of the CPU run on each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from weaksync.kernels import cpu, ops


@pytest.fixture(scope="module", params=["reference", "compiled"])
def each_backend(request: pytest.FixtureRequest) -> Iterator[None]:
    """What the public functions run on: the reference in torch, or the C++ library."""
    compiled = request.param == "compiled"
    if compiled and not cpu.available():
        pytest.skip(cpu.describe())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ops, "_compiled", lambda: compiled)
        yield
