"""A measurement beside the prediction: what the TOML holds, and what the table says of the difference."""

from __future__ import annotations

import dataclasses
import io
import tomllib

from rich.console import Console

from tinydeploy.bench import ON_DEVICE, Layer, Measurement
from tinydeploy.measured import comparison_report, measured_toml
from tinydeploy.tables import print_report

PREDICTED = Measurement(
    board="stm32f746",
    core="m7",
    model='a "quoted" mödel',
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
MEASURED = dataclasses.replace(
    PREDICTED,
    device="/dev/ttyACM0",
    cycle_model=ON_DEVICE,
    instructions=None,
    cycles=1000,
    latency_us=1000 / 216,
    latency_min_us=990 / 216,
    latency_max_us=1010 / 216,
    samples=100,
    per_layer=(Layer("conv", "CONV_2D", 100, None, 900), Layer("mean", "MEAN", 0, None, None)),
)


def test_the_file_holds_both() -> None:
    stored = tomllib.loads(measured_toml(MEASURED, PREDICTED))
    assert (stored["format"], stored["board"], stored["model"]) == (1, "stm32f746", 'a "quoted" mödel')
    assert stored["measured"] == {
        "samples": 100, "cycles": 1000, "cycles_min": 990, "cycles_max": 1010, "stack_bytes": 184
    }  # fmt: skip
    assert stored["predicted"]["cycles"] == 950
    assert stored["predicted"]["instructions"] == 900
    conv, mean = stored["layer"]
    assert (conv["measured_cycles"], conv["predicted_cycles"], conv["predicted_instructions"]) == (900, 840, 800)
    assert "measured_cycles" not in mean


def test_the_same_measurement_gives_the_same_bytes() -> None:
    assert measured_toml(MEASURED, PREDICTED) == measured_toml(MEASURED, PREDICTED)


def test_the_table_says_how_far_off_the_prediction_is() -> None:
    out = io.StringIO()
    print_report(comparison_report(MEASURED, PREDICTED), Console(file=out, highlight=False))
    conv, mean, whole = (line for line in out.getvalue().splitlines() if line.startswith(("conv", "mean", "in all")))
    assert conv.split()[-4:] == ["900", "840", "-6.7", "%"]
    assert mean.split()[-3:] == ["-", "110", "-"]
    assert whole.split()[-4:] == ["1,000", "950", "-5.0", "%"]
