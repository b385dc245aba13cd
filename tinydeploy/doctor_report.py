"""A diagnosis for people, as text, and for programs, as JSON."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.table import Table

from tinydeploy.doctor import Diagnosis, Finding


def diagnosis_json(diagnosis: Diagnosis) -> str:
    """All fields of `diagnosis`, and ``wrong``."""
    return json.dumps({"wrong": diagnosis.wrong, **dataclasses.asdict(diagnosis)}, indent=2) + "\n"


def diagnosis_report(diagnosis: Diagnosis) -> RenderableType:
    """What is here, then port by port; whatever is wrong or slow in capitals."""
    parts: list[RenderableType] = [_findings(diagnosis.findings)]
    for examined in diagnosis.ports:
        parts += ["", examined.port.device, _findings(examined.findings)]
    return Group(*parts)


def _findings(findings: Iterable[Finding]) -> Table:
    made = Table(box=None, show_header=False, pad_edge=False)
    made.add_column(no_wrap=True)
    made.add_column(no_wrap=True)
    made.add_column()
    for finding in findings:
        mark = finding.level.upper() if finding.level in ("slow", "wrong") else finding.level
        made.add_row(mark, finding.topic, finding.text)
    return made
