"""From a source to a folder on this machine, and back up: the hub, through huggingface_hub."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import registry

HUB = "hf://"
#: what a checkpoint may consist of; anything else in a repository is left where it is
PATTERNS = ("*.json", "*.safetensors", "*.model", "*.txt", "README.md", "SHA256SUMS")


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


def _from_hub(repo: str, *, cache_dir: str | Path | None, **options: Any) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(repo, cache_dir=cache_dir, allow_patterns=list(PATTERNS), **options))
    except HFValidationError as fault:
        raise ValueError(f"{HUB}{repo}: {fault}") from fault
    except LocalEntryNotFoundError as absent:
        raise FileNotFoundError(
            f"{HUB}{repo} is not in the cache and cannot be fetched now: go online, or download it there and "
            "set HF_HOME to the copy"
        ) from absent
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
    """Upload what `save` writes into a folder; returns the URL of the repository."""
    from huggingface_hub import HfApi

    api = HfApi(token=token)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "checkpoint"
        save(folder)
        url = api.create_repo(repo, private=private, exist_ok=True)
        api.upload_folder(repo_id=repo, folder_path=folder, revision=revision, commit_message=message)
    return str(url)
