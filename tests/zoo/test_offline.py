"""Without a network: what is on disk is read, and the rest is refused within seconds, not after the hub's retries."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from weaksync import zoo
from weaksync.zoo import tokenizers
from weaksync.zoo.download import from_disk, is_hub_id, why_absent


@pytest.fixture
def server() -> Iterator[socket.socket]:
    """One that lets anybody connect."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> str:
    """The hub at a port at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        endpoint = f"http://127.0.0.1:{closed.getsockname()[1]}"
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    return endpoint


def test_a_hub_that_answers_is_asked(nowhere: str, server: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    assert from_disk("org/repo")
    address = f"http://127.0.0.1:{server.getsockname()[1]}"
    monkeypatch.setenv("http_proxy", address)
    monkeypatch.setenv("no_proxy", "")
    assert not from_disk("org/repo")  # by way of the proxy
    monkeypatch.delenv("http_proxy")
    monkeypatch.setattr(constants, "ENDPOINT", address)
    assert not from_disk("org/repo") and not from_disk("hf://org/repo")


def test_what_cannot_be_on_the_hub_is_read_from_disk(tmp_path: Path, server: socket.socket, nowhere: str) -> None:
    (tmp_path / "here").mkdir()
    for source in (tmp_path / "here", tmp_path / "absent", "./absent", "a/b/c"):
        assert not is_hub_id(source) and from_disk(source)
    assert is_hub_id("FacebookAI/xlm-roberta-large") and is_hub_id("hf://org/repo") and is_hub_id("gpt2")


def test_models_and_vocabularies_are_refused_within_seconds(nowhere: str, tmp_path: Path) -> None:
    start = time.monotonic()
    with pytest.raises(FileNotFoundError, match=rf"no hf://org/repo here: .* {nowhere} does not answer: go online"):
        zoo.load("hf://org/repo", cache_dir=tmp_path)
    with pytest.raises(FileNotFoundError, match=rf"no tokenizer at 'org/repo': .*\(it is not in .* {nowhere}"):
        tokenizers.load("org/repo")
    assert time.monotonic() - start < 15  # the hub's own retries take 24 s for each file


def test_nobody_is_asked_where_that_is_forbidden(monkeypatch: pytest.MonkeyPatch, nowhere: str, tmp_path: Path) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(socket, "create_connection", lambda *a, **k: pytest.fail("asked"))
    with pytest.raises(FileNotFoundError, match="HF_HUB_OFFLINE is set"):
        zoo.load("hf://org/repo", cache_dir=tmp_path)
    assert "HF_HUB_OFFLINE is set" in why_absent()
