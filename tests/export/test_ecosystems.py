"""A library is what its ecosystem expects: by the ecosystem's own tools where they are installed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from export.conftest import WARNINGS, tool, written

from tinydeploy.ecosystems import ECOSYSTEMS
from tinydeploy.errors import OutputError
from tinydeploy.export import ExportRequest, export

Libraries = Callable[[str], Path]


def run(command: list[object], cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-4000:]}"
    return done.stdout


def test_cmake_builds_tests_installs_and_finds_it(library: Libraries, tmp_path: Path) -> None:
    cmake, ctest = tool("cmake"), tool("ctest")
    flags = f"-DCMAKE_C_FLAGS={' '.join(WARNINGS)}"
    prefix = tmp_path / "prefix"
    run([cmake, "-S", library("cmake"), "-B", "build", flags], tmp_path)
    run([cmake, "--build", "build"], tmp_path)
    assert "100% tests passed" in run([ctest, "--test-dir", "build"], tmp_path)
    run([cmake, "--install", "build", "--prefix", prefix], tmp_path)
    # Another project, which has the installed package and nothing else.
    run([cmake, "-S", library("cmake") / "example", "-B", "other", f"-DCMAKE_PREFIX_PATH={prefix}"], tmp_path)
    run([cmake, "--build", "other"], tmp_path)
    assert "exact: equals TensorFlow Lite Micro" in run([tmp_path / "other" / "kws_example"], tmp_path)


def test_cmake_takes_it_as_a_subdirectory(library: Libraries, tmp_path: Path) -> None:
    cmake = tool("cmake")
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.16)\nproject(app LANGUAGES C CXX)\n"
        f"add_subdirectory({library('cmake')} kws)\nadd_executable(app main.cpp)\n"
        "target_link_libraries(app PRIVATE kws::kws)\n"
    )
    (tmp_path / "main.cpp").write_text(
        "#include <kws.h>\nint main() { kws_invoke(kws_input(), kws_output()); return 0; }\n"
    )
    run([cmake, "-S", ".", "-B", "build"], tmp_path)
    run([cmake, "--build", "build"], tmp_path)
    run([tmp_path / "build" / "app"], tmp_path)


def test_platformio_packs_it(library: Libraries, tmp_path: Path) -> None:
    archive = tmp_path / "kws.tar.gz"
    home = {"PLATFORMIO_CORE_DIR": str(tmp_path / "core"), "PLATFORMIO_SETTING_ENABLE_TELEMETRY": "no"}
    run([tool("pio"), "pkg", "pack", library("platformio"), "-o", archive], tmp_path, **home)
    with tarfile.open(archive) as packed:
        names = set(packed.getnames())
    assert {"library.json", "README.md", "src/kws.h", "src/m4/model_m4.c", "examples/sample/src/main.c"} <= names
    stated = json.loads((library("platformio") / "library.json").read_text())
    (example,) = stated["examples"]
    assert all((library("platformio") / example["base"] / name).is_file() for name in example["files"])


def test_the_idf_component_manager_takes_the_manifests(library: Libraries, tmp_path: Path) -> None:
    compote = tool("compote")
    folder = library("esp-idf")
    manifests = [folder / "idf_component.yml", folder / "examples/sample/main/idf_component.yml"]
    run([compote, "manifest", "lint", *manifests], tmp_path)
    shutil.copytree(folder, tmp_path / "kws")
    run([compote, "-W", "component", "pack", "--name", "kws"], tmp_path / "kws")
    assert (tmp_path / "kws/dist/kws_1.0.0.tgz").is_file()
    assert (tmp_path / "kws/dist/kws_1.0.0_examples.tgz").is_file()


def test_kconfig_reads_the_zephyr_module(library: Libraries) -> None:
    kconfiglib = pytest.importorskip("kconfiglib")
    folder = library("zephyr")
    symbols = kconfiglib.Kconfig(str(folder / "zephyr/Kconfig")).syms
    symbols["KWS"].set_value("y")
    assert symbols["KWS"].str_value == "y"
    assert "CONFIG_KWS=y" in (folder / "samples/kws/prj.conf").read_text()
    assert "if(CONFIG_KWS)" in (folder / "CMakeLists.txt").read_text()


@pytest.mark.parametrize("has_fpu", ["y", "n"])
def test_the_zephyr_module_switches_the_fpu_on(has_fpu: str, library: Libraries, tmp_path: Path) -> None:
    """Without CONFIG_FPU, Zephyr compiles for a Cortex-M4 without one: its kernels would take several times as long."""
    kconfiglib = pytest.importorskip("kconfiglib")
    kernel = {"FPU": "CPU_HAS_FPU", "FPU_SHARING": "FPU"}
    (tmp_path / "Kconfig").write_text(
        f"config CPU_CORTEX_M\n\tdef_bool y\nconfig CPU_HAS_FPU\n\tdef_bool {has_fpu}\n"
        + "".join(f'config {name}\n\tbool "{name}"\n\tdepends on {needed}\n' for name, needed in kernel.items())
        + f'source "{library("zephyr")}/zephyr/Kconfig"\n'
    )
    kconfig = kconfiglib.Kconfig(str(tmp_path / "Kconfig"))
    assert [kconfig.syms[name].str_value for name in kernel] == ["n", "n"]
    kconfig.load_config(str(library("zephyr") / "samples/kws/prj.conf"))
    assert [kconfig.syms[name].str_value for name in kernel] == [has_fpu, has_fpu]


def test_the_zephyr_module_names_what_is_there(library: Libraries) -> None:
    yaml = pytest.importorskip("yaml")
    folder = library("zephyr")
    module = yaml.safe_load((folder / "zephyr/module.yml").read_text())
    assert module["name"] == "kws"
    assert (folder / module["build"]["cmake"] / "CMakeLists.txt").is_file()
    assert (folder / module["build"]["kconfig"]).is_file()
    assert all((folder / sample).is_dir() for sample in module["samples"])
    sample = yaml.safe_load((folder / "samples/kws/sample.yaml").read_text())
    assert sample["tests"].keys() == {"sample.kws"}


# What the build systems of Zephyr and ESP-IDF, which come with their own trees, make of the lists: a static library.
BUILD_SYSTEMS = {
    "zephyr": """
        set(CONFIG_KWS y)
        macro(zephyr_library)
        endmacro()
        macro(zephyr_include_directories)
            include_directories(${ARGN})
        endmacro()
        macro(zephyr_library_sources)
            add_library(kws STATIC ${ARGN})
        endmacro()
        set(EXAMPLE samples/kws/src/main.c)
    """,
    "esp-idf": """
        function(idf_component_register)
            cmake_parse_arguments(MADE "" "" "SRCS;INCLUDE_DIRS" ${ARGN})
            add_library(kws STATIC ${MADE_SRCS})
            target_include_directories(kws PUBLIC ${MADE_INCLUDE_DIRS})
        endfunction()
        file(WRITE ${CMAKE_BINARY_DIR}/start.c "void app_main(void); int main(void) { app_main(); return 0; }")
        set(EXAMPLE examples/sample/main/main.c)
        set(START ${CMAKE_BINARY_DIR}/start.c)
    """,
}


@pytest.mark.parametrize("ecosystem", BUILD_SYSTEMS)
def test_the_lists_make_a_library_for_the_example(ecosystem: str, library: Libraries, tmp_path: Path) -> None:
    cmake = tool("cmake")
    (tmp_path / "CMakeLists.txt").write_text(
        f"cmake_minimum_required(VERSION 3.20)\nproject(app LANGUAGES C)\n{BUILD_SYSTEMS[ecosystem]}\n"
        f"set(FOLDER {library(ecosystem)})\nadd_subdirectory(${{FOLDER}} kws)\n"
        "add_executable(app ${FOLDER}/${EXAMPLE} ${START})\ntarget_include_directories(app PRIVATE ${FOLDER}/src)\n"
        "target_link_libraries(app PRIVATE kws)\n"
    )
    run([cmake, "-S", ".", "-B", "build"], tmp_path)
    run([cmake, "--build", "build"], tmp_path)
    assert "exact: equals TensorFlow Lite Micro" in run([tmp_path / "build" / "app"], tmp_path)


@pytest.mark.parametrize("ecosystem", ["cmake", "esp-idf", "zephyr"])
def test_cmake_lists_name_every_source(ecosystem: str, library: Libraries) -> None:
    folder = library(ecosystem)
    listed = set(re.findall(r"src/\S+\.c\b", (folder / "CMakeLists.txt").read_text()))
    assert listed == {
        path.relative_to(folder).as_posix() for path in folder.rglob("src/*/*.c") if "samples" not in str(path)
    }


def test_arduino_has_what_its_specification_asks_for(library: Libraries) -> None:
    """Arduino library specification, "Library metadata" and "Layout of folders and files", and what arduino-lint makes
    of it for a library that is published (its rules LP010 to LP052, LS008, LD001 and LD003)."""
    folder = library("arduino")
    fields = dict(line.split("=", 1) for line in (folder / "library.properties").read_text().splitlines())
    needed = {"name", "version", "author", "maintainer", "sentence", "paragraph", "category", "url", "architectures"}
    assert fields.keys() == needed | {"includes"}
    assert all(fields.values())
    assert re.fullmatch(r"(?!arduino)[a-z][a-z0-9_]{0,31}", fields["name"])
    assert re.fullmatch(r"\d+\.\d+\.\d+", fields["version"])
    assert not fields["maintainer"].lower().startswith("arduino")
    assert fields["sentence"] not in fields["paragraph"]
    assert fields["category"] == "Data Processing"
    assert re.fullmatch(r"https://[\w./-]+", fields["url"])
    assert fields["includes"] == f"{fields['name']}.h"
    assert (folder / "src" / fields["includes"]).is_file()
    assert (folder / "README.md").is_file()
    (sketch,) = folder.rglob("*.ino")
    assert sketch.parent.parent == folder / "examples"
    assert sketch.stem == sketch.parent.name
    for line in (folder / "keywords.txt").read_text().splitlines():
        assert re.fullmatch(r"\w+\t(KEYWORD1|KEYWORD2|LITERAL1)", line)


def test_arduino_lint_finds_nothing(library: Libraries, tmp_path: Path) -> None:
    lint = tool("arduino-lint")
    out = run([lint, "--compliance", "specification", "--library-manager", "false", library("arduino")], tmp_path)
    assert "ERROR" not in out


def test_the_arduino_sketch_runs(library: Libraries, tmp_path: Path) -> None:
    """The sketch as its builder compiles it, C++ with the core's header before it, over the host's console."""
    cxx = tool("g++")
    folder = library("arduino")
    (tmp_path / "Arduino.h").write_text(
        "#pragma once\n#include <cstdio>\n#include <cstdlib>\n#include <cstring>\n#include <iostream>\n"
        "struct Console {\n    void begin(long) {}\n"
        "    template <class T> void print(T x) { std::cout << +x; }\n"
        "    void print(const char *x) { std::cout << x; }\n"
        "    template <class T> void println(T x) { print(x); std::cout << '\\n'; }\n};\n"
        "static Console Serial;\ninline unsigned long micros() { return 0; }\n"
        "inline void delay(unsigned long) { std::exit(0); }\n"
    )
    sketch = folder / "examples/Sample/Sample.ino"
    (tmp_path / "sketch.cpp").write_text(
        f'#include "Arduino.h"\n#include "{sketch}"\nint main() {{ setup(); for (;;) loop(); }}\n'
    )
    sources = [tmp_path / "sketch.cpp", *sorted(folder.glob("src/*/*.c"))]
    run([cxx, "-fpermissive", f"-I{folder}/src", f"-I{tmp_path}", *sources, "-o", "sketch"], tmp_path)
    assert "exact: equals TensorFlow Lite Micro" in run([tmp_path / "sketch"], tmp_path)


@pytest.mark.parametrize("ecosystem", ECOSYSTEMS)
def test_every_library_says_how_to_use_it(ecosystem: str, library: Libraries) -> None:
    text = (library(ecosystem) / "README.md").read_text()
    assert text.startswith("# kws\n")
    assert "kws_invoke(input, output);" in text
    assert "| `src/portable` | any" in text
    # Chips without a Cortex-M compile nothing else, and are told nothing of its FPU.
    assert ("| `src/m4` | Cortex-M4 |" in text) == ("registers" in text) == (ecosystem != "esp-idf")
    assert "{{" not in text
    for path in library(ecosystem).rglob("*"):
        assert "__name__" not in path.name


def test_another_export_removes_what_it_no_longer_has(model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "kws"
    for cores in (("m4", "m0plus"), ("portable",)):
        written(export(ExportRequest(model, "arduino", name="kws", cores=cores)), folder)
    assert {path.parent.name for path in folder.glob("src/*/*.c")} == {"portable"}


def test_a_folder_with_something_else_is_left_alone(model: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(OutputError, match="no exported library"):
        written(export(ExportRequest(model, "arduino", name="kws")), tmp_path)
