"""The virtual board against silicon: published MLPerf Tiny firmware, run and compared with its published latency.

    python -m benchmarks.silicon FOLDER [--fit] [--only NUCLEO_L4R5ZI] [--out build/silicon]

FOLDER holds one or more checkouts of the results repositories of MLPerf Tiny (mlcommons/tiny_results_v1.1, v1.2), of
which the submission of Bosch for five STM32 boards is used. Nothing of it is part of this project. The constants of
each chip are fitted to ic, kws and ad; vww, and the variants max_performance and min_ram, are tests that no fit has
seen. "left out" is the error of a case when the constants are fitted without it. What an image executed is kept in the
folder of --out, so that each runs once, whatever its chip's constants are.
"""

from __future__ import annotations

import argparse
import functools
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinydeploy import stamp
from tinydeploy.cores import CORES
from tinydeploy.virtual import VirtualBoard
from tinydeploy.virtual.fitting import Counts, cache_sizes, constants, counts, error_percent, fitted, predicted
from tinydeploy.virtual.models.silicon import Silicon
from tinydeploy.virtual.silicon_file import silicon_of
from tinydeploy.virtual.wiring import Setup, setup_named

BOARDS = {
    "DISCO_F746NG": "stm32f746",
    "NUCLEO_G0B1RE": "nucleo_g0b1re",
    "NUCLEO_H7A3ZI": "nucleo_h7a3zi",
    "NUCLEO_L4R5ZI": "nucleo_l4r5zi",
    "NUCLEO_U575ZI": "nucleo_u575zi",
}
FITTED = ("ic", "kws", "ad")
BOOT_S = 5.0
ROOT = Path(__file__).parents[1]
# What decides what is counted.
_COUNTING = ("decode.py", "fitting.py", "memory.py", "counter.py", "native/counter.c", "models/*.py")


@dataclass(frozen=True, slots=True)
class Case:
    """One image and what it took on silicon, in cycles an inference. ``variant``: max_performance and the like.

    ``baud``: of the line that it speaks on.
    """

    board: str
    release: str
    model: str
    variant: str
    image: Path
    measured: float
    baud: int

    @property
    def is_fitted(self) -> bool:
        """Did the constants that ship see it?"""
        return self.model in FITTED and not self.variant


def cases(folder: Path) -> Iterator[Case]:
    """Bosch's int8 images for the boards above, by their places in the repositories."""
    for root in sorted(folder.glob("**/closed/bosch")):
        for image in sorted(root.glob("code/**/*.bin")):
            system, model = image.relative_to(root / "code").parts[:2]
            board, _, variant = system.partition("_int8")
            if board not in BOARDS or "_float" in system:
                continue
            text = (root / f"results/{system}/{model}/performance/results.txt").read_text()
            per_second = re.search(r"Median throughput is\s+([\d.]+)", text)
            described = json.loads((root / f"systems/{system}.json").read_text(), strict=False)
            mhz = re.search(r"[\d.]+", described["Processor(s) Frequencies"])
            assert per_second is not None, image
            assert mhz is not None, image
            release = next((part for part in reversed(root.parts) if "1." in part), root.parts[-3])
            measured = float(mhz[0]) * 1e6 / float(per_second[1])
            baud = 921_600 if "_int8" in system else 115_200  # v1.2 and v1.1 name their folders so
            yield Case(board, release.rpartition("_")[2], model, variant.strip("_"), image, measured, baud)


def booted(setup: Setup, case: Case) -> VirtualBoard:
    """The board once its firmware has said that it is ready."""
    device = VirtualBoard(setup, case.image, strict=False)
    device.line_baud = case.baud
    if b"m-ready" not in answer(device, b"", BOOT_S):
        raise SystemExit(f"{case.image}: does not say m-ready; notes: {device.notes}")
    return device


def answer(device: VirtualBoard, command: bytes, seconds: float = 60.0) -> bytes:
    """What the firmware sends after `command`, up to m-ready."""
    device.uart_send(command)
    said, end_s = b"", device.time_s + seconds
    while b"m-ready\r\n" not in said and device.time_s < end_s:
        device.run(seconds, until_output=True)
        said += device.uart_receive()
    return said


def shipped(board: str) -> Silicon:
    """The constants of a board's chip."""
    silicon = silicon_of(setup_named(BOARDS[board]).chip.part)
    assert silicon is not None, board
    return silicon


