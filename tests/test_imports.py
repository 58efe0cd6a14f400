"""Which part may look at which, read from the source: no import runs upwards, no circles."""

import ast
import functools
import re
import subprocess
import sys
from pathlib import Path

import pytest

import keras_ctxseg

ROOT = Path(keras_ctxseg.__file__).parent
PAGE = Path(__file__).parents[1] / "docs" / "architecture.md"
CORE = {"layers", "backbones", "heads", "models", "losses", "metrics", "panoptic"}


def _rules() -> dict[str, set[str]]:
    """What a part may import of the package, beside itself and the helpers with an underscore.

    Read from the table of docs/architecture.md: `part`, `part`+ for a part and all that it may
    import, *core*, *all*.
    """
    table = re.findall(r"^\| `(\w+)` \|[^|]+\| ([^|]+) \|$", PAGE.read_text(), re.MULTILINE)
    rules: dict[str, set[str]] = {}
    for part, cell in table:
        allowed = rules[part] = set()
        for word in cell.split(", "):
            name = re.fullmatch(r"`(\w+)`(\+?)", word)
            if name:
                allowed |= {name[1], *(rules[name[1]] if name[2] else ())}
            else:
                allowed |= {"nothing": set(), "*core*": CORE, "*all*": set(rules)}[word]
    return rules


ALLOWED = _rules()
# The files of the core that hold a backend's own call; they import it inside a function.
BACKEND_FILES = {
    "layers/atrous_conv.py",
    "layers/batch_norm.py",
    "layers/resize.py",
    "panoptic/grouping.py",
}
# TensorFlow's side of several replicas; the core imports it inside a function.
REPLICAS = "keras_ctxseg.distribution"


@functools.cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def _imports(path: Path):
    """Yields `(module, at_top_level)` of every import; relative imports do not occur."""
    tree = _tree(path)
    top_level = set(map(id, tree.body))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, id(node) in top_level
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            if node.module == "keras_ctxseg":
                for alias in node.names:
                    yield f"keras_ctxseg.{alias.name}", id(node) in top_level
            else:
                yield node.module, id(node) in top_level


def _files(part: str):
    return sorted((ROOT / part).rglob("*.py"))


