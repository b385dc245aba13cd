"""The firmware's two protocols, fuzzed natively under sanitizers for longer than the tests do.

python benchmarks/link_fuzz.py --executions 1000000 --seed 2
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from support.link.fuzzing import fuzz  # noqa: E402  (needs the path above)
from support.link.native_build import fuzzer_program  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--executions", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    program = fuzzer_program()
    if program is None:
        print("no C compiler here has sanitizers; install gcc")
        return 2
    with tempfile.TemporaryDirectory() as folder:
        found = fuzz(program, options.executions, options.seed, Path(folder))
    print(f"{found.executions:,} executions, {found.edges:,} edges, {len(found.corpus):,} inputs; nothing found")
    return 0


if __name__ == "__main__":
    sys.exit(main())
