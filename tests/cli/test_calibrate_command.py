"""calibrate as a new user meets it: a board whose silicon differs from the constants that ship, and mistakes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from support.cli import refused, running, succeeds
from support.link.projects import small_model

pytest.importorskip("unicorn")

from tinydeploy.virtual.fitting import constants, with_constants
from tinydeploy.virtual.silicon_file import read_silicon, silicon_of, silicon_toml

BOARD = "nucleo_l4r5zi"  # its flash is slow enough to be seen in a small model
PROJECT = f"build/{BOARD}-small"
FACTOR = 1.5


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a built project; other.toml, the constants of an odd board; saved.toml, measured on it."""
    folder = tmp_path_factory.mktemp("saved")
    (folder / "small.tflite").write_bytes(small_model())
    succeeds("build", "--board", BOARD, "--model", "small.tflite", cwd=folder)
    shipped = silicon_of("STM32L4R5")
    assert shipped is not None
    altered = with_constants(shipped, {name: FACTOR * value for name, value in constants(shipped).items()})
    (folder / "other.toml").write_text(silicon_toml(altered, ""))
    with running("emulate", PROJECT, "--silicon", "other.toml", cwd=folder) as emulator:
        assert emulator.stdout is not None
        port = emulator.stdout.readline().split("its UART is ")[1].strip()
        assert "constants other (calibrated estimate)" in emulator.stdout.readline()
        succeeds("bench", port, "--samples", "2", "--save", "saved.toml", cwd=folder)
    return folder


def test_the_constants_of_a_board_come_back(saved: Path, tmp_path: Path) -> None:
    out, found, measured = tmp_path / "mine.toml", tmp_path / "c.json", tmp_path / "b.json"
    done = succeeds("calibrate", saved / "saved.toml", "--out", out, "--json", found, cwd=tmp_path).out
    assert "1 measurement stands behind it" in done
    assert f"wrote {out}" in done
    mine, other = (constants(read_silicon(path)) for path in (out, saved / "other.toml"))
    assert mine == pytest.approx(other, rel=0.1)  # a small model: calling it counts too
    (row,) = json.loads(found.read_text())["measurements"]
    assert abs(row["error_after_percent"]) < 0.1 < abs(row["error_before_percent"])
    shown = succeeds("bench", "--samples", "2", "--silicon", out, "--json", measured, cwd=saved).out
    assert "constants mine (calibrated estimate): how far off on other firmware is not known" in " ".join(shown.split())
    assert json.loads(measured.read_text())["cycles"] == pytest.approx(row["measured_cycles"], rel=0.02)


