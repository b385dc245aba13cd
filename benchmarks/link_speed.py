"""How much of the line sending inputs uses, at each board's two baud rates, in virtual time.

python benchmarks/link_speed.py [BOARD ...]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from support.link.speed import large_input_project, sending_speed  # noqa: E402  (needs the path above)

from tinydeploy.boards import list_boards  # noqa: E402


def main() -> int:
    boards = [board for board in list_boards() if board.core.name != "m55"]
    print(f"{'board':20} {'baud':>9} {'of the line':>11} {'bytes/s':>9}")
    for board in boards:
        if sys.argv[1:] and board.name not in sys.argv[1:]:
            continue
        with tempfile.TemporaryDirectory() as folder:
            project = large_input_project(Path(folder), board)
            for fast in (False, True)[: 2 if board.uart.fast_baud > board.uart.baud else 1]:
                speed = sending_speed(project, board, fast)
                rate = speed.share * speed.baud / 10
                print(f"{board.name:20} {speed.baud:9,} {speed.share:11.1%} {rate:9,.0f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
