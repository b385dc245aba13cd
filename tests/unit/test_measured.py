"""A measurement beside the prediction: what the TOML holds, and what the table says of the difference."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from pathlib import Path

import pytest
from support.measurements import predicted
from support.reports import rendered

from tinydeploy.bench import Layer
from tinydeploy.errors import BoardError, MismatchError
from tinydeploy.latency import ON_DEVICE
from tinydeploy.measured import Counted, comparison_report, measured_toml, read_stored, require_same_image
from tinydeploy.protocol import About

PREDICTED = predicted(model='a "quoted" mödel')
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
COUNTED = Counted(
    part="STM32F746NG",
    wait_states=7,
    compiler="Clang 1.2",
    flags="-O3",
    rules_cycles=800,
    counts={"straight": 700, "loop_end": 20, "data_cache.miss": 10},
    caches={"data_cache": (32, 4, 32, 32)},
)


def test_the_file_holds_both() -> None:
    stored = tomllib.loads(measured_toml(MEASURED, PREDICTED, COUNTED))
    assert (stored["format"], stored["board"], stored["model"]) == (1, "stm32f746", 'a "quoted" mödel')
    assert stored["measured"] == {
        "cycle_model": ON_DEVICE,
        **{"samples": 100, "cycles": 1000, "cycles_min": 990, "cycles_max": 1010, "stack_bytes": 184},
    }
    assert stored["predicted"]["cycles"] == 950
    assert stored["predicted"]["instructions"] == 900
    assert stored["counted"]["data_cache.miss"] == 10
    conv, mean = stored["layer"]
    assert (conv["measured_cycles"], conv["predicted_cycles"], conv["predicted_instructions"]) == (900, 840, 800)
    assert "measured_cycles" not in mean


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "saved.toml"
    path.write_text(measured_toml(MEASURED, PREDICTED, COUNTED))
    stored = read_stored(path)
    assert (stored.board, stored.measured, stored.samples) == ("stm32f746", 1000, 100)
    assert stored.counted == COUNTED


def test_the_same_measurement_gives_the_same_bytes() -> None:
    assert measured_toml(MEASURED, PREDICTED, COUNTED) == measured_toml(MEASURED, PREDICTED, COUNTED)


def test_the_table_says_how_far_off_the_prediction_is() -> None:
    lines = rendered(comparison_report(MEASURED, PREDICTED)).splitlines()
    conv, mean, whole = (line for line in lines if line.startswith(("conv", "mean", "in all")))
    assert conv.split()[-4:] == ["900", "840", "-6.7", "%"]
    assert mean.split()[-3:] == ["-", "110", "-"]
    assert whole.split()[-4:] == ["1,000", "950", "-5.0", "%"]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("format = 1", "format = 7", "its format is 7, this tinydeploy reads 1; measure again"),
        ('part = "STM32F746NG"', "", "missing key 'part'; measure again with tinydeploy bench PORT --save"),
        (
            "cycles = 1000",
            "cycles = 2000",
            r"\[measured\]: cycles is 2,000, which is not between cycles_min and cycles_max",
        ),
        ("cycles = 1000", 'cycles = "many"', "cycles must be an integer, not 'many'"),
        ("[32, 4, 32, 32]", "[32, 4]", r"data_cache must be four sizes, not \[32, 4\]"),
        ("straight = 700", "", "missing key 'straight'"),
        (
            "exact = true",
            "exact = false",
            "the board's outputs were not TFLite Micro's; find why with tinydeploy verify",
        ),
    ],
)
def test_what_was_changed_by_hand_is_named(old: str, new: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "saved.toml"
    text = measured_toml(MEASURED, PREDICTED, COUNTED)
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(BoardError, match=words):
        read_stored(path)


def test_counts_by_other_rules_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "saved.toml"
    path.write_text(re.sub(r"(?m)^by = \d+$", "by = 0", measured_toml(MEASURED, PREDICTED, COUNTED)))
    with pytest.raises(BoardError, match="another version of the virtual board's rules counted this; measure again"):
        read_stored(path)


def test_the_board_and_the_image_here_are_by_one_compiler() -> None:
    about = About(0, 0, 0, 0, 0, "dsp", COUNTED.compiler, COUNTED.flags)
    require_same_image(about, COUNTED, "/dev/ttyACM0")
    require_same_image(None, COUNTED, "/dev/ttyACM0")
    other = dataclasses.replace(about, compiler="GCC 12.2", model_flags="-Os")
    with pytest.raises(MismatchError, match=r"/dev/ttyACM0 runs an image by GCC 12\.2 -Os, the one here is by Clang"):
        require_same_image(other, COUNTED, "/dev/ttyACM0")
