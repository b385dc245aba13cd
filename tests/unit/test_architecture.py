"""Data moves one way: a part imports only from parts below it. And the command line starts fast."""

from __future__ import annotations

import ast
import os
import resource
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import tinydeploy

PACKAGE = Path(tinydeploy.__file__).parent
HELP_S = 0.3
HEAVY = {"numpy", "tensorflow", "keras", "sklearn", "tflite_micro", "unicorn", "capstone", "jinja2", "rich", "serial"}

# From the ground up. A part is a module or a package; parts of one line do not know each other.
LAYERS = (
    "shipped_constants",
    "errors tables latency rp2040_boot mlperf_records",
    "resources files pareto study constants_report",
    "optimize ecosystems cores opnames progress fixedpoint graph preprocess protocol oracle_worker convert_worker",
    "rendering flatbuffer stricttoml fit modm transport terminal reference oracle project _tensorflow mlperf_data",
    "families image ops zoo exchange datasets layer_noise flash_reads",
    "boards toolchain tflite proof requant_solver lint session passes untrained folded method",
    "placement board_new memory_state ports",
    "tflm_tree stripes firmware virtual evaluate quantize augment distill qat bench verify mlperf doctor monitor",
    "kernels checkpoint emulation classify doctor_report",
    "plan vector_terms training_loop connection report stamp mlperf_report",
    "fusion joined trainer measured figures",
    "compiler train calibrate diff",
    "constants_place calls training_cache arena calibrate_report diff_report",
    "manifest",
    "kernel_forms codegen arena_drawing job training_report",
    "tflm export_sources",
    "tflm_arena",
    "cost",
    "layer_arithmetic",
    "arithmetic",
    "deployable",
    "build inspection export",
    "build_report",
    "sweep arithmetic_report",
    "sweep_train",
    "sweep_report search_space",
    "sweep_plot search",
    "search_report",
    "cli_files",
    "cli_zoo cli_mlperf cli_diff cli_export cli_emulate cli_calibrate",
    "cli_device",
    "cli_train",
    "cli_sweep",
    "cli_search",
    "cli",
    "__main__",
)
LEVEL = {part: level for level, line in enumerate(LAYERS) for part in line.split()}


def part_of(module: str) -> str:
    return module.split(".")[1]


def modules() -> list[tuple[str, Path]]:
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if name != "tinydeploy":
            found.append((name, path))
    return found


def imports(tree: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """Every import that runs at some time: at once or inside a function; those for type checkers do not run."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        yield from imports(node)


def imported_parts(path: Path) -> set[str]:
    found = set()
    for node in imports(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif node.module == "tinydeploy":
            names = [f"tinydeploy.{alias.name}" for alias in node.names]
        else:
            names = [node.module or ""]
        found |= {part_of(name) for name in names if name.startswith("tinydeploy.")}
    return found - {"__version__"}


def test_every_part_has_its_place() -> None:
    parts = {part_of(name) for name, _ in modules()}
    assert parts == set(LEVEL), "a new part gets a line in LAYERS; a part that is gone leaves it"


@pytest.mark.parametrize(("name", "path"), modules(), ids=lambda value: value if isinstance(value, str) else "")
def test_imports_go_one_way(name: str, path: Path) -> None:
    part = part_of(name)
    wrong = {other for other in imported_parts(path) if other != part and LEVEL[other] >= LEVEL[part]}
    assert not wrong, f"{name} imports {', '.join(sorted(wrong))}, which stand beside or above it"


def test_only_what_trains_or_converts_imports_tensorflow() -> None:
    allowed = {"_tensorflow", "convert_worker", "trainer", "augment", "zoo"}
    for name, path in modules():
        heavy = {"tensorflow", "keras"}
        for node in imports(ast.parse(path.read_text())):
            roots = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            if heavy & {root.split(".")[0] for root in roots}:
                assert part_of(name) in allowed, f"{name} imports {roots}"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=True)


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["build", "--help"], ["bench", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    script = (
        "import sys\nfrom tinydeploy.cli import main\n"
        f"try:\n    main({arguments!r})\nexcept SystemExit:\n    pass\n"
        "print(sorted(name for name in sys.modules if '.' not in name), file=sys.stderr)"
    )
    loaded = set(ast.literal_eval(run("-c", script).stderr))
    assert not loaded & HEAVY


def test_help_is_there_at_once() -> None:
    """The best of several runs, in processor time: on a machine that nobody else uses that is the time one waits."""

    def seconds() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        run("-m", "tinydeploy", "--help")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(seconds() for _ in range(5)) < HELP_S


def test_listing_boards_needs_no_tensorflow() -> None:
    script = (
        "import sys\nfrom tinydeploy.cli import main\ntry:\n    main(['boards'])\nexcept SystemExit:\n    pass\n"
        "assert 'tensorflow' not in sys.modules and 'tflite_micro' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True, stdout=subprocess.DEVNULL, env=os.environ)


def test_test_modules_have_names_of_their_own() -> None:
    """pytest imports them without packages: two of one name are an error of collection, which only a whole run sees."""
    names = Counter(path.name for path in Path(__file__).parents[1].rglob("test_*.py"))
    assert [name for name, count in names.items() if count > 1] == []
