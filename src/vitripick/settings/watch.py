"""The options of watching, besides those of picking."""

from __future__ import annotations

from vitripick.settings import OUTPUT, Option, Settings, option

WAITING = "Waiting"


class WatchSettings(Settings):
    """Says how to wait for micrographs."""

    settle_seconds: float = option(
        5.0,
        "Seconds between two looks that must find a file unchanged before it is picked.",
        about=Option(WAITING, name="settle"),
        ge=0,
    )
    poll_seconds: float = option(
        2.0, "Seconds between two looks into the folder.", about=Option(WAITING, name="poll"), ge=0.01
    )
    tries: int = option(
        5, "Number of tries after which a file that cannot be picked counts as failed.", about=Option(WAITING), ge=1
    )
    retry_seconds: float = option(
        10.0,
        "Seconds before the second try; twice as long before each further one.",
        about=Option(WAITING, name="retry"),
        ge=0,
    )
    survey_wait_seconds: float = option(
        40.0,
        "Seconds to wait for five micrographs, on which diameter and threshold are found. They hold for all that "
        "follow, "
        "and a single micrograph may be unusual.",
        about=Option(WAITING, name="survey_wait"),
        ge=0,
    )
    idle_timeout_seconds: float | None = option(
        None,
        "Stop when nothing has arrived and nothing waits for this many seconds.",
        about=Option(WAITING, name="idle_timeout", default_text="wait without end"),
        gt=0,
    )
    join_seconds: float = option(
        60.0, "Shortest time in seconds between two rebuilds of the joined files.", about=Option(OUTPUT), ge=0
    )
    status_seconds: float = option(5.0, "Seconds between two updates of status.json.", about=Option(OUTPUT), ge=0)
    line_seconds: float = option(60.0, "Seconds between two lines on how it goes.", about=Option(OUTPUT), gt=0)
    report: bool = option(False, "Rebuild OUT/report.html now and then, and at the end.", about=Option(OUTPUT))
    classes: bool = option(
        False,
        "Sort the picks into 2-D classes now and then, and at the end: OUT/classes/sheet.png.",
        about=Option(OUTPUT),
    )
