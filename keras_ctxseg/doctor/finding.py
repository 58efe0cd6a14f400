"""One line of the doctor's table."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

State = Literal["ok", "warning", "broken"]


@dataclass(frozen=True)
class Finding:
    """What was looked at and how it is.

    Args:
        section: "versions", "environment", "machine", "smoke".
        name: what was looked at.
        state: "ok"; "warning", which slows or may fail; "broken", with which the package does not
            work.
        found: the value.
        advice: what to do, unless all is well.
    """

    section: str
    name: str
    state: State
    found: str
    advice: str = ""


def is_broken(findings: Sequence[Finding]) -> bool:
    """Whether something has to be put right before anything works."""
    return any(finding.state == "broken" for finding in findings)


def as_table(findings: Sequence[Finding]) -> str:
    """A text for a terminal: one line each, and below it what to do."""
    width = max(len(finding.name) for finding in findings)
    lines: list[str] = []
    section = ""
    for finding in findings:
        if finding.section != section:
            section = finding.section
            lines += ["", section.capitalize()] if lines else [section.capitalize()]
        mark = {"ok": "ok     ", "warning": "warning", "broken": "BROKEN "}[finding.state]
        lines.append(f"  {mark}  {finding.name:{width}}  {finding.found}")
        indent = " " * (13 + width)
        lines += textwrap.wrap(
            finding.advice, 100, initial_indent=f"{indent}-> ", subsequent_indent=f"{indent}   "
        )
    counts = {
        state: sum(each.state == state for each in findings) for state in ("warning", "broken")
    }
    lines += ["", f"{counts['broken']} broken, {counts['warning']} warnings"]
    return "\n".join(lines)


def as_json(findings: Sequence[Finding]) -> str:
    """The same as JSON: `{"broken": bool, "findings": [{section, name, state, ...}]}`."""
    content = {
        "broken": is_broken(findings),
        "findings": [asdict(finding) for finding in findings],
    }
    return json.dumps(content, indent=2)
