"""The kernel's compiler, which reads common headers once: what it makes is what gcc makes, whatever a file says."""

from __future__ import annotations

import os
import shutil
import subprocess
from importlib import resources
from pathlib import Path

import pytest

from dmmlab.guest import kernel

FILES = {
    "include/compiler-version.h": '#ifdef VERSION\n#error "once"\n#endif\n#define VERSION\n',
    "include/common.h": (
        "#ifndef COMMON_H\n#define COMMON_H\n"
        "#ifndef pr_fmt\n#define pr_fmt(text) text\n#endif\n"
        "#ifdef CAUTIOUS\n#define LIMIT 1\n#else\n#define LIMIT 100\n#endif\n"
        "int said(const char *text);\n"
        "#define say(text) said(pr_fmt(text))\n"
        "static inline int least(int a, int b) { return a < b ? a : b; }\n"
        "#endif\n"
    ),
    "init/first.c": "#include <common.h>\nint first(void) { return LIMIT; }\n",
    "net/named.c": "#include <common.h>\nint named(void) { return say(KBUILD_MODNAME); }\n",
    "net/prefix.c": '#define pr_fmt(text) "net: " text\n#include <common.h>\nint prefix(void) { return say("x"); }\n',
    "net/cautious.c": "#define CAUTIOUS\n#include <common.h>\nint cautious(void) { return LIMIT; }\n",
    "net/own.c": "static int least(void) { return 7; }\nint own(void) { return least(); }\n",
    "net/wrong.c": "#include <common.h>\nint wrong(void) { return nothing; }\n",
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A kernel in short, and the compiler beside it."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "headers").mkdir()
    compiler = tmp_path / "headers" / "compile.sh"
    compiler.write_bytes(resources.files("dmmlab.guest").joinpath("compile.sh").read_bytes())
    compiler.chmod(0o755)
    (tmp_path / "headers" / "common.h").write_text("#include <common.h>\n")
    return tmp_path


def compiled(tree: Path, name: str, compiler: str | None = None) -> subprocess.CompletedProcess[str]:
    """`compiler` (gcc with headers that are read ahead) on file ``name``, as make calls it."""
    stem = name.replace("/", "_").removesuffix(".c")
    return subprocess.run(
        [
            *(compiler or str(tree / "headers" / "compile.sh"), f"-Wp,-MMD,{stem}.d", f"-I{tree}/include", "-O2"),
            *("-include", f"{tree}/include/compiler-version.h", "-D__KERNEL__", f'-DKBUILD_MODNAME="{stem}"'),
            *("-c", "-o", f"{stem}.o", str(tree / name)),
        ],
        cwd=tree,
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
    )


def code(tree: Path, stem: str) -> bytes:
    """The object's code and constants."""
    parts = ["-j", ".text", "-j", ".rodata*"]
    subprocess.run(["objcopy", "-O", "binary", *parts, f"{stem}.o", "code"], cwd=tree, check=True)
    return (tree / "code").read_bytes()


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith("net/") and name != "net/wrong.c"])
def test_a_file_becomes_what_gcc_makes_of_it(tree: Path, name: str) -> None:
    stem = name.replace("/", "_").removesuffix(".c")
    assert compiled(tree, name, "gcc").returncode == 0
    plain = code(tree, stem)
    for each in ("init/first.c", name):
        assert compiled(tree, each).returncode == 0
    assert code(tree, stem) == plain
    assert str(tree / name) in (tree / f"{stem}.d").read_text().split()


def test_headers_are_read_once(tree: Path) -> None:
    assert compiled(tree, "init/first.c").returncode == 0
    (tree / "include" / "common.h").write_text('#ifndef COMMON_H\n#error "read again"\n#endif\n')
    assert compiled(tree, "net/named.c").returncode == 0
    again = compiled(tree, "net/cautious.c")
    assert again.returncode != 0 and "read again" in again.stderr


def test_an_error_is_the_files_own(tree: Path) -> None:
    compiled(tree, "init/first.c")
    wrong = compiled(tree, "net/wrong.c")
    assert wrong.returncode != 0 and "'nothing' undeclared" in wrong.stderr


def test_the_compiler_and_its_headers_are_shipped(tmp_path: Path) -> None:
    compiler = kernel._compiler(tmp_path / "headers")
    assert sorted(path.name for path in compiler.parent.iterdir()) == ["common.h", "compile.sh"]
    said = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True).stdout
    assert said == subprocess.run(["gcc", "--version"], capture_output=True, text=True, check=True).stdout
