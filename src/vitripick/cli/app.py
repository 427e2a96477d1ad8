"""List the commands of the command line, and give each its exit code when something goes wrong."""

from __future__ import annotations

import atexit
import codecs
import gc
import io
import logging
import sys

import typer

from vitripick.cli import (
    classes,
    convert,
    cryosparc,
    cryosparc_job,
    denoise,
    doctor,
    evaluate,
    extract,
    handover,
    label,
    models,
    pick,
    relion,
    report,
    simulate,
    train,
    watch,
)
from vitripick.cli.command import Command
from vitripick.cli.typed import complaint
from vitripick.errors import VitripickError, parameters_spelled, path_problem, used_up
from vitripick.settings.spelling import as_flag
from vitripick.version import VERSION

# Typer's own errors about the command line share a base that it does not export; older versions take it from click.
_CommandLineError: type[Exception] = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")

app = typer.Typer(
    name="vitripick",
    help="Find the particles in cryo-EM micrographs.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    # Rich's markup would eat everything in square brackets.
    rich_markup_mode=None,
)

for module in (
    pick,
    watch,
    relion,
    cryosparc,
    cryosparc_job,
    extract,
    classes,
    handover,
    train,
    label,
    evaluate,
    simulate,
    denoise,
    convert,
    report,
    models,
    doctor,
):
    command = getattr(module, module.__name__.rpartition(".")[2])
    app.command(cls=Command, context_settings=getattr(module, "CONTEXT_SETTINGS", None))(command)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"vitripick {VERSION}")
        raise typer.Exit


@app.callback()
def _start(
    version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Print the version and stop."
    ),
) -> None:
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s", stream=sys.stderr)


def main() -> None:
    """Run the command line and exit with one of the documented codes (docs/command_line.md)."""
    _print_every_letter()
    _collect_rarely()
    sys.exit(run(sys.argv[1:]))


def _collect_rarely() -> None:
    """Keep Python from looking for unused cycles of objects 300 times while it loads modules, and again at the end.

    That is a fifth of a second in each command. A process that works for days still looks now and then.
    """
    gc.set_threshold(10_000)
    atexit.register(gc.freeze)


def _print_every_letter() -> None:
    """Print letters that the terminal's encoding lacks, such as `Å` in ASCII, as JSON escapes them: `\\u00c5`."""
    codecs.register_error("vitripick", _escaped)
    for stream in (sys.stdout, sys.stderr):
        # Python prints the bytes of odd file names as they are, and such a terminal shows them.
        if isinstance(stream, io.TextIOWrapper) and (stream.encoding.lower(), stream.errors) != (
            "utf-8",
            "surrogateescape",
        ):
            stream.reconfigure(errors="vitripick")


def _escaped(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    units = error.object[error.start : error.end].encode("utf-16-be", errors="surrogatepass").hex()
    return "".join(f"\\u{units[i : i + 4]}" for i in range(0, len(units), 4)), error.end


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code; an error goes to stderr as one sentence."""
    try:
        with parameters_spelled(as_flag):
            result: object = app(arguments, prog_name="vitripick", standalone_mode=False)
    except VitripickError as error:
        return _complain(str(error), error.exit_code)
    except _CommandLineError as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # its text is the help
            error.show()  # type: ignore[attr-defined]
            return 2
        return _complain(complaint(error), 2)
    except (KeyboardInterrupt, typer.Abort):
        result = 130
    except Exception as error:
        lacking = used_up(error)
        if lacking is not None:
            return _complain(f"{lacking}; mend that and run the same command again.", 5)
        reason = path_problem(error) if isinstance(error, OSError) else None
        if reason is None:
            raise
        return _complain(f"{reason}; give another path.", 2)
    # Newer versions of typer turn Ctrl-C into this result, older ones raise Abort.
    if result == 130:
        return _complain("interrupted; run the same command again to go on.", 130)
    return result if isinstance(result, int) else 0


def _complain(message: str, code: int) -> int:
    print(f"vitripick: {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