def _module(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _type_checking(tree):
    """The statements under `if TYPE_CHECKING:`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            yield from node.body


def _import_graph() -> dict[str, set[str]]:
    """The package's modules that each module imports, at the top, in functions, for types.

    A name of a lazy package counts as an import of the module that owns it. Modules named in
    strings (registries) are not followed.
    """
    files = {_module(path): path for path in ROOT.rglob("*.py")}
    trees = {name: _tree(path) for name, path in files.items()}
    homes = {
        f"{name}.{alias.name}": statement.module
        for name, tree in trees.items()
        if files[name].name == "__init__.py"
        for statement in _type_checking(tree)
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    }

    def imported(name: str):
        lazy = {id(node) for node in _type_checking(trees[name])}
        for node in ast.walk(trees[name]):
            if files[name].name == "__init__.py" and id(node) in lazy:
                continue
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield node.module
                whole = (f"{node.module}.{alias.name}" for alias in node.names)
                yield from (homes.get(each, each) for each in whole)

    graph = {}
    for name in files:
        found = set()
        for module in imported(name):
            # Importing `a.b.c` runs `a.b` too, unless the importer is inside it.
            parts = module.split(".")
            for length in range(1, len(parts) + 1):
                package = ".".join(parts[:length])
                inside = f"{name}.".startswith(f"{package}.") and package != module
                if package in files and package != name and not inside:
                    found.add(package)
        graph[name] = found
    return graph


def test_no_circles():
    """Not inside a room either: from no module does a chain of imports lead back to it."""
    graph = _import_graph()
    assert "keras_ctxseg.layers.aspp" in graph["keras_ctxseg.models.deeplab"]
    # Takes away what imports nothing that is left, or is imported by nothing; circles stay.
    while True:
        imported = set().union(*graph.values())
        kept = {name for name in graph if name in imported and graph[name] & graph.keys()}
        if kept == graph.keys():
            break
        graph = {name: graph[name] & kept for name in kept}
    assert not graph


def test_nothing_inside_imports_the_root():
    """`import keras_ctxseg as ctx` inside the package would hide which part is meant."""
    for path in sorted(set(ROOT.rglob("*.py")) - {ROOT / "__init__.py"}):
        for node in ast.walk(_tree(path)):
            if isinstance(node, ast.Import):
                assert "keras_ctxseg" not in {alias.name for alias in node.names}, path
            elif isinstance(node, ast.ImportFrom):
                assert node.module != "keras_ctxseg", path


def test_every_part_has_its_rule():
    parts = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert parts == set(ALLOWED)


@pytest.mark.parametrize("part", ALLOWED)
def test_no_import_runs_upwards(part):
    for path in _files(part):
        for module, _ in _imports(path):
            if module.startswith("keras_ctxseg."):
                other = module.split(".")[1]
                if other != part and not other.startswith("_"):
                    assert other in ALLOWED[part], f"{path}: {part} imports {module}"


@pytest.mark.parametrize("part", sorted(CORE))
def test_the_core_imports_keras_and_numpy_only(part):
    for path in _files(part):
        for module, top_level in _imports(path):
            name = module.split(".")[0]
            if module.startswith(REPLICAS):
                assert not top_level, f"{path}: {module} must be imported where it is used"
            if name in ("tensorflow", "jax", "torch"):
                assert path.relative_to(ROOT).as_posix() in BACKEND_FILES, f"{path}: {module}"
                assert not top_level, f"{path}: {module} must be imported where it is used"
            assert name not in ("official", "tf_keras", "tensorflow_datasets"), f"{path}: {module}"


@pytest.mark.parametrize("part", sorted(set(ALLOWED) - CORE))
def test_heavy_packages_load_where_they_are_used(part):
    for path in _files(part):
        for module, top_level in _imports(path):
            if module.split(".")[0] in ("official", "tf_keras"):
                assert not top_level, f"{path}: {module} must be imported where it is used"


def test_fixture_files_do_not_load_tensorflow():
    """xdist's controller imports them and runs no test: it should need neither time nor memory."""
    files = [str(path) for path in Path(__file__).parent.rglob("conftest.py")]
    code = (
        "import runpy, sys\n"
        "for file in sys.argv[1:]:\n"
        "    runpy.run_path(file)\n"
        "    loaded = {'keras', 'keras_ctxseg', 'tensorflow'} & set(sys.modules)\n"
        "    assert not loaded, f'{file} imports {loaded} at its top level'\n"
    )
    assert len(files) > 5
    root = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", code, *files], cwd=root, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_the_ignore_label_is_written_once():
    """`ignore_label=255` as a default, an argument or a constant; docstrings may say it."""
    found = []
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(_tree(path)):
            if isinstance(node, ast.arguments):
                given = [*node.posonlyargs, *node.args][::-1]
                pairs = [*zip(given, node.defaults[::-1], strict=False)]
                pairs += zip(node.kwonlyargs, node.kw_defaults, strict=True)
                named = [(argument.arg, default) for argument, default in pairs]
            elif isinstance(node, ast.Call):
                named = [(keyword.arg, keyword.value) for keyword in node.keywords]
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                named = [(ast.unparse(target), node.value) for target in targets]
            else:
                continue
            for name, value in named:
                numbers = [] if value is None else ast.walk(value)
                if "ignore" in (name or "").lower() and any(
                    isinstance(number, ast.Constant) and number.value == 255 for number in numbers
                ):
                    found.append(f"{path.relative_to(ROOT)}: {name}")
    assert found == ["labels/panoptic.py: IGNORE_LABEL"]
