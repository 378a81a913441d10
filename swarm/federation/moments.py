"""Dates and times of day as people write them, where the way of writing leaves no doubt."""

from __future__ import annotations

import re
from datetime import date

_MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
_MONTH = rf"(?P<month>{'|'.join(f'{name[:3]}(?:{name[3:]})?' if len(name) > 3 else name for name in _MONTHS)}|sept)\.?"
_DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
_YEAR = r"(?P<year>\d{4})"
_WEEKDAY = r"(?:(?:mon|tues|wednes|thurs|fri|satur|sun)day,?\s+)?"
_DATES = tuple(
    re.compile(_WEEKDAY + pattern)
    for pattern in (
        rf"{_YEAR}(?P<mark>[-/.])(?P<number>\d{{1,2}})(?P=mark){_DAY}",
        rf"{_MONTH}\s+{_DAY},?\s+{_YEAR}",
        rf"(?:the\s+)?{_DAY}\s+(?:of\s+)?{_MONTH},?\s+{_YEAR}",
        rf"(?P<day>\d{{1,2}})\.\s?(?P<number>\d{{1,2}})\.\s?{_YEAR}",
    )
)
_TIME = re.compile(r"(?P<hour>\d{1,2})(?::(?P<minute>\d{2})(?::(?P<second>\d{2}))?)?\s*(?P<half>a\.?m|p\.?m)?")


def moment_key(plain: str) -> str | None:
    """`2024-03-05` or `15:30`, from a case-folded text that is one date or time and nothing else. Days and months
    between slashes are left as they are: half of the world reads them the other way round."""
    return _date_key(plain) or _time_key(plain)


def _date_key(plain: str) -> str | None:
    for pattern in _DATES:
        match = pattern.fullmatch(plain)
        if match is not None:
            found = match.groupdict()
            month = int(found["number"]) if found.get("number") else _month_number(found["month"])
            try:
                return date(int(found["year"]), month, int(found["day"])).isoformat()
            except ValueError:
                return None
    return None


def _month_number(name: str) -> int:
    return next(number for number, month in enumerate(_MONTHS, 1) if month.startswith(name[:3]))


def _time_key(plain: str) -> str | None:
    match = _TIME.fullmatch(plain)
    if match is None or not (match["minute"] or match["half"]):
        return None
    hour, minute, second = int(match["hour"]), int(match["minute"] or 0), match["second"]
    if match["half"]:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if match["half"].startswith("p") else 0)
    if hour > 23 or minute > 59:
        return None
    return f"{hour:02}:{minute:02}" + (f":{second}" if second and second != "00" else "")
