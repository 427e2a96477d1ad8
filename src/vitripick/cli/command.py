"""Lay out help texts: options under headings, whole names and whole sentences at any width."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from typer.core import TyperCommand

from vitripick.cli.typed import check_typed
from vitripick.errors import InputError
from vitripick.settings import MACHINE
from vitripick.settings.optics import MICROSCOPE

# A line must not break at the hyphen of `--a-name`; it never breaks at this other hyphen.
_UNBROKEN = "\u2011"


class Command(TyperCommand):
    """Checks what was typed, and lists the command's options in its help under the headings of their settings."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Check what was typed, so that a wrong value is reported in our words, and then convert it."""
        given, _, _ = self.make_parser(ctx).parse_args(args=list(args))
        if not given.get("help"):
            check_typed(given, self)
        return list(super().parse_args(ctx, args))

    def invoke(self, ctx: Any) -> Any:
        """Run the command. Typer takes an `EOFError` for Ctrl-C, so a file that ends too early is reported here."""
        try:
            return super().invoke(ctx)
        except EOFError as error:
            raise InputError(f"a file ended too early, so it is empty or cut short ({error}).") from error

    def get_help(self, ctx: Any) -> str:
        """Return the whole help; hyphens that were kept from breaking a line are hyphens again."""
        return str(super().get_help(ctx)).replace(_UNBROKEN, "-")

    def format_help_text(self, ctx: Any, formatter: Any) -> None:
        """Write what the command does."""
        self.help = None if self.help is None else filled(self.help)
        super().format_help_text(ctx, formatter)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the options heading by heading; what has no heading comes first, `--help` last."""
        by_heading: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                heading = getattr(parameter, "rich_help_panel", None) or ""
                by_heading.setdefault(heading, []).append((record[0], filled(record[1])))
        # Options without a heading come first (output, model, help); what few people need comes last.
        last = (MICROSCOPE, MACHINE)
        for title in sorted(by_heading, key=lambda title: (title != "", title in last, title == MACHINE)):
            with formatter.section(title or "Options"):
                formatter.write_dl(by_heading[title])


def filled(text: str) -> str:
    """Return a help text with its lists filled in; they are looked up only when a help is printed."""
    for name, listed in _LISTS.items():
        if f"{{{name}}}" in text:
            text = text.replace(f"{{{name}}}", listed())
    return text.replace("-", _UNBROKEN)


def _formats() -> str:
    from vitripick.formats.picks.table import written_formats

    *names, last = written_formats()
    return f"{', '.join(names)} and {last}"


def _relion_labels() -> str:
    from vitripick.programs.relion import known_labels

    return ", ".join(known_labels())


def _architectures() -> str:
    from vitripick.models.architecture_names import ARCHITECTURE_NAMES, in_a_row
    from vitripick.settings.train import DEFAULT_ARCHITECTURE

    return f"{in_a_row(ARCHITECTURE_NAMES)}; {DEFAULT_ARCHITECTURE} by default"


def _by_particle() -> str:
    from vitripick.models.architecture_names import names_that_scale_by

    return names_that_scale_by("particle")


def _by_long_side() -> str:
    from vitripick.models.architecture_names import names_that_scale_by

    return names_that_scale_by("long_side")


_LISTS: dict[str, Callable[[], str]] = {
    "formats": _formats,
    "relion_labels": _relion_labels,
    "architectures": _architectures,
    "by_particle": _by_particle,
    "by_long_side": _by_long_side,
}