def test_a_project_keeps_constants_that_it_was_built_with(saved: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copied"
    shutil.copytree(saved, folder)
    build = ("build", "--board", BOARD, "--model", "small.tflite")
    for options, kept in ((("--silicon", "other.toml"), True), ((), False)):
        succeeds(*build, *options, cwd=folder)
        succeeds("bench", "--samples", "1", "--json", "b.json", cwd=folder)
        assert ("constants other" in json.loads((folder / "b.json").read_text())["cycle_model"]) is kept


def test_the_cost_model_is_scaled(saved: Path, tmp_path: Path) -> None:
    made = tmp_path / "mine.toml"
    made.write_text("cost_factor = 2.0\n" + (saved / "other.toml").read_text())
    network = ("--arch", "mobilenet_v1", "--alpha", "0.1", "--input-size", "32", "--board", BOARD)

    def shown(command: str, *options: object) -> Any:
        out = succeeds(command, *network, *options, "--json", tmp_path / "i.json", cwd=tmp_path).out
        assert "cost model, not run" in out
        return json.loads((tmp_path / "i.json").read_text())

    before, inspected = shown("inspect"), shown("inspect", "--silicon", made)
    (swept,), (fitting,) = shown("sweep", "--silicon", made), shown("fit", "--silicon", made)["found"]
    for found in (inspected, swept, fitting):
        assert found["cycles"] == 2 * before["cycles"]
        assert "scaled by 2 to those by STM32L4R5" in found["cycle_model"]


def test_nothing_is_written_unless_asked(saved: Path, tmp_path: Path) -> None:
    out = succeeds("calibrate", saved / "saved.toml", cwd=tmp_path).out
    assert "nothing is changed; --out FILE writes the constants" in out
    assert list(tmp_path.iterdir()) == []
    assert "is there already" in refused("calibrate", saved / "saved.toml", "--out", saved / "other.toml", cwd=tmp_path)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("calibrate",), "name the measurements: files that tinydeploy bench PORT --save FILE has written"),
        (("calibrate", "nowhere.toml"), "nowhere.toml: cannot be read (No such file or directory); check its name"),
        (("calibrate", "empty.toml"), "empty.toml: it is empty; write it with tinydeploy bench PORT --save"),
        (("calibrate", "other.toml"), "other.toml: it has no 'format', so it is none of tinydeploy bench PORT --save"),
        (("calibrate", "broken.toml"), "broken.toml: not valid TOML"),
        (("calibrate", "small.tflite"), "small.tflite: not valid TOML: it is no text; is it another file?"),
        (("calibrate", "older.toml"), "older.toml: an older tinydeploy wrote it, without [counted]; measure again"),
        (("calibrate", "wrong.toml"), "wrong.toml: the board's outputs were not TFLite Micro's"),
        (("calibrate", "saved.toml", "saved.toml"), "saved.toml is given twice"),
        (
            ("calibrate", "saved.toml", "moved.toml"),
            "moved.toml of nucleo_l4r5zi (STM32F746NGH6 at 120 MHz with 5 wait",
        ),
        (("calibrate", "saved.toml", "--outt", "x"), "there is no option --outt; did you mean '--out'?"),
        (("calibrat", "saved.toml"), "no command 'calibrat'; did you mean 'calibrate'?"),
        (("bench", "/dev/ttyNone", "--silicon", "other.toml"), "--silicon is for the virtual board's cycles"),
        (("inspect", "small.tflite", "--silicon", "other.toml"), "run by tinydeploy bench --silicon"),
        (
            ("build", "--board", "stm32f746", "--model", "small.tflite", "--silicon", "other.toml"),
            "other.toml is of the STM32L4R5, but stm32f746 has a STM32F746NG",
        ),
        (
            ("sweep", "--board", "stm32f746", "--arch", "ds_cnn", "--silicon", "other.toml"),
            "other.toml is of the STM32L4R5, but stm32f746 has a STM32F746NG",
        ),
        (("fit", "--board", BOARD, "--silicon", "nowhere.toml"), "nowhere.toml: cannot be read (No such file"),
        (("search", "--board", BOARD, "--dataset", "digits", "--silicon", "empty.toml"), "empty.toml: missing"),
        (
            ("build", "--board", BOARD, "--model", "small.tflite", "--silicon", "slow.toml"),
            "slow.toml is of 80 MHz and 5 flash wait states, but nucleo_l4r5zi runs at 120 MHz with 5; calibrate at",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_mistake_is_one_clear_sentence(arguments: tuple[str, ...], words: str, saved: Path, model: Path) -> None:
    folder = model.parent
    good, other = ((saved / f"{name}.toml").read_text() for name in ("saved", "other"))
    for name, content in {
        "saved": good,
        "other": other,
        "empty": "",
        "broken": good[:200] + '"',
        "older": good.replace("[counted]", "[was_counted]"),
        "wrong": good.replace("exact = true", "exact = false"),
        "moved": good.replace("STM32L4R5ZIT6", "STM32F746NGH6"),
        "slow": other.replace("120000000", "80000000"),
    }.items():
        (folder / f"{name}.toml").write_text(content)
    assert words in refused(*arguments, cwd=folder)
