"""The campaign of random int8 networks: TFLite Micro against generated C on the host and on virtual cores.

    python benchmarks/campaign.py --networks 2000 --jobs 2

Results go to --out as they come, so that an interrupted campaign goes on where it stopped; remove that folder to start
over. A difference is written there as the shortest network that shows it: .tflite, inputs (.npy) and description.
Exit status 1 when there is any.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from support.campaign import check, describe, minimize  # noqa: E402  (needs the path above)
from support.strategies import seeded_network  # noqa: E402

from tinydeploy.cores import VIRTUAL_CORES  # noqa: E402
from tinydeploy.oracle import Oracle  # noqa: E402

BATCH = 40
MINIMIZED_PER_BATCH = 3


def run_batch(first: int, last: int, out: Path, cores: list[str]) -> dict[str, object]:
    """Networks of seeds `first` to `last` - 1; the result is one line of the log."""
    start = time.monotonic()
    folder = out / f"build-{first}"
    networks = [(f"seed {seed}", seeded_network(seed)) for seed in range(first, last)]
    with Oracle() as oracle:
        found = check(networks, oracle, folder, cores)
        for difference in found[:MINIMIZED_PER_BATCH]:
            network = dict(networks)[difference.name]
            smaller = minimize(network, difference.where, oracle, folder / "minimize")
            name = f"{difference.name} {difference.where}".replace(" ", "-").replace(",", "")
            (out / f"{name}.tflite").write_bytes(smaller.data)
            np.save(out / f"{name}.npy", smaller.inputs)
            (out / f"{name}.txt").write_text(f"{difference.detail}\n\n{describe(smaller)}\n")
    shutil.rmtree(folder, ignore_errors=True)
    return {
        "first": first,
        "last": last,
        "operators": sum(len(network.description.ops) for _, network in networks),
        "inputs": sum(len(network.inputs) for _, network in networks),
        "seconds": round(time.monotonic() - start, 1),
        "differences": [asdict(difference) for difference in found],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--networks", type=int, default=2000, help="how many (default 2000)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (default 0)")
    parser.add_argument("--jobs", type=int, default=2, help="processes (default 2)")
    parser.add_argument(
        "--cores", default=",".join(VIRTUAL_CORES), help=f"virtual cores, of {','.join(VIRTUAL_CORES)}; or none"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "campaign", help="folder of results")
    options = parser.parse_args()
    cores = [core for core in options.cores.split(",") if core in VIRTUAL_CORES]
    options.out.mkdir(parents=True, exist_ok=True)
    log = options.out / f"log-{'-'.join(cores) or 'host'}.jsonl"
    done = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    end = options.first + options.networks
    known = {(entry["first"], entry["last"]) for entry in done}
    batches = [(first, min(first + BATCH, end)) for first in range(options.first, end, BATCH)]
    results = [entry for entry in done if (entry["first"], entry["last"]) in set(batches)]
    with ProcessPoolExecutor(options.jobs) as pool, log.open("a") as file:
        todo = [pool.submit(run_batch, *batch, options.out, cores) for batch in batches if batch not in known]
        for finished in as_completed(todo):
            entry = finished.result()
            results.append(entry)
            file.write(json.dumps(entry) + "\n")
            file.flush()
            print(
                f"seeds {entry['first']} to {entry['last'] - 1}: {len(entry['differences'])} differences, "
                f"{entry['seconds']} s",
                flush=True,
            )
    differences = [difference for entry in results for difference in entry["differences"]]
    for difference in differences:
        print(f"{difference['name']}, {difference['where']}: {difference['detail'][:600]}")
    totals = {key: sum(entry[key] for entry in results) for key in ("operators", "inputs")}
    print(
        f"{end - options.first} networks, {totals['operators']} operators, {totals['inputs']} inputs, "
        f"host and {', '.join(cores) or 'no virtual core'}: {len(differences)} differences"
    )
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
