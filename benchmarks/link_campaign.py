"""The fault campaign of the link: inferences on the virtual board through lines with faults.

    python benchmarks/link_campaign.py --inferences 10000 --jobs 2
    python benchmarks/link_campaign.py --native     # the firmware's link compiled for this machine: ten times faster

Every block of inferences has a board and a seed of its own, and its tally goes to --out as it is done, so that an
interrupted campaign goes on where it stopped. A block counts while the link and its faults are what they were when it
ran. Exit status 1 when a result was wrong or an inference hung.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import fields
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from support.link.fault_campaign import CAMPAIGN, Subject, Tally, make_subject, run_block  # noqa: E402

BLOCK = 250
# What decides an outcome: the firmware's side of the link, the host's, and what happens to the line.
SOURCES = (
    *("firmware_templates/" + name for name in ("frame.?", "link.?", "main.c", "mlperf*", "uart.?", "drivers/uart_*")),
    *(f"tinydeploy/{name}.py" for name in ("protocol", "exchange", "session", "transport")),
    *(f"tests/support/link/{name}.py" for name in ("fault_campaign", "faults", "faulty_board", "two_clients")),
)


@cache
def workplace() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="link-campaign-")  # removed when the process ends


@cache
def subject(native: bool) -> Subject:
    return make_subject(Path(workplace().name), native)


@cache
def version(root: Path = ROOT) -> str:
    """The same for as long as the contents of SOURCES are."""
    digest = hashlib.sha256()
    for pattern in SOURCES:
        for path in sorted(root.glob(pattern)):
            digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def run(fault: str, block: int, native: bool) -> dict[str, object]:
    """One block; the result is a line of the log."""
    tally = run_block(subject(native), fault, BLOCK, block)
    counts = {field.name: getattr(tally, field.name) for field in fields(tally)}
    return {"version": version(), "fault": fault, "block": block, **counts}


def read_log(log: Path) -> list[dict[str, object]]:
    """What has been done with this version of the link."""
    entries = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    return [entry for entry in entries if entry.get("version") == version()]


def tally_of(entries: list[dict[str, object]]) -> Tally:
    total = Tally()
    for entry in entries:
        values = {key: value for key, value in entry.items() if key not in ("version", "fault", "block")}
        total.add(Tally(**values | {key: Counter(values[key]) for key in ("errors", "struck")}))  # type: ignore[arg-type]
    return total


def report(fault: str, tally: Tally) -> str:
    struck = ", ".join(f"{count:,} {name}" for name, count in sorted(tally.struck.items()))
    lines = [
        f"{fault:26} {tally.asked:7,} asked {tally.right:7,} right {tally.wrong:3} wrong {tally.hangs:3} hung "
        f"{tally.errors.total():6,} told; longest {tally.longest_s:5.1f} s{'; ' if struck else ''}{struck}"
    ]
    lines += [f"    {count:6,}  {kind}" for kind, count in tally.errors.most_common()]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--inferences", type=int, default=10_000, help="of each fault (default 10,000)")
    parser.add_argument("--jobs", type=int, default=2, help="processes (default 2)")
    parser.add_argument("--fault", choices=list(CAMPAIGN), action="append", help="only this one; may be given again")
    parser.add_argument("--native", action="store_true", help="without the virtual board's core")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "link_campaign", help="folder of results")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    log = options.out / ("native.jsonl" if options.native else "board.jsonl")
    faults = options.fault or list(CAMPAIGN)
    entries = read_log(log)
    done = {(entry["fault"], entry["block"]) for entry in entries}
    blocks = [(fault, block) for block in range(-(-options.inferences // BLOCK)) for fault in faults]
    with ProcessPoolExecutor(options.jobs) as pool, log.open("a") as file:
        todo = [pool.submit(run, *item, options.native) for item in blocks if item not in done]
        for finished in as_completed(todo):
            entry = finished.result()
            entries.append(entry)
            file.write(json.dumps(entry) + "\n")
            file.flush()
            print(f"{entry['fault']}, block {entry['block']}: {entry['right']} of {entry['asked']} right", flush=True)
    wanted = set(blocks)
    total = Tally()
    for fault in faults:
        chosen = [entry for entry in entries if entry["fault"] == fault and (fault, entry["block"]) in wanted]
        tally = tally_of(chosen)
        total.add(tally)
        print(report(fault, tally))
    return 1 if total.wrong or total.hangs else 0


if __name__ == "__main__":
    sys.exit(main())
