"""Say in our own words what is wrong with a value of a setting, and what was probably meant.

Pydantic's own sentences use words such as input and string, and name one limit at a time. Users read these instead: on
the command line, in RELION jobs, and for the keys of TOML and JSON files.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

# Our words for pydantic's other errors. "Value error" is missing here, because those texts are ours already.
_SENTENCES = {
    "bool_parsing": "give true or false",
    "bool_type": "give true or false",
    "dict_type": "give a table of keys and values",
    "extra_forbidden": "there is no such key",
    "frozen_field": "this cannot be changed",
    "list_type": "give a list",
    "missing": "this is missing",
    "model_type": "give a table of keys and values",
    "string_type": "give a text",
    "tuple_type": "give a list",
    "too_long": "these are too many values",
    "too_short": "these are too few values",
}
# Larger whole numbers are not counts, and not every library takes them as seeds.
_LARGEST_WHOLE = 2**53
_NUMBERS = re.compile("int_|float_|greater_than|less_than|finite_number|multiple_of")


@dataclass(frozen=True)
class Limits:
    """Says which numbers an option takes.

    Attributes
    ----------
    whole
        Whether only whole numbers are allowed.
    ge, gt, le, lt
        Least and largest value, and bounds that are not allowed themselves; None where there is none.
    """

    whole: bool = False
    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None

    def wanted(self) -> str:
        """Return which number to give, in words.

        Examples
        --------
        >>> Limits(ge=0, le=1).wanted(), Limits(whole=True, ge=1).wanted(), Limits(gt=0).wanted()
        ('a number from 0 to 1', 'a whole number of 1 or more', 'a number above 0')
        """
        name = "a whole number" if self.whole else "a number"
        if self.ge is not None and self.le is not None:
            return f"{name} from {self.ge:g} to {self.le:g}"
        low = f"above {self.gt:g}" if self.gt is not None else f"of {self.ge:g} or more" if self.ge is not None else ""
        high = f"at most {self.le:g}" if self.le is not None else f"below {self.lt:g}" if self.lt is not None else ""
        return " ".join(part for part in (name, low, "and" if low and high else "", high) if part)

    def allow(self, value: float) -> bool:
        """Return whether a number lies within the limits."""
        return (
            math.isfinite(value)
            and (not self.whole or value == int(value))
            and (self.ge is None or value >= self.ge)
            and (self.gt is None or value > self.gt)
            and (self.le is None or value <= self.le)
            and (self.lt is None or value < self.lt)
        )

    def refusal(self, given: object) -> str | None:
        """Return what to give instead of this text or number; None if it is allowed.

        Examples
        --------
        >>> Limits(ge=0, le=1).refusal("40"), Limits(gt=0).refusal("130A")
        ('give a number from 0 to 1; did you mean 0.40?', 'give a number above 0; did you mean 130?')
        """
        value = _number(str(given))
        is_written_well = not self.whole or re.fullmatch(r"[+-]?[0-9]+", str(given))
        if value is not None and self.allow(value) and is_written_well:
            return None if abs(value) <= _LARGEST_WHOLE or not self.whole else "this number is too large"
        meant = self._meant(str(given))
        return f"give {self.wanted()}" + (f"; did you mean {meant}?" if meant else "")

    def _meant(self, text: str) -> str | None:
        """Return the number that was probably meant: with a decimal point, without its unit, as a share."""
        plain = text.strip().replace(",", ".")
        is_percent = plain.endswith("%")
        found = re.fullmatch(r"([+-]?[\d.]+(?:[eE][+-]?\d+)?)\s*(%|[^\W\d_]*)", plain)
        value = None if found is None else _number(found[1])
        if found is None or value is None or not math.isfinite(value):
            return None
        is_share = self.ge == 0 and self.le == 1 and not self.whole
        if is_share and (is_percent or value >= 2):
            # A share is often typed in per cent; a value of 1.2 is rather a slip of the finger.
            return f"{value / 100:.2f}" if value == int(value) and 0 <= value <= 100 else None
        if not self.allow(value) or is_percent:
            return None
        return f"{int(value)}" if self.whole else f"{value:g}"


def limits_of(field: FieldInfo) -> Limits | None:
    """Return which numbers a field of a settings class takes; None if it takes no number."""
    type_ = _without_none(field.annotation)
    if type_ not in (int, float):
        return None
    found = {
        name: getattr(part, name)
        for part in field.metadata
        for name in ("ge", "gt", "le", "lt")
        if getattr(part, name, None) is not None
    }
    return Limits(whole=type_ is int, **found)


def one_of(choices: list[str], given: str) -> str:
    """Return which words to give instead of another one, and the one that was probably meant.

    Examples
    --------
    >>> one_of(["centre", "box"], "center")
    'give centre or box; did you mean centre?'
    """
    *first, last = choices
    near = difflib.get_close_matches(given, choices, 1)
    listed = f"{', '.join(first)} or {last}" if first else last
    return f"give {listed}" + (f"; did you mean {near[0]}?" if near else "")


def first_problem(error: ValidationError, settings: type[BaseModel]) -> tuple[str, Any, str]:
    """Return which field is wrong first, the value that was given for it, and what to give instead."""
    item = error.errors()[0]
    name = str(item["loc"][0]) if item["loc"] else ""
    return name, item["input"], in_words(item, field_at(item["loc"], settings))


def problems(error: ValidationError, settings: type[BaseModel] | None = None) -> str:
    """Return all that is wrong, each with its key: `threshold 40: give a number from 0 to 1`."""
    told = []
    for item in error.errors():
        field = None if settings is None else field_at(item["loc"], settings)
        where = ".".join(str(part) for part in item["loc"])
        shown = f" {item['input']!r}" if isinstance(item["input"], str | int | float) else ""
        is_own = item["type"] in ("extra_forbidden", "missing")
        told.append(f"{where}{'' if is_own else shown}: {in_words(item, field)}")
    return "; ".join(told)


def field_at(place: Sequence[int | str], settings: type[BaseModel]) -> FieldInfo | None:
    """Return the field that a place such as ("particles", "box_margin") names; None for a part of a value."""
    *tables, name = place or ("",)
    inside: Any = settings
    for table in tables:
        field = inside.model_fields.get(str(table))
        inside = None if field is None else _without_none(field.annotation)
        if not (isinstance(inside, type) and issubclass(inside, BaseModel)):
            return None
    found: FieldInfo | None = inside.model_fields.get(str(name))
    return found


def in_words(item: ErrorDetails, field: FieldInfo | None = None) -> str:
    """Return what is wrong with one value, or what to give instead; `field` tells all its limits."""
    kind, context = item["type"], item.get("ctx", {})
    if _NUMBERS.match(kind):
        limits = (None if field is None else limits_of(field)) or _limits_from(kind, context)
        return limits.refusal(item["input"]) or f"give {limits.wanted()}"
    if kind in ("literal_error", "enum"):
        choices = re.findall(r"'([^']*)'", str(context.get("expected", "")))
        return one_of(choices, str(item["input"])) if choices else "this value is not known"
    if kind == "string_pattern_mismatch" and (words := re.fullmatch(r"\^\(([\w|]+)\)\$", context["pattern"])):
        return one_of(words[1].split("|"), str(item["input"]))
    if kind in ("value_error", "assertion_error"):
        return item["msg"].partition(", ")[2] or item["msg"]
    return _SENTENCES.get(kind, "this value cannot be used")


def _limits_from(kind: str, context: Mapping[str, Any]) -> Limits:
    known = {name: context[name] for name in ("ge", "gt", "le", "lt") if isinstance(context.get(name), int | float)}
    return Limits(whole=kind.startswith("int_"), **known)


def _number(text: str) -> float | None:
    # Python also reads 1_000 and digits of other scripts, but other programs do not.
    try:
        return float(text) if text.isascii() and "_" not in text else None
    except ValueError:
        return None


def _without_none(annotation: Any) -> Any:
    members = [member for member in get_args(annotation) if member is not type(None)]
    is_union = get_origin(annotation) is not None and type(None) in get_args(annotation)
    return members[0] if is_union and len(members) == 1 else annotation
