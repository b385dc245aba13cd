"""Constants refitted to measurements: what a few tell, what many tell, and what is refused."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from support.reports import rendered

pytest.importorskip("unicorn")

from tinydeploy.calibrate import calibrate
from tinydeploy.calibrate_report import calibration_json, calibration_report, calibration_toml
from tinydeploy.errors import UsageError
from tinydeploy.latency import Band
from tinydeploy.measured import Counted, Stored
from tinydeploy.virtual.fitting import constants, predicted, with_constants
from tinydeploy.virtual.models.silicon import CacheShape, Silicon
from tinydeploy.virtual.silicon_file import nearest_silicon, read_silicon

START = Silicon(
    "shipped", "STM32F999", "m4", 10**8, 3, {"loop_end": 30.0}, CacheShape(1, 8, 32, 8, miss=4.0), None, False,
    Band(1.0, 2.0, "9 inferences"),
)  # fmt: skip
TRUTH = {"loop_end": 51.0, "data_cache.miss": 5.5}
MIXES = ((100_000, 300, 2_000), (800_000, 900, 30_000), (50_000, 30, 9_000), (400_000, 4_000, 1_000))


def stored(number: int, **changes: object) -> Stored:
    """What a board with the constants TRUTH measures of the firmware `number`."""
    straight, ends, misses = MIXES[number]
    counts = {"straight": straight, "loop_end": ends, "data_cache.miss": misses}
    made = Stored(
        path=Path(f"{number}.toml"),
        board="mine",
        core="m4",
        core_hz=10**8,
        model=f"model{number}",
        fingerprint=f"{number:064}",
        measured=round(predicted(counts, TRUTH)),
        samples=10,
        counted=Counted("STM32F999ZI", 3, "Clang", "-O3", straight, counts, {"data_cache": (1, 8, 32, 8)}),
    )
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]


def of_part(number: int, **changes: object) -> Stored:
    one = stored(number)
    return dataclasses.replace(one, counted=dataclasses.replace(one.counted, **changes))  # type: ignore[arg-type]


def text(files: list[Stored]) -> str:
    return " ".join(rendered(calibration_report(calibrate(files, START, "mine"))).split())


def test_more_measurements_than_constants_tell_each() -> None:
    found = calibrate([stored(number) for number in range(4)], START, "mine")
    assert found.method == "each"
    assert constants(found.silicon) == pytest.approx(TRUTH, rel=1e-3)
    assert all(abs(row.after) < 0.1 < abs(row.before) for row in found.rows)
    assert all(row.left_out is not None and abs(row.left_out) < 0.1 for row in found.rows)
    band = found.silicon.band
    assert band is not None
    assert (band.worst_percent <= 0.1, band.cases) == (True, "4 measurements, each left out of the fit")
    assert "left out of the fit" in found.silicon.statement


def test_one_measurement_scales_all_constants() -> None:
    found = calibrate([stored(1)], START, "mine")
    factors = [after / before for before, after in found.constants.values()]
    assert factors[0] == pytest.approx(factors[1], rel=1e-3)
    assert (found.method, found.silicon.band, found.rows[0].left_out) == ("factor", None, None)
    assert abs(found.rows[0].after) < 0.1
    words = text([stored(1)])
    assert "1 measurement stands behind it, too few to tell 2 constants apart: all scaled by one factor" in words
    assert "how far off on other firmware is not known" in words
    assert "left out" not in words


def test_as_many_measurements_as_constants_scale_too() -> None:
    """They would fit exactly whatever is wrong with them, and nothing would tell."""
    assert calibrate([stored(0), stored(1)], START, "mine").method == "factor"


def test_each_constant_is_fitted_only_where_that_predicts_better() -> None:
    """Boards that differ by one factor, but for noise, which a fit of each constant would follow."""
    noise = (1.004, 0.996, 1.005)
    scaled = {name: 1.5 * value for name, value in constants(START).items()}
    files = [
        stored(number, measured=round(predicted(stored(number).counted.counts, scaled) * noise[number]))
        for number in range(3)
    ]
    assert calibrate(files, START, "mine").method == "factor"
    assert "fitting each constant predicted what was left out no better" in text(files)


def test_the_file_is_one_of_constants(tmp_path: Path) -> None:
    found = calibrate([stored(number) for number in range(4)], START, "mine")
    path = tmp_path / "mine.toml"
    path.write_text(calibration_toml(found))
    assert read_silicon(path) == found.silicon
    assert "# - model0 on mine: " in path.read_text()
    alone = calibrate([stored(0)], START, "mine")
    path.write_text(calibration_toml(alone))
    assert read_silicon(path) == alone.silicon


def test_the_json_holds_all() -> None:
    found = json.loads(calibration_json(calibrate([stored(number) for number in range(4)], START, "mine")))
    assert found["constants"]["loop_end"] == {"before": 30.0, "after": pytest.approx(51.0, rel=1e-3)}
    assert [one["file"] for one in found["measurements"]] == ["0.toml", "1.toml", "2.toml", "3.toml"]
    assert "off by" in found["cycle_model"]


def test_a_chip_without_constants_starts_from_the_most_alike() -> None:
    start = nearest_silicon("STM32H743ZI", "m7")
    assert start is not None
    assert start.chip == "STM32H7A3"
    assert nearest_silicon("anything", "m55") is None
    found = calibrate([of_part(number, part="STM32F411RE") for number in range(4)], START, "mine")
    assert (found.silicon.chip, found.is_own) == ("STM32F411", False)
    # What the cost model has for such a chip are the core's rules alone.
    assert found.silicon.cost_factor > 1
    assert "no constants ship for the STM32F411; those of the STM32F999" in text(
        [of_part(number, part="STM32F411RE") for number in range(4)]
    )


def test_constants_take_the_place_of_others() -> None:
    assert constants(with_constants(START, TRUTH)) == TRUTH


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ([stored(0), of_part(1, part="STM32F746NG")], r"0\.toml is of mine \(STM32F999ZI at .* 1\.toml of mine"),
        ([stored(0), stored(1, core_hz=10**7)], "at 10 MHz with 3 wait states"),
        ([stored(0), stored(0)], "given twice; name each measurement once"),
        ([stored(0), stored(0, path=Path("b.toml"))], "are of the same image, which counts once"),
        (
            [stored(0), stored(0, path=Path("b.toml"), measured=200_000)],
            "0.toml and b.toml contradict each other: the same image took 126,300 and 200,000 cycles",
        ),
        ([of_part(0, caches={"data_cache": (1, 4, 32, 8)})], "counted with other caches or events"),
        (
            [of_part(0, counts={"straight": 126_000, "loop_end": 1, "data_cache.miss": 1})],
            "all but 0.03 % of the cycles are the m4's own, so that it tells nothing of this chip's flash",
        ),
        ([stored(0, measured=90_000)], "0.toml has 90,000 cycles, but the m4's rules alone take 100,000"),
        ([stored(0), stored(1), stored(2, measured=900_000)], "no constants explain these 3 measurements together"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_what_does_not_belong_together_is_refused(files: list[Stored], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        calibrate(files, START, "mine")
