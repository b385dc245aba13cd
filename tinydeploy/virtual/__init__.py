"""The virtual board: real firmware images, run on an emulated Cortex-M with a strict model of the chip around it.

Importing this package needs Unicorn and capstone, which are optional: import it where it is used.
"""

from __future__ import annotations

from tinydeploy.virtual.board import VirtualBoard
from tinydeploy.virtual.watch import Call

__all__ = ["Call", "VirtualBoard"]
