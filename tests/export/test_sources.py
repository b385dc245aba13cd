"""The sources of a library: every compiler takes them without a warning, and each set is exact on this machine."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from elftools.elf.elffile import ELFFile
from export.conftest import WARNINGS, ZIG, model_bytes, written
from support.compiled import host_compiler

from tinydeploy import oracle
from tinydeploy.cores import CORES
from tinydeploy.export import ExportRequest, export
from tinydeploy.export_sources import choose_cores, core_choice, label, rename
from tinydeploy.proof import random_inputs
from tinydeploy.tflite import read_model

CORTEX_M4 = ("-target", "thumb-freestanding-eabihf", "-mcpu=cortex_m4+vfp4d16sp")
CORTEX_M0PLUS = ("-target", "thumb-freestanding-eabi", "-mcpu=cortex_m0plus")
GCC_M4 = ("-mcpu=cortex-m4", "-mthumb", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard")
C99, CXX17 = ("-std=c99",), ("-x", "c++", "-std=c++17")
# The command, and the set of sources that it compiles.
COMPILERS: dict[str, tuple[tuple[str, ...], str]] = {
    "gcc": (("gcc", *C99), "portable"),
    "g++": (("g++", *CXX17), "portable"),
    "gcc m4": (("gcc", "-DKWS_CORE=KWS_CORE_M4", *C99), "m4"),
    "g++ m0plus": (("g++", "-DKWS_CORE=KWS_CORE_M0PLUS", *CXX17), "m0plus"),
    "arm gcc m4": (("arm-none-eabi-gcc", *GCC_M4, *C99), "m4"),
    "arm g++ m4": (("arm-none-eabi-g++", *GCC_M4, *CXX17), "m4"),
    "arm gcc m0plus": (("arm-none-eabi-gcc", "-mcpu=cortex-m0plus", *C99), "m0plus"),
    "arm gcc m55": (("arm-none-eabi-gcc", "-mcpu=cortex-m55", "-mfloat-abi=hard", *C99), "m55"),
    "arm g++ m55": (("arm-none-eabi-g++", "-mcpu=cortex-m55", "-mfloat-abi=hard", *CXX17), "m55"),
    "clang": ((*ZIG, "cc", *C99), "portable"),
    "clang m4": ((*ZIG, "cc", *CORTEX_M4, *C99), "m4"),
    "clang++ m4": ((*ZIG, "c++", *CORTEX_M4, *CXX17), "m4"),
    "clang m0plus": ((*ZIG, "cc", *CORTEX_M0PLUS, *C99), "m0plus"),
    "clang++ m0plus": ((*ZIG, "c++", *CORTEX_M0PLUS, *CXX17), "m0plus"),
}
# Reads inputs from standard input, one after the other, and writes the outputs.
MAIN = """
#include <stdio.h>
#include "kws.h"
int main(void) {
    static kws_input_t input[KWS_INPUT_ELEMENTS];
    static kws_output_t output[KWS_OUTPUT_ELEMENTS];
    while (fread(input, sizeof input, 1, stdin) == 1) {
        kws_invoke(input, output);
        fwrite(output, sizeof output, 1, stdout);
    }
    return 0;
}
"""


def c_files(library: Path) -> list[str]:
    return [str(path) for path in sorted(library.glob("src/*/*.c"))]


def run(command: Sequence[str], cwd: Path, data: bytes = b"") -> bytes:
    done = subprocess.run(command, cwd=cwd, input=data, capture_output=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stderr.decode(errors='replace')[-4000:]}"
    return done.stdout


def symbols(folder: Path) -> tuple[set[str], set[str]]:
    """What the objects of `folder` define for others, and what they need of others."""
    defined, undefined = set(), set()
    for path in folder.glob("*.o"):
        with path.open("rb") as file:
            for symbol in ELFFile(file).get_section_by_name(".symtab").iter_symbols():
                if symbol["st_shndx"] == "SHN_UNDEF":
                    undefined.add(symbol.name)
                elif symbol["st_info"]["bind"] != "STB_LOCAL":
                    defined.add(symbol.name)
    return defined, undefined - {""}


@pytest.mark.parametrize("compiler", COMPILERS)
def test_every_compiler_takes_them_without_a_warning(
    compiler: str, library: Callable[[str], Path], tmp_path: Path
) -> None:
    command, chosen = COMPILERS[compiler]
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    files = c_files(library("cmake"))
    compiled = [file for file in files if f"/src/{chosen}/" in file]
    others = [
        next(file for file in files if f"/src/{core}/" in file)
        for core in {"m4", "m0plus", "m55", "portable"} - {chosen}
    ]
    assert len(compiled) >= 5
    for file in (*compiled, *others):
        # zig takes one file at a time.
        run([*command, *WARNINGS, "-O1", "-c", file, "-o", f"{Path(file).stem}.o"], tmp_path)
    defined, undefined = symbols(tmp_path)
    assert all("kws_" in symbol for symbol in defined)
    # Assembly may call a function by a name that the compiler knows nothing of; the linker does.
    missing = undefined - defined
    assert all(symbol.startswith(("__aeabi_", "mem", "_GLOBAL_OFFSET_TABLE_")) for symbol in missing), missing


def test_no_two_files_make_the_same_object(library: Callable[[str], Path]) -> None:
    """Some build systems put all objects of a library into one folder, or into an archive by their names."""
    names = [Path(file).name for file in c_files(library("arduino"))]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("core", ["M4", "M0PLUS", "PORTABLE"])
def test_each_set_is_exact_on_this_machine(
    core: str, library: Callable[[str], Path], model: Path, tmp_path: Path
) -> None:
    inputs = random_inputs(read_model(model.read_bytes(), "small").tensors[0], 20)
    (tmp_path / "main.c").write_text(MAIN)
    folder = library("cmake")
    files = [file for file in c_files(folder) if f"/src/{core.lower()}/" in file]
    choice = f"-DKWS_CORE=KWS_CORE_{core}"
    run([*host_compiler(), choice, f"-I{folder}/src", "main.c", *files, "-o", "main"], tmp_path)
    outputs = run([str(tmp_path / "main")], tmp_path, inputs.tobytes())
    assert outputs == oracle.run(model.read_bytes(), inputs).tobytes()


def test_a_streamed_input_is_exact_too(model: Path, tmp_path: Path) -> None:
    made = export(ExportRequest(model, "cmake", name="kws", stream_input=True, optimize="ram"))
    folder = written(made, tmp_path / "kws")
    inputs = random_inputs(read_model(model.read_bytes(), "small").tensors[0], 5)
    pushes = "kws_begin();\n        kws_push_rows(input, KWS_INPUT_HEIGHT);\n        kws_end(output);"
    (tmp_path / "main.c").write_text(MAIN.replace("kws_invoke(input, output);", pushes))
    run([*host_compiler(), f"-I{folder}/src", "main.c", *c_files(folder), "-o", "main"], tmp_path)
    outputs = run([str(tmp_path / "main")], tmp_path, inputs.tobytes())
    assert outputs == oracle.run(model.read_bytes(), inputs).tobytes()
    assert "kws_push_rows(row, 1)" in made.files["README.md"]


def test_two_libraries_live_in_one_program(model: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.tflite"
    other.write_bytes(model_bytes(seed=6))
    folders = [
        written(export(ExportRequest(path, "cmake", name=name, cores=("portable",))), tmp_path / name)
        for path, name in ((model, "first"), (other, "second"))
    ]
    (tmp_path / "main.c").write_text(
        '#include "first.h"\n#include "second.h"\nint main(void) {\n'
        "    first_invoke(first_input(), first_output());\n    second_invoke(second_input(), second_output());\n"
        "    return 0;\n}\n"
    )
    includes = [f"-I{folder}/src" for folder in folders]
    run([*host_compiler(), *includes, "main.c", *(f for d in folders for f in c_files(d)), "-o", "main"], tmp_path)
    run([str(tmp_path / "main")], tmp_path)


@pytest.mark.parametrize(
    ("cpu", "chosen"),
    [
        ("cortex_m0plus", "M0PLUS"),
        ("cortex_m3", "M0PLUS"),
        ("cortex_m4", "M4"),
        ("cortex_m7", "M4"),
        ("cortex_m33+dsp", "M33"),
        ("cortex_m55", "M33"),
        (None, "PORTABLE"),
    ],
)
def test_the_machine_chooses_the_sources(cpu: str | None, chosen: str, model: Path, tmp_path: Path) -> None:
    made = export(ExportRequest(model, "arduino", name="kws", cores=("m4", "m0plus", "m33")))
    header = tmp_path / "kws_core.h"
    header.write_text(made.files["src/kws_core.h"] + "CHOSEN KWS_CORE\n")
    target = () if cpu is None else ("-target", "thumb-freestanding-eabi", f"-mcpu={cpu}")
    text = run([*ZIG, "cc", *target, "-E", "-P", "-x", "c", str(header)], tmp_path).decode()
    numbers = {"M33": 1, "M4": 2, "M0PLUS": 3, "PORTABLE": 4}
    assert text.split("CHOSEN")[-1].split() == [str(numbers[chosen])]


@pytest.mark.parametrize(
    ("machine", "sentence"),
    [
        ("avr-freestanding", "needs a processor with an int of 32 bits"),
        ("powerpc-freestanding-eabi", "needs a little-endian processor"),
    ],
)
def test_a_machine_that_would_compute_something_else_is_told(
    machine: str, sentence: str, library: Callable[[str], Path]
) -> None:
    header = library("arduino") / "src" / "kws_core.h"
    done = subprocess.run([*ZIG, "cc", "-target", machine, "-E", str(header)], capture_output=True, check=False)
    assert done.returncode != 0
    assert f"kws {sentence}" in done.stderr.decode()


def test_every_core_can_be_chosen() -> None:
    """A new core says here by what macros a compiler knows it."""
    for name in CORES:
        (core,) = choose_cores([name])
        assert core_choice(core).condition is not None


def test_names_in_strings_stay() -> None:
    text = '#include "model_data.h"\n#define MODEL_NAME "model_7 td_x \\" model_1"\nmodel_t model_x = td_f(MODEL_A);'
    assert rename(text, "kws") == (
        '#include "model_data.h"\n#define KWS_NAME "model_7 td_x \\" model_1"\nkws_t kws_x = kws_td_f(KWS_A);'
    )


def test_what_assembly_calls_keeps_its_name_in_cpp() -> None:
    text = (
        'static void td_f(void) {\n    __asm volatile("bl td_g\\n");\n}\n'
        "__attribute__((used)) static void td_g(int x) {\n"
    )
    assert label(rename(text, "kws")) == (
        'static void kws_td_f(void) {\n    __asm volatile("bl kws_td_g\\n");\n}\n'
        'static void kws_td_g(int x) __asm__("kws_td_g");\n__attribute__((used)) static void kws_td_g(int x) {\n'
    )


def test_kernels_are_fast_where_a_project_is_optimized_for_size(library: Callable[[str], Path], tmp_path: Path) -> None:
    """Arduino and others compile everything with -Os, and the pragma overrules that."""
    if shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("arm-none-eabi-gcc is not installed")
    (source,) = library("arduino").glob("src/m4/td_softmax_s8_m4.c")
    plain = source.with_name("plain.c")
    plain.write_text(source.read_text().replace('#pragma GCC optimize("O3")', ""))

    def instructions(file: Path, option: str) -> bytes:
        run(["arm-none-eabi-gcc", "-mcpu=cortex-m4", option, "-c", str(file), "-o", "made.o"], tmp_path)
        run(["arm-none-eabi-objcopy", "-O", "binary", "-j", ".text", "made.o", "made.bin"], tmp_path)
        return (tmp_path / "made.bin").read_bytes()

    assert len(instructions(source, "-Os")) > len(instructions(plain, "-Os"))
    assert len(instructions(source, "-O0")) == len(instructions(plain, "-O0"))  # who debugs is let alone


def test_the_sample_is_what_the_reference_computes(library: Callable[[str], Path], model: Path) -> None:
    text = (library("cmake") / "example" / "kws_sample.h").read_text()
    arrays = [part.split("};")[0] for part in text.split("= {")[1:]]
    values = [np.array([int(v) for v in array.replace(",", " ").split()], np.int8) for array in arrays]
    assert values[1].tobytes() == oracle.run(model.read_bytes(), values[0].reshape(1, 12, 12, 3)).tobytes()
