"""A measurement for the tests of what is said about measurements."""

from __future__ import annotations

import dataclasses

from tinydeploy.bench import Layer, Measurement

_PREDICTED = Measurement(
    board="stm32f746",
    core="m7",
    model="vww",
    device="the virtual board",
    unit="cycles",
    cycle_model="dual-issue model (an estimate)",
    core_hz=216_000_000,
    model_sha256="ab" * 32,
    fingerprint="cd" * 32,
    macs=100,
    instructions=900,
    cycles=950,
    latency_us=950 / 216,
    latency_min_us=950 / 216,
    latency_max_us=950 / 216,
    flash_bytes=1,
    ram_bytes=2,
    arena_bytes=3,
    stack_bytes=184,
    firmware_flash_bytes=5,
    firmware_ram_bytes=6,
    samples=1,
    accuracy=None,
    host_accuracy=None,
    exact=True,
    mismatches=0,
    interrupted=False,
    per_layer=(Layer("conv", "CONV_2D", 100, 800, 840), Layer("mean", "MEAN", 0, 100, 110)),
)


def predicted(**changes: object) -> Measurement:
    """One inference on the virtual board, but for the `changes`."""
    return dataclasses.replace(_PREDICTED, **changes)  # type: ignore[arg-type]
