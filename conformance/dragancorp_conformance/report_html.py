"""A report as one HTML page: nothing is fetched, light and dark, every text escaped."""

from collections.abc import Mapping
from html import escape
from typing import Any

OUTCOMES = {"passed": "passed", "failed": "failed", "not_implemented": "not implemented", "not_covered": "not covered"}
STYLE = """
:root { color-scheme: light dark; --ink: #1d2430; --paper: #fff; --soft: #f3f5f8; --line: #d5dae2;
  --passed: #18794e; --failed: #b3261e; --not_implemented: #8a5a00; --not_covered: #5b6470; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e8ee; --paper: #14181f; --soft: #1d232d; --line: #343c49;
  --passed: #5bc796; --failed: #ff8a80; --not_implemented: #e6b450; --not_covered: #9aa5b4; } }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 76rem; padding: 1.5rem; font: 15px/1.5 system-ui, sans-serif; color: var(--ink);
  background: var(--paper) }
h1 { font-size: 1.5rem; margin: 0 } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; margin: 1rem 0 } dt { opacity: .75 }
dd { margin: 0; overflow-wrap: anywhere }
.scroll { overflow-x: auto } table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem; border-bottom: 1px solid var(--line) }
td.n { text-align: right; font-variant-numeric: tabular-nums } td:first-child { white-space: nowrap }
.passed { color: var(--passed) } .failed { color: var(--failed) }
.not_implemented { color: var(--not_implemented) } .not_covered { color: var(--not_covered) }
b.passed, b.failed, b.not_implemented, b.not_covered { white-space: nowrap }
pre { background: var(--soft); border: 1px solid var(--line); border-radius: .3rem; padding: .6rem;
  margin: .3rem 0 .8rem;
  white-space: pre-wrap; overflow-wrap: anywhere; max-height: 24rem; overflow-y: auto }
details { border: 1px solid var(--line); border-radius: .3rem; padding: .5rem .8rem; margin: .5rem 0 }
summary { cursor: pointer } .verdict { font-size: 1.1rem; font-weight: 600 }
"""


def html(report: Mapping[str, Any]) -> str:
    """The page."""
    verdict = "conforms" if report["conformant"] else "does not conform"
    colour = "passed" if report["conformant"] else "failed"
    failed = [one for one in report["results"] if one["outcome"] == "failed"]
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>Conformance: {verdict}</title><style>{STYLE}</style></head><body><main>",
        f'<h1>Conformance {escape(report["level"])}</h1><p class="verdict {colour}">It {verdict}.</p>',
        _facts(report),
        *(["<h2>What failed</h2>", *(_failures(one) for one in failed)] if failed else []),
        "<h2>Every requirement</h2>",
        _table(report),
        "<h2>Left out of the generated cases</h2><ul>",
        *(
            f"<li><code>{escape(one['check'])}</code>: {escape(one['reason'])}</li>"
            for one in report["excluded_checks"]
        ),
        "</ul></main></body></html>",
    ]
    return "\n".join(parts) + "\n"


def _facts(report: Mapping[str, Any]) -> str:
    implementation, totals = report["implementation"], report["totals"]
    said = ", ".join(f"{totals[name]} {shown}" for name, shown in OUTCOMES.items())
    pairs = {
        "Implementation": f"{implementation['url']} {implementation.get('version', '')}".strip(),
        "Claims": f"level {implementation.get('level', 'unknown')}",
        "Requirements": said,
        "Cases": str(sum(one["cases"] for one in report["results"])),
        "Ran": f"{report['started_at']} to {report['finished_at']}",
        "Suite": f"{report['suite']['version']}, seed {report['suite']['seed']}",
    }
    return "<dl>" + "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in pairs.items()) + "</dl>"


def _failures(result: Mapping[str, Any]) -> str:
    shown = [f"<p>{escape(result['strength'])}, {escape(result['section'])}</p>"]
    for failure in result["failures"]:
        shown.append(f"<p><b>{escape(failure['why'])}</b></p>")
        if "request" in failure:
            request = failure["request"]
            head = [f"{request['method']} {request['url']}", *_headers(request)]
            shown.append(f"<p>Request</p><pre>{escape(_joined(head, request))}</pre>")
        if "answer" in failure:
            answer = failure["answer"]
            shown.append(
                f"<p>Answer</p><pre>{escape(_joined([str(answer['status']), *_headers(answer)], answer))}</pre>"
            )
        commands = "\n".join(filter(None, [failure["repeat"], failure.get("command")]))
        shown.append(f"<p>Again</p><pre>{escape(commands)}</pre>")
    name = escape(result["requirement_id"])
    title = f'<summary class="failed">{name} {escape(result["sentence"])}</summary>'
    return f'<details open id="{name}">{title}{"".join(shown)}</details>'


def _headers(part: Mapping[str, Any]) -> list[str]:
    return [f"{name}: {value}" for name, value in part.get("headers", {}).items()]


def _joined(head: list[str], part: Mapping[str, Any]) -> str:
    return "\n".join([*head, "", part["body"]] if part.get("body") else head)


def _table(report: Mapping[str, Any]) -> str:
    rows = "".join(_row(one) for one in report["results"])
    head = "<tr><th>Id</th><th>What must hold</th><th>Found</th><th>Cases</th><th>Seconds</th></tr>"
    return f'<div class="scroll"><table><thead>{head}</thead><tbody>{rows}</tbody></table></div>'


def _row(result: Mapping[str, Any]) -> str:
    name, outcome = escape(result["requirement_id"]), result["outcome"]
    named = f'<a href="#{name}">{name}</a>' if outcome == "failed" else name
    reason = f"<br><small>{escape(result['reason'])}</small>" if "reason" in result else ""
    should = " <small>(SHOULD)</small>" if result["strength"] == "SHOULD" else ""
    return (
        f"<tr><td>{named}</td><td>{escape(result['sentence'])}{should}{reason}</td>"
        f'<td><b class="{outcome}">{OUTCOMES[outcome]}</b></td>'
        f'<td class="n">{result["cases"]}</td><td class="n">{result["duration_seconds"]:.2f}</td></tr>'
    )
