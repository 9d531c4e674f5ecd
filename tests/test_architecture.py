"""The shape of Tiffin, held by reading its source: who may import whom, what happens in one place only, and sizes."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "tiffin"

# --- the rings of the design: a folder, and what of ours it may import beside itself
MAY_IMPORT: dict[str, set[str]] = {
    "kernel": set(),
    "wire": {"kernel"},
    "store": {"kernel"},
    "config": {"kernel"},
    **{part: {"kernel", "wire"} for part in ("providers", "api")},
    **{part: {"kernel", "store"} for part in ("policy", "ledger", "monitor", "jobs")},
    **{part: {"kernel", "store"} for part in ("knowledge", "agents", "training", "evals")},
}
WIRING = {"app", "home", "cli", "__main__"}  # may import everything; nobody else may import them

# --- what is imported in one place only
ONLY_IN: dict[str, tuple[str, ...]] = {
    # The command line is a client of the API like any other, over the standard library.
    **dict.fromkeys(("http.client", "urllib.request"), ("providers/http.py", "cli/", "cli.py")),
    **dict.fromkeys(("aiohttp", "httpx", "httpx2", "requests", "urllib3", "openai"), ("providers/http.py",)),
    # A hub's own client downloads weights; it never carries a call.
    "huggingface_hub": ("providers/engines/",),
    **dict.fromkeys(("starlette", "fastapi"), ("api/",)),
    **dict.fromkeys(("sqlite3", "sqlalchemy", "alembic", "psycopg"), ("store/", "ledger/")),
    "contextvars": (),  # authority, clock and parent are arguments
}
KERNEL_MAY_USE = {"msgspec", *sys.stdlib_module_names}

# --- sizes
FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 500
FILE_LINES_HARD_MAX = 700
LONG_FILES: dict[str, str] = {}  # a file between the two: why it is one promise
PARAMETERS_MAX = 6
APP_LINES_MAX = 200

EMPTY_NAMES = re.compile(r"(Impl|Manager|Utils?|Base|Mixin|Helper)$|^(Base|Abstract)[A-Z]")
TESTS_OF_NO_MODULE = {"conformance", "faults", "e2e", "docs", "sample"}
TESTS_OF_A_WHOLE = {
    "knowledge/parse/test_corpus.py",
    "knowledge/parse/test_hostile.py",
}  # a package, on a kind of input
# Split, so that this file does not break its own rule.
REGISTRIES = ("pypi" + ".org", "python" + "hosted.org", "npm" + "js.org", "npm" + "js.com", "deb.debian" + ".org")
MACHINE_PATH = re.compile(r"(?<![\w.~$}-])/(?:wo" + r"rk|ro" + r"ot|opt/whe" + r"els)(?:/|\b(?=[\"'\s]))")
UNFINISHED = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|X" + r"XX|raise NotImplemented" + r"Error)\b")


@dataclass(frozen=True)
class Module:
    """One parsed file of tiffin/."""

    path: Path
    tree: ast.Module

    @property
    def name(self) -> str:
        return self.path.relative_to(SOURCE).as_posix()

    @property
    def part(self) -> str:
        return self.path.relative_to(SOURCE).parts[0].removesuffix(".py")

    def imports(self) -> Iterator[tuple[int, str]]:
        """Line and full dotted name of everything imported, wherever in the file."""
        package = ("tiffin", *self.path.relative_to(SOURCE).parts[:-1])
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from ((node.lineno, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                above = package[: len(package) - node.level + 1] if node.level else ()
                origin = ".".join((*above, *filter(None, [node.module])))
                yield from ((node.lineno, f"{origin}.{alias.name}") for alias in node.names)

    def functions(self) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
        yield from (node for node in ast.walk(self.tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


MODULES = [Module(path, ast.parse(path.read_text("utf-8"))) for path in sorted(SOURCE.rglob("*.py"))]


def none(violations: Iterator[str]) -> None:
    found = sorted(violations)
    assert not found, "\n" + "\n".join(found)


def within(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(prefix + ".")


def test_imports_point_inward() -> None:
    def violations() -> Iterator[str]:
        for module in MODULES:
            if module.part in WIRING or module.name == "__init__.py":
                continue
            if module.part not in MAY_IMPORT:
                yield f"tiffin/{module.name}: the design gives {module.part!r} no ring; add it to MAY_IMPORT"
                continue
            allowed = {module.part, *MAY_IMPORT[module.part]}
            for line, name in module.imports():
                part = name.split(".")[1] if name.startswith("tiffin.") else None
                if part and part != "__version__" and part not in allowed:
                    yield f"tiffin/{module.name}:{line} imports {name}; {module.part} may import {sorted(allowed)}"

    none(violations())


def test_what_has_one_place_is_imported_there_only() -> None:
    none(
        f"tiffin/{module.name}:{line} imports {name}; only {places or 'no file'} may"
        for module in MODULES
        for line, name in module.imports()
        for package, places in ONLY_IN.items()
        if within(name, package) and not (places and module.name.startswith(places))
    )


def test_the_kernel_uses_only_the_standard_library_and_msgspec() -> None:
    none(
        f"tiffin/{module.name}:{line} imports {name}"
        for module in MODULES
        if module.part == "kernel"
        for line, name in module.imports()
        if name.split(".")[0] not in {"tiffin", *KERNEL_MAY_USE}
    )


def test_the_kernel_knows_no_any() -> None:
    none(
        f"tiffin/{module.name}:{node.lineno} uses Any"
        for module in MODULES
        if module.part == "kernel"
        for node in ast.walk(module.tree)
        if (isinstance(node, ast.Name) and node.id == "Any") or (isinstance(node, ast.Attribute) and node.attr == "Any")
    )


def test_only_the_path_calls_an_executor() -> None:
    none(
        f"tiffin/{module.name}:{node.lineno} reaches an executor beside the path"
        for module in MODULES
        if module.name != "kernel/govern.py"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute) and node.attr == "execute" and ast.unparse(node.value).endswith("world")
    )


def test_every_import_is_a_declared_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project.get("optional-dependencies", {}).values()
    wishes = (project["dependencies"], *extras)
    declared = {re.split(r"[\s\[<>=!~;]", wish)[0].lower().replace("_", "-") for some in wishes for wish in some}
    providers = packages_distributions()
    none(
        f"tiffin/{module.name}:{line} imports {name}, which no dependency in pyproject.toml provides"
        for module in MODULES
        for line, name in module.imports()
        if (top := name.split(".")[0]) not in {"tiffin", *sys.stdlib_module_names}
        and not declared & {one.lower().replace("_", "-") for one in providers.get(top, [])}
    )


def test_functions_are_short_and_take_few_parameters() -> None:
    def violations() -> Iterator[str]:
        for module in MODULES:
            for function in module.functions():
                where = f"tiffin/{module.name}:{function.lineno} {function.name}"
                lines = (function.end_lineno or 0) - function.lineno + 1
                if lines > FUNCTION_LINES_MAX:
                    yield f"{where} has {lines} lines; at most {FUNCTION_LINES_MAX}"
                arguments = function.args
                names = [one.arg for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
                count = len([name for name in names if name not in {"self", "cls"}])
                if count > PARAMETERS_MAX:
                    yield f"{where} has {count} parameters; at most {PARAMETERS_MAX}"

    none(violations())


def test_files_are_short_and_say_their_promise() -> None:
    def violations() -> Iterator[str]:
        for module in MODULES:
            lines = len(module.path.read_text("utf-8").splitlines())
            limit = FILE_LINES_HARD_MAX if module.name in LONG_FILES else FILE_LINES_MAX
            limit = APP_LINES_MAX if module.name == "app.py" else limit
            if lines > limit:
                yield f"tiffin/{module.name} has {lines} lines; at most {limit}"
            if lines and not ast.get_docstring(module.tree):
                yield f"tiffin/{module.name} does not say its promise in a docstring"

    none(violations())


def test_classes_are_named_for_what_they_are() -> None:
    none(
        f"tiffin/{module.name}:{node.lineno} class {node.name}"
        for module in MODULES
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ClassDef) and EMPTY_NAMES.search(node.name)
    )


def test_every_test_file_mirrors_a_module() -> None:
    def violations() -> Iterator[str]:
        for test in sorted((ROOT / "tests").rglob("test_*.py")):
            path = test.relative_to(ROOT / "tests")
            if path.parts[0] in {*TESTS_OF_NO_MODULE, Path(__file__).name} or path.as_posix() in TESTS_OF_A_WHOLE:
                continue
            home = ROOT if path.parts[0] in {"tools", "benchmarks"} else SOURCE
            module = home / path.parent / path.name.removeprefix("test_")
            if not module.exists() and not module.with_suffix("").is_dir():
                yield f"tests/{path} tests no module: {module.relative_to(ROOT)} does not exist"

    none(violations())


def tracked() -> list[Path]:
    """Every file that is or would be committed; a copy without git has nothing to say about that."""
    listed = subprocess.run(
        ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"),
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_no_file_names_a_registry_or_a_path_of_one_machine() -> None:
    def violations() -> Iterator[str]:
        for path in tracked():
            for number, line in enumerate(path.read_bytes().decode("utf-8", "replace").splitlines(), 1):
                if any(host in line for host in REGISTRIES) or MACHINE_PATH.search(line):
                    yield f"{path.relative_to(ROOT)}:{number} {line.strip()[:100]}"

    none(violations())


def test_nothing_is_left_unfinished() -> None:
    none(
        f"{path.relative_to(ROOT)}:{number} {line.strip()[:100]}"
        for path in tracked()
        if path.suffix in {".py", ".ts", ".tsx"}
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if UNFINISHED.search(line)
    )
