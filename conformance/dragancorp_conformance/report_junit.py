"""A report as JUnit XML, for continuous integration."""

import re
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

_UNPRINTABLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(report: Mapping[str, Any]) -> str:
    """The XML document: a test case for each requirement; what was not looked at is skipped, with its reason."""
    totals = report["totals"]
    suite = ElementTree.Element(
        "testsuite",
        name=f"dragancorp conformance {report['level']}",
        tests=str(len(report["results"])),
        failures=str(totals["failed"]),
        errors="0",
        skipped=str(totals["not_implemented"] + totals["not_covered"]),
        timestamp=report["started_at"],
        time=str(round(sum(one["duration_seconds"] for one in report["results"]), 3)),
    )
    for result in report["results"]:
        suite.append(_case(result))
    whole = ElementTree.Element("testsuites")
    whole.append(suite)
    ElementTree.indent(whole)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(whole, encoding="unicode") + "\n"


def _case(result: Mapping[str, Any]) -> ElementTree.Element:
    case = ElementTree.Element(
        "testcase",
        classname=result["requirement_id"].partition("-")[0],
        name=_printable(f"{result['requirement_id']} {result['sentence']}"),
        time=str(result["duration_seconds"]),
    )
    for failure in result.get("failures", ()):
        element = ElementTree.SubElement(case, "failure", message=_printable(failure["why"]))
        element.text = _printable(_told(failure))
    if result["outcome"] in ("not_implemented", "not_covered"):
        ElementTree.SubElement(case, "skipped", message=_printable(f"{result['outcome']}: {result['reason']}"))
    return case


def _told(failure: Mapping[str, Any]) -> str:
    lines = [failure["why"], ""]
    if "request" in failure:
        request = failure["request"]
        lines += [f"{request['method']} {request['url']}", request.get("body", ""), ""]
    if "answer" in failure:
        lines += [f"answered {failure['answer']['status']}", failure["answer"].get("body", ""), ""]
    return "\n".join([*lines, failure["repeat"], failure.get("command", "")])


def _printable(text: str) -> str:
    return _UNPRINTABLE.sub("\ufffd", text)
