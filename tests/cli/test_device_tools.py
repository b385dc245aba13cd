"""doctor, monitor, run and bench --save as a new user meets them: on the virtual board and on its pseudo-terminal."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.cli import refused, running, start, succeeds, tinydeploy

from tinydeploy.latency import microseconds
from tinydeploy.ports import holders
from tinydeploy.toolchain import find_zig

pytest.importorskip("unicorn")

PROJECT = "build/stm32f746-small"


@pytest.fixture(scope="module")
def port(built: Path) -> Iterator[str]:
    """The virtual board's."""
    with running("emulate", PROJECT, cwd=built) as emulator:
        assert emulator.stdout is not None
        yield emulator.stdout.readline().split("its UART is ")[1].strip()


@pytest.fixture(scope="module")
def dead_port() -> Iterator[str]:
    """One that takes all bytes, and gives none."""
    master, slave = pty.openpty()
    with subprocess.Popen(["cat"], stdin=master, stdout=subprocess.DEVNULL) as silent:
        yield os.ttyname(slave)
        silent.kill()
    os.close(master)
    os.close(slave)


def findings(folder: Path) -> dict[str, tuple[str, str]]:
    (examined,) = json.loads((folder / "doctor.json").read_text())["ports"]
    return {finding["topic"]: (finding["level"], finding["text"]) for finding in examined["findings"]}


def test_doctor_asks_at_a_port(port: str, built: Path, tmp_path: Path) -> None:
    succeeds("doctor", port, "--json", tmp_path / "doctor.json", cwd=built)
    found = findings(tmp_path)
    assert found["baud"] == ("ok", "115,200")
    assert found["build"] == ("ok", f"the one in {built / PROJECT}")


def test_doctor_sees_what_make_was_told(copied: Path, tmp_path: Path) -> None:
    make = ["make", "-C", str(copied / PROJECT), f"ZIG={find_zig()}", "MODEL_OPTIMIZE=-Os"]
    subprocess.run(make, check=True, capture_output=True)
    out = succeeds("doctor", "--virtual", "--json", tmp_path / "doctor.json", cwd=copied).out
    found = findings(tmp_path)
    level, text = found.pop("flags")
    assert level == "slow"
    assert "compiled with -Os" in text
    assert {level for level, _ in found.values()} == {"ok", "note"}
    assert "7 wait states, as 216 MHz need" in out
    assert "SLOW" in out


def test_doctor_says_what_is_wrong(dead_port: str, tmp_path: Path) -> None:
    for arguments, topic in (((dead_port,), "answer"), (("/dev/ttyNone",), "port")):
        result = tinydeploy("doctor", *arguments, "--json", tmp_path / "doctor.json", cwd=tmp_path)
        assert result.code == 1, result.err
        assert "WRONG" in result.out
        assert findings(tmp_path)[topic][0] == "wrong"


