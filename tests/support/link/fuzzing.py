"""The coverage-guided fuzzer of the firmware's two protocols, compiled natively with sanitizers."""

from __future__ import annotations

import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

from support.link.cases import CASES
from support.link.messages import EXCHANGES

_COMMANDS = (b"name%profile%timestamp%help%results%", b"db load 3000%", b"db 00ff%db print%", b"infer 1 0%")


@dataclass(frozen=True, slots=True)
class Findings:
    """``corpus``: the inputs that reached something new; ``answered`` and ``refused``: the types of frames and codes of
    refusals that the device has sent."""

    executions: int
    edges: int
    corpus: tuple[bytes, ...]
    answered: frozenset[int]
    refused: frozenset[int]


def fuzz(program: Path, executions: int, seed: int, folder: Path) -> Findings:
    """`executions` mutants of the tables' streams. Raises AssertionError with the input that broke the firmware."""
    streams = [case.stream for case in CASES] + [row.stream for row in EXCHANGES] + list(_COMMANDS)
    seeds = [folder / f"seed{index}" for index in range(len(streams))]
    for path, stream in zip(seeds, streams, strict=True):
        path.write_bytes(stream)
    corpus = folder / "corpus"
    command = [program, str(executions), str(seed), corpus, *seeds]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    said = dict(line.partition(" ")[::2] for line in done.stdout.splitlines())
    return Findings(
        int(said["executions"]),
        int(said["edges"]),
        tuple(_inputs(corpus.read_bytes())),
        *(frozenset(int(word, 16) for word in said[key].split()) for key in ("answered", "refused")),
    )


def _inputs(data: bytes) -> list[bytes]:
    found = []
    at = 0
    while at < len(data):
        (size,) = struct.unpack_from("<I", data, at)
        found.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    return found
