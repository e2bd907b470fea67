"""junit.xml: a suite for each case, a test for each check, as CI systems read it. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree

from lab.verify.verdict import CaseVerdict, Outcome, Verdict

#: Characters that XML 1.0 cannot hold at all, not even escaped.
FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render(run: str, cases: Sequence[CaseVerdict]) -> str:
    """The document: *fail* is a failure, *unknown* an error, which CI counts as red too."""
    root = ElementTree.Element("testsuites", name=run)
    for case in cases:
        tests = case.verdicts
        suite = ElementTree.SubElement(
            root,
            "testsuite",
            name=case.name,
            tests=str(len(tests)),
            failures=str(sum(v.outcome is Outcome.FAIL for v in tests)),
            errors=str(sum(v.outcome is Outcome.UNKNOWN for v in tests)),
            time=f"{case.duration:.3f}",
        )
        for verdict in tests:
            _test(suite, case, verdict)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _test(suite: ElementTree.Element, case: CaseVerdict, verdict: Verdict) -> None:
    test = ElementTree.SubElement(suite, "testcase", classname=case.name, name=verdict.check)
    said = _clean(f"measured: {verdict.measured}; promised: {verdict.promised}; {verdict.reason}")
    if verdict.outcome is Outcome.PASS:
        ElementTree.SubElement(test, "system-out").text = said
    else:
        kind = "failure" if verdict.outcome is Outcome.FAIL else "error"
        ElementTree.SubElement(test, kind, message=_clean(verdict.reason), type=str(verdict.outcome)).text = said


def _clean(text: str) -> str:
    return FORBIDDEN.sub("\ufffd", text)
