"""Download from the hub and upload to it, through huggingface_hub."""

from __future__ import annotations

import re
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from . import registry

HUB = "hf://"
#: what a checkpoint may consist of; anything else in a repository is left where it is
PATTERNS = ("*.json", "*.safetensors", "*.model", "*.txt", "README.md", "SHA256SUMS")

#: seconds in which the hub, or the proxy on the way to it, must let us connect
PATIENCE = 3.0


def fetch(
    source: str | Path,
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
) -> Path:
    """The local folder of a checkpoint; downloads it if `source` is on the hub and it is not cached.

    Raises:
        FileNotFoundError: nothing there, or offline and not cached.
        ValueError: a registered name for which there is nothing to download.
    """
    name = str(source)
    if name.startswith(HUB):
        return _from_hub(
            name.removeprefix(HUB),
            revision=revision,
            token=token,
            cache_dir=cache_dir,
            local_files_only=local_files_only,
        )
    if Path(source).exists():
        return Path(source)
    rows = [row for row in registry.list_weights() if name in (row.name, row.model)]
    if rows:
        ways = "; ".join(f"{row.name}: see {row.source}; {row.how}" for row in rows)
        raise ValueError(f"no weights of {name} are hosted that we could verify. {ways}")
    if any(row.name == name for row in registry.list_models()):
        raise ValueError(f"{name} has no published weights: make random ones with zoo.create, or train it")
    raise FileNotFoundError(
        f"no checkpoint folder {name!r}, and no weights of that name"
        f"{registry.did_you_mean(name, [row.name for row in registry.list_models()])}; "
        f"on the hub it would be {HUB}org/repo"
    )


def from_disk(source: str | Path) -> bool:
    """Whether a source must be read from disk: it is no hub id, HF_HUB_OFFLINE is set, or the hub does not answer.

    Offline, the hub's own libraries retry with longer and longer waits before they read the cache.
    """
    from huggingface_hub import constants

    return not is_hub_id(source) or bool(constants.HF_HUB_OFFLINE) or not _answers(constants.ENDPOINT)


def is_hub_id(source: str | Path) -> bool:
    """Whether a source can be a repository on the hub: ``org/repo`` or ``repo``, and no folder here."""
    name = str(source).removeprefix(HUB)
    return bool(re.fullmatch(r"\w[\w.-]*(/[\w.-]+)?", name)) and not Path(source).is_dir()


def why_absent() -> str:
    """Why the hub was not asked, and what to do about it."""
    from huggingface_hub import constants

    why = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else f"{constants.ENDPOINT} does not answer"
    return f"it is not in the cache, and {why}: go online, or fetch it elsewhere and set HF_HOME to the copy"


def _answers(endpoint: str) -> bool:
    """Whether a server can be reached, through the proxy if there is one."""
    server = urlsplit(endpoint)
    proxies = getproxies()
    proxy = proxies.get(server.scheme, proxies.get("all"))
    if proxy and not proxy_bypass(server.hostname or ""):
        server = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    port = server.port or (443 if server.scheme == "https" else 80)
    try:
        socket.create_connection((server.hostname or "", port), timeout=PATIENCE).close()
    except OSError:
        return False
    return True


def _from_hub(repo: str, *, cache_dir: str | Path | None, local_files_only: bool, **options: Any) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    options |= {"cache_dir": cache_dir, "local_files_only": local_files_only or from_disk(f"{HUB}{repo}")}
    try:
        return Path(snapshot_download(repo, allow_patterns=list(PATTERNS), **options))
    except HFValidationError as fault:
        raise ValueError(f"{HUB}{repo}: {fault}") from fault
    except LocalEntryNotFoundError as absent:
        why = "it is not in the cache, and local_files_only is set" if local_files_only else why_absent()
        raise FileNotFoundError(f"no {HUB}{repo} here: {why}") from absent
    except HfHubHTTPError as fault:
        raise FileNotFoundError(f"{HUB}{repo}: the hub refused it: {fault}") from fault


def upload(
    save: Callable[[Path], Any],
    repo: str,
    *,
    private: bool,
    token: str | bool | None,
    revision: str | None,
    message: str,
) -> str:
    """Upload what `save` writes into a folder; returns the URL of the repository.

    Args:
        revision: branch, which is made if absent, or ``refs/pr/N`` of a pull request; the main branch if None.
    """
    from huggingface_hub import HfApi

    api = HfApi(token=token)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "checkpoint"
        save(folder)
        url = api.create_repo(repo, private=private, exist_ok=True)
        if revision is not None and not revision.startswith("refs/"):  # those of pull requests are the hub's to make
            api.create_branch(repo, branch=revision, exist_ok=True)
        api.upload_folder(repo_id=repo, folder_path=folder, revision=revision, commit_message=message)
    return str(url)
