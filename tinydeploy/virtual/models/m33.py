"""Cortex-M33 cycles. Arm publishes no timing for this core (100230 has none), so these are the Cortex-M4's rules.

What is known of the difference: the M33 can issue some pairs of 16-bit instructions together and refills its shorter
pipeline faster after a branch, so that a real one should not be slower than this at zero wait states.
"""

from __future__ import annotations

from tinydeploy.virtual.models.m4 import CortexM4


class CortexM33(CortexM4):
    """Cortex-M33 at zero wait states, by the rules of the Cortex-M4."""

    name = "Cortex-M4 rules for the Cortex-M33"
    statement = "Cortex-M4 TRM rules for want of the M33's own, zero wait states, uncalibrated (estimate)"
