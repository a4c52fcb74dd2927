"""One self-contained HTML file out of a template, a style sheet, a script and data.

The page may run exactly its own script and style (by hash), load nothing from anywhere, and play a video that lies
beside it; a browser enforces that through the policy in the page's head.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Sequence
from importlib.resources import files
from typing import Any


def assemble(name: str, *, scripts: Sequence[str], title: str, data: Any) -> str:
    """The page `name`.html with its style and its scripts, after the base.css and base.js that all pages share.

    Args:
        scripts: names of the page's scripts, in order; they and base.js run as one, in one scope.
        title: of the browser window; escaped here.
        data: plain values, handed to the script as JSON; no text in it can end the element that holds it.
    """
    style = _asset("base.css") + _asset(f"{name}.css")
    script = "\n".join(_asset(f"{part}.js") for part in ("base", *scripts))
    # the mark at the end says that every line before it ran
    script = f'"use strict";\n(() => {{\n{script}document.documentElement.dataset.ready = "yes";\n}})();'
    # an angle bracket inside JSON can only stand in a string, where its escape means the same
    document = json.dumps(data, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; img-src data:; "
        "media-src 'self' file: http: https: blob:; base-uri 'none'; form-action 'none'"
    )
    parts = {"policy": policy, "title": html.escape(title), "style": style, "script": script, "data": document}
    return re.sub(r"\{\{(\w+)\}\}", lambda slot: parts[slot[1]], _asset(f"{name}.html"))


def data_uri(picture: bytes, kind: str) -> str:
    """`picture` as an address that needs no file; `kind` is such as ``jpeg`` or ``png``."""
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"


def _asset(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
