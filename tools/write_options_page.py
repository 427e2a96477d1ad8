"""Write docs/options.md from the settings classes: python tools/write_options_page.py"""

from __future__ import annotations

from pathlib import Path

from vitripick.formats.picks.table import written_formats
from vitripick.programs.relion import known_labels
from vitripick.settings import Settings, option_of
from vitripick.settings.pick import PickSettings
from vitripick.settings.watch import WatchSettings

PAGE = Path(__file__).parent.parent / "docs" / "options.md"
INTRODUCTION = """# Options

This page is written by `python tools/write_options_page.py` from the classes in `vitripick.settings`, where each option
stands once. The same list gives the options of the commands, the labels of RELION jobs, and the fields in Python.
"""
SECTIONS: tuple[tuple[type[Settings], str], ...] = (
    (
        PickSettings,
        "## Picking\n\nFor `vitripick pick`, `watch` and `cryosparc-job`, as labels of a job of `vitripick relion`, "
        "and in Python as\n`vitripick.runs.PickSettings`. `vitripick.pick` takes those that act on one micrograph.",
    ),
    (WatchSettings, "## Watching\n\nFor `vitripick watch`, in Python `vitripick.settings.watch.WatchSettings`."),
)


def page() -> str:
    """Return the text of docs/options.md."""
    return "\n".join([INTRODUCTION, *(section(settings, title) for settings, title in SECTIONS)])


def section(settings: type[Settings], title: str) -> str:
    """Return the table of one settings class."""
    labels = known_labels() if settings is PickSettings else []
    rows = [
        f"{title}\n",
        "| command line | Python | RELION label | default | what it does |",
        "|---|---|---|---|---|",
    ]
    for name, field in settings.model_fields.items():
        about = option_of(field)
        typed = about.name or name
        label = f"`{typed}`" if typed in labels else ""
        what = (field.description or "").replace("{formats}", ", ".join(written_formats()))
        rows.append(f"| `--{typed.replace('_', '-')}` | `{name}` | {label} | {default_of(field)} | {what} |")
    return "\n".join(rows) + "\n"


def default_of(field: object) -> str:
    """Return the default of a field as a reader sees it."""
    default, text = getattr(field, "default", None), option_of(field).default_text  # type: ignore[arg-type]
    if default is None:
        return text or ""
    if isinstance(default, bool):
        return "yes" if default else "no"
    return (
        ", ".join(default) if isinstance(default, tuple) else f"{default:g}" if isinstance(default, float) else default
    )


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
