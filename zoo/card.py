"""The model card of a checkpoint, written from its configuration and from what the run measured."""

from __future__ import annotations

from typing import Any

from .rows import ModelRow


def model_card(row: ModelRow, config: dict[str, Any]) -> str:
    """`README.md` of a checkpoint folder: front matter for the hub, what it is, figures, how to load it."""
    languages = config["languages"]
    parts = ["---", "library_name: weaksync"]
    if languages:
        parts += ["language:", *(f"- {code}" for code in languages)]
    parts += [
        "tags:",
        "- weaksync",
        f"- {row.family}",
        "---",
        "",
        f"# {config['model']}",
        "",
        f"{row.description}.",
        "",
    ]
    if translated := config["translated"]:
        parts += [
            f"It reads {translated['to']}: texts in {', '.join(translated['from'])} were translated to it by "
            f"{translated['by']}, for training and for its figures. Translate yours before.",
            "",
        ]
    parts += [
        "## Use",
        "",
        "```python",
        "from weaksync import zoo",
        "",
        'model = zoo.load("path/to/this/folder")  # or "hf://org/repo"',
        "```",
        "",
    ]
    if config["metrics"]:
        parts += ["## Figures", "", *_tables(config["metrics"]), ""]
    if config["decoder"]:
        parts += ["## Decoder", "", *_table(("setting", "value"), config["decoder"].items()), ""]
    parts += ["## Arguments", "", *_table(("argument", "value"), config["arguments"].items()), ""]
    return "\n".join(parts)


def _tables(metrics: dict[str, Any]) -> list[str]:
    """One table of the plain figures, then one for each nested dictionary."""
    plain = {name: value for name, value in metrics.items() if not isinstance(value, dict)}
    lines = _table(("figure", "value"), plain.items()) if plain else []
    for title, nested in metrics.items():
        if isinstance(nested, dict):
            lines += ["", f"### {title}", "", *_table(("figure", "value"), nested.items())]
    return lines


def _table(head: tuple[str, str], rows: Any) -> list[str]:
    return [f"| {head[0]} | {head[1]} |", "|---|---|", *(f"| {name} | {_cell(value)} |" for name, value in rows)]


def _cell(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value).replace("|", "\\|")
