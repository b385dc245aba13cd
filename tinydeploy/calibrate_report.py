"""A calibration for people, as text, and for programs, as JSON; and as the file that later commands take."""

from __future__ import annotations

import json

from rich.console import Group, RenderableType
from rich.text import Text

from tinydeploy.calibrate import LEAST_FOR_BAND, Calibration
from tinydeploy.latency import by_constants
from tinydeploy.tables import table


def calibration_toml(calibration: Calibration) -> str:
    """The constants in the format of those that ship, with what stands behind them as a comment."""
    from tinydeploy.virtual.silicon_file import silicon_toml

    lines = [
        "# By tinydeploy calibrate, from",
        *(f"# - {text}" for text in _evidence(calibration)),
        "# " + _how(calibration),
    ]
    return silicon_toml(calibration.silicon, "".join(f"{line}\n" for line in lines))


def calibration_json(calibration: Calibration) -> str:
    """The constants before and after, each measurement's errors, and what the whole is worth."""
    silicon = calibration.silicon
    return (
        json.dumps(
            {
                "chip": silicon.chip,
                "core": silicon.core,
                "core_hz": silicon.core_hz,
                "flash_wait_states": silicon.wait_states,
                "started_from": calibration.start.name,
                "method": calibration.method,
                "cycle_model": silicon.statement,
                "cost_factor": silicon.cost_factor,
                "constants": {
                    name: {"before": before, "after": after} for name, (before, after) in calibration.constants.items()
                },
                "measurements": [
                    {
                        "file": str(row.stored.path),
                        "board": row.stored.board,
                        "model": row.stored.model,
                        "fingerprint": row.stored.fingerprint,
                        "measured_cycles": row.stored.measured,
                        "error_before_percent": row.before,
                        "error_after_percent": row.after,
                        "error_left_out_percent": row.left_out,
                    }
                    for row in calibration.rows
                ],
            },
            indent=2,
        )
        + "\n"
    )


def calibration_report(calibration: Calibration) -> RenderableType:
    """The constants before and after, the measurements' errors before and after, and what to make of them."""
    constants = table(("constant, in cycles",), ("before", "after", "change"))
    for name, (before, after) in calibration.constants.items():
        constants.add_row(name, f"{before:.4g}", f"{after:.4g}", f"{100 * (after / before - 1):+.1f} %")
    left_out = len(calibration.rows) >= LEAST_FOR_BAND
    errors = table(("measurement", "model"), ("cycles", "error before", "after", *(("left out",) if left_out else ())))
    for row in calibration.rows:
        last = (_percent(row.left_out),) if row.left_out is not None else ()
        stored = row.stored
        shown = (_percent(row.before), _percent(row.after))
        errors.add_row(stored.path.name, stored.model, f"{stored.measured:,}", *shown, *last)
    return Group(constants, "", errors, "", *(Text(line) for line in _notes(calibration)))


def _notes(calibration: Calibration) -> list[str]:
    start, silicon = calibration.start, calibration.silicon
    one = calibration.rows[0].stored
    origin = (
        f"before: {start.statement}"
        if calibration.is_own
        else (f"before: no constants ship for the {silicon.chip}; those of the {start.chip}, which has the same core")
    )
    worth = by_constants(silicon.name, silicon.chip, silicon.core_hz, silicon.wait_states, silicon.band)
    notes = [origin, f"after: {worth}", _how(calibration)]
    if len(calibration.rows) >= LEAST_FOR_BAND:
        notes.append("left out: the error of a measurement by a fit to the others")
    if (start.core_hz, start.wait_states) != (one.core_hz, one.counted.wait_states) and calibration.is_own:
        notes.append("the measurements are of another clock than the constants before")
    return notes


def _how(calibration: Calibration) -> str:
    count, names = len(calibration.rows), len(calibration.constants)
    stand = f"{count} measurement{'' if count == 1 else 's'} stand{'s' if count == 1 else ''} behind it"
    if names == 1:
        return f"{stand}: the chip's one constant fitted"
    if calibration.method == "each":
        return f"{stand}: each of {names} constants fitted"
    before, after = next(iter(calibration.constants.values()))
    why = (
        f"too few to tell {names} constants apart"
        if count <= names
        else "fitting each constant predicted what was left out no better"
    )
    return f"{stand}, {why}: all scaled by one factor, {after / before:.3g}"


def _evidence(calibration: Calibration) -> list[str]:
    return [
        f"{row.stored.model} on {row.stored.board}: {row.stored.measured:,} cycles measured, predicted "
        f"{_percent(row.before)} off before, {_percent(row.after)} after"
        for row in calibration.rows
    ]


def _percent(value: float) -> str:
    return f"{round(value, 1) + 0.0:+.1f} %"  # no -0.0