def inference(case: Case, silicon: Silicon) -> Counts:
    """The counts of one inference: what many take less what one takes, so that talking cancels."""
    device = booted(setup_named(BOARDS[case.board]), case)
    if b"m-name" not in answer(device, b"name%"):
        raise SystemExit(f"{case.image}: does not answer name%")
    marks = []
    many = 6 if case.model == "ad" else 2
    for number in (1, 1, many):
        if b"m-results" not in answer(device, b"infer %d 0%%" % number):
            raise SystemExit(f"{case.image}: does not infer")
        assert device.memory is not None
        marks.append(counts(device.edges(), device.memory.traffic, silicon))
    first, second, third = marks
    return {name: (third[name] - 2 * second[name] + first[name]) / (many - 1) for name in first}


@functools.cache
def counting_state() -> str:
    """The sources that decide what is counted, as they are when first asked for."""
    sources = sorted(path for name in _COUNTING for path in (ROOT / "tinydeploy/virtual").glob(name))
    return stamp.digest([stamp.file_state(path) for path in sources])


def kept(case: Case, out: Path) -> Counts:
    """The counts of `case`, from `out` where they are there."""
    silicon = shipped(case.board)
    facts = (cache_sizes(silicon), silicon.unified, silicon.wait_states)
    key = stamp.digest(counting_state(), stamp.file_state(case.image), facts)
    place = out / f"{key[:24]}.json"
    if not place.exists():
        counted = inference(case, silicon)
        out.mkdir(parents=True, exist_ok=True)
        place.write_text(json.dumps(counted))
    found: dict[str, float] = json.loads(place.read_text())
    return found


def summary(errors: Sequence[float]) -> str:
    """Mean and worst, in per cent."""
    return f"{np.mean(np.abs(errors)):.1f} / {np.max(np.abs(errors)):.1f}" if errors else "-"


def report(board: str, known: Sequence[tuple[Case, Counts]], refit: bool) -> str:
    """Prints the cases of one board; returns its row of the table of all."""
    silicon = shipped(board)
    ours = constants(silicon)
    seen = [item for item in known if item[0].is_fitted]
    chosen = fitted(seen, list(ours)) if refit else ours
    values = ", ".join(f"{name} {value:.2f}" for name, value in chosen.items())
    print(f"\n{board}: {silicon.statement}\n{values}")
    print(f"{'release':10}{'model':22}{'measured':>12}{'predicted':>12}{'error':>9}{'left out':>10}")
    left_out, unseen = [], []
    for case, counted in known:
        off = error_percent(case, counted, chosen)
        alone = ""
        if case.is_fitted and len(seen) > len(ours):
            others = [item for item in seen if item[0] is not case]
            left_out.append(error_percent(case, counted, fitted(others, list(ours))))
            alone = f"{left_out[-1]:+.1f} %"
        elif not case.is_fitted:
            unseen.append(off)
            alone = "unseen"
        name = f"{case.model} {case.variant}"
        mega = predicted(counted, chosen) / 1e6
        print(f"{case.release:10}{name:22}{case.measured / 1e6:10.3f} M{mega:10.3f} M{off:+7.1f} %{alone:>10}")
    on_seen = [error_percent(case, counted, chosen) for case, counted in seen]
    core = CORES[silicon.core].title.removeprefix("Cortex-")
    where = f"{core}, {silicon.core_hz / 1e6:g} MHz, {silicon.wait_states}"
    return f"| {silicon.chip} | {where} | {summary(on_seen)} | {summary(left_out)} | {summary(unseen)} |"


def main() -> None:
    """Run every image, a table per board, and one of all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="checkouts of the MLPerf Tiny results repositories")
    parser.add_argument("--only", choices=BOARDS, help="one board")
    parser.add_argument("--fit", action="store_true", help="fit the constants anew and show them; nothing is changed")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "silicon", help="keeps what was counted")
    arguments = parser.parse_args()
    found = [case for case in cases(arguments.folder) if arguments.only in (None, case.board)]
    if not found:
        parser.error(f"{arguments.folder}: no closed/bosch/code/*/*.bin below it for these boards")
    counting_state()
    rows = []
    for board in sorted({case.board for case in found}):
        known = [(case, kept(case, arguments.out)) for case in found if case.board == board]
        rows.append(report(board, known, arguments.fit))
    print("\nErrors, mean / worst, in per cent:\n| chip | core, clock, wait states | fitted | left out | not fitted |")
    print("\n".join(["|---|---|---|---|---|", *rows]))


if __name__ == "__main__":
    main()