def test_run_says_the_class_of_pictures_and_arrays(built: Path, tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    pixels = np.random.default_rng(2).integers(0, 256, (9, 8, 3), np.uint8)
    image.fromarray(pixels).save(tmp_path / "a.png")
    np.save(tmp_path / "a.npy", pixels)
    (tmp_path / "a.raw").write_bytes((pixels ^ 0x80).tobytes())
    files = ("--image", tmp_path / "a.png", "--input", tmp_path / "a.npy", "--input", tmp_path / "a.raw")
    out = succeeds("run", *files, "--json", tmp_path / "run.json", cwd=built).out
    one, *others = json.loads((tmp_path / "run.json").read_text())["predictions"]
    assert [other["scores"] for other in others] == [one["scores"]] * 2
    assert one["scores"][one["class"]] == max(one["scores"].values())
    assert microseconds(one["latency_us"]) in out


def test_a_measurement_is_kept_beside_the_prediction(port: str, built: Path, tmp_path: Path) -> None:
    saved, measured = tmp_path / "saved.toml", tmp_path / "b.json"
    out = succeeds("bench", port, "--samples", "1", "--save", saved, "--json", measured, cwd=built).out
    stored = tomllib.loads(saved.read_text())
    assert stored["measured"]["samples"] == json.loads(measured.read_text())["samples"] == 1
    assert stored["measured"]["cycles"] == json.loads(measured.read_text())["cycles"]
    assert stored["exact"] is True
    assert f"{stored['predicted']['cycles']:,}" in out


def test_ctrl_c_prints_what_bench_has(built: Path) -> None:
    """In a pipe a line tells of progress: it says that it is under way."""
    process = start("bench", "--samples", "1000000", cwd=built)
    assert process.stderr is not None
    assert any("s left" in line for line in iter(process.stderr.readline, ""))
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate()
    assert process.returncode == 130, errors
    assert re.search(r"outputs +(all [\d,]+ equal|equals) TFLite Micro's", out)
    assert "interrupted: these are the figures of the samples that were done" in out


def test_monitor_shows_a_reset(tmp_path: Path) -> None:
    """What a board prints as it starts, whatever came before."""
    master, slave = pty.openpty()
    with running("monitor", os.ttyname(slave), cwd=tmp_path) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stderr.readline()  # it says that it begins; the port is opened next
        while not select.select([process.stdout], [], [], 0.1)[0]:
            os.write(master, b"one\r\n\xff\xfe\0tinydeploy: two\r\n")
        lines = [process.stdout.readline() for _ in range(3)]
    os.close(master)
    os.close(slave)
    assert lines == ["one\n", "[2 B that are no text]\n", "tinydeploy: two\n"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("doctor", "--virtuel"), "there is no option --virtuel; did you mean '--virtual'?"),
        (("doctor", "--virtual", "/dev/ttyACM0"), "leave one of them away"),
        (("doctor", "--virtual"), "there is no project here"),
        (("doctor", "--project", "nowhere"), "nowhere is no tinydeploy project"),
        (("monitor", "--bauds", "9600"), "there is no option --bauds; did you mean '--baud'?"),
        (("monitor", "/dev/ttyNone"), "there is no port /dev/ttyNone"),
        (("monitor", "--baud", "fast"), "see tinydeploy monitor --help"),
        (("run", "--imagee", "cat.png"), "there is no option --imagee; did you mean '--image'?"),
        (("run",), "give a picture with --image"),
        (("run", "--image", "cat.png"), "there is no project here"),
        (("bench", "--save", "a.toml"), "give its PORT too"),
        (("bench", "--samples", "0"), "--samples 0 is out of range; run at least 1"),
        (("bench", "/dev/ttyNone", "--samples", "many"), "see tinydeploy bench --help"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_mistakes_are_one_sentence(arguments: tuple[str, ...], message: str, tmp_path: Path) -> None:
    assert message in refused(*arguments, cwd=tmp_path)


def test_ports_that_cannot_be_used_are_named(dead_port: str, built: Path, tmp_path: Path) -> None:
    (tmp_path / "a.raw").write_bytes(bytes(216))
    run = ("run", "--input", tmp_path / "a.raw")
    assert "there is no port /dev/ttyNone" in refused(*run, "/dev/ttyNone", cwd=built)
    assert f"{dead_port} is silent" in refused(*run, dead_port, cwd=built)
    assert "cannot be read" in refused("run", "--image", "missing.png", cwd=built)


def test_a_port_that_another_process_has_is_named(dead_port: str, built: Path, tmp_path: Path) -> None:
    with running("monitor", dead_port, cwd=tmp_path) as monitor:
        assert monitor.stderr is not None
        monitor.stderr.readline()
        while not holders(dead_port):  # the port is opened a moment after the line
            time.sleep(0.05)
        assert tinydeploy("doctor", dead_port, "--json", tmp_path / "doctor.json", cwd=tmp_path).code == 1
        level, text = findings(tmp_path)["access"]
        assert level == "wrong"
        assert f"process {monitor.pid}" in text
        assert "is in use by another program" in refused("bench", dead_port, cwd=built)
