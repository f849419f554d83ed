"""From what the service answers to HTML. What is shown is data: escaped, cut, its control characters seen."""

import unicodedata
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from jinja2 import ChainableUndefined, Environment, FileSystemLoader, select_autoescape
from litestar import Response
from litestar.datastructures import Cookie

from dragancorp.faces.api.prefix import prefixed

HERE = Path(__file__).parent
LONGEST = 2_000  # characters of a text that are shown
SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def page(template: str, *, status: int = 200, cookies: list[Cookie] | None = None, **values: Any) -> Response[str]:
    """A rendered template with the headers that every page has."""
    text = _environment().get_template(template).render(**values)
    return Response(
        content=text,
        status_code=status,
        media_type="text/html; charset=utf-8",
        headers=SECURITY_HEADERS,
        cookies=cookies,
    )


def redirect(path: str, *, cookies: list[Cookie] | None = None) -> Response[str]:
    """Go on elsewhere on this page, by GET."""
    headers = {**SECURITY_HEADERS, "Location": prefixed(path)}
    return Response(content="", status_code=303, media_type="text/plain", headers=headers, cookies=cookies)


def shown(value: object, longest: int = LONGEST) -> str:
    """A text that a lane or a caller wrote: control and direction characters as escapes, cut when it is long."""
    text = str(value)
    seen = "".join(_visible(character) for character in text[:longest])
    return seen if len(text) <= longest else f"{seen} … ({len(text):,} characters)"


def _visible(character: str) -> str:
    if character == "\n" or unicodedata.category(character)[0] != "C" or character in "\u200c\u200d":
        return character
    return character.encode("unicode_escape").decode("ascii")


def seconds(value: object) -> str:
    """A duration for people."""
    if not isinstance(value, int | float):
        return "–"
    if value < 1:
        return f"{value * 1000:.0f} ms"
    if value < 120:
        return f"{value:.1f} s"
    return f"{value / 60:.0f} min" if value < 7200 else f"{value / 3600:.1f} h"


def percent(value: object) -> str:
    """A share for people."""
    return f"{value:.1%}" if isinstance(value, int | float) else "–"


def between(start: str | None, end: str | None) -> float | None:
    """Seconds between two times of the contracts; until now where the end is not known, None where the start is not."""
    if not start:
        return None
    until = datetime.fromisoformat(end) if end else datetime.now(UTC)
    return max(0.0, (until - datetime.fromisoformat(start)).total_seconds())


def link(path: str, **query: object) -> str:
    """An address on this page; what is empty is left out of the query."""
    given = {name: value for name, value in query.items() if value}
    return prefixed(path) + (f"?{urlencode(given)}" if given else "")


def part(text: str) -> str:
    """A name as one part of an address."""
    return quote(text, safe="")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=select_autoescape(["html"], default=True),
        undefined=ChainableUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"shown": shown, "seconds": seconds, "percent": percent, "part": part}
    environment.globals |= {"link": link, "between": between}
    return environment
