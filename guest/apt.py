"""Kernel sources from the machine's own Debian or Ubuntu mirror, without touching the system's apt.

Every call to apt gets a configuration that moves its lists, state and cache into a directory of ours and names one
suite of the mirror the system already uses. What the system says about proxies, certificates and credentials stays in
force. Nothing here needs privilege.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dmmlab.guest.cache import version_key
from dmmlab.guest.errors import GuestError

# Where kernels newer than the system's own are found; Debian 12 itself has 6.1 only.
NEWER_SUITES = {"debian": ("trixie-backports",)}
PACKAGE = re.compile(r"^linux-source-\d+\.\d+(\.\d+)?$")


@dataclass(frozen=True)
class Source:
    """One line, or one stanza, of the system's apt sources."""

    uri: str
    suites: tuple[str, ...]
    components: tuple[str, ...]
    signed_by: str = ""


@dataclass(frozen=True)
class Candidate:
    """A kernel source package that can be downloaded; `configuration` is the apt configuration that knows it."""

    package: str
    version: str
    suite: str
    configuration: Path

    @property
    def upstream(self) -> str:
        """The kernel's own version: 7.2.12 of 7.2.12-1~bpo13+1."""
        found = re.search(r"\d+(\.\d+)+", self.version)
        return found.group() if found else self.version


def parse_one_line(text: str) -> Iterator[Source]:
    """Sources of a `.list` file: `deb [options] uri suite component...`."""
    for line in text.splitlines():
        words = line.split("#", 1)[0].strip()
        found = re.match(
            r"deb\s+(?:\[(?P<options>[^]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s*(?P<components>.*)$", words
        )
        if found:
            options = dict(o.split("=", 1) for o in (found["options"] or "").split() if "=" in o)
            yield Source(
                found["uri"], (found["suite"],), tuple(found["components"].split()), options.get("signed-by", "")
            )


def parse_deb822(text: str) -> Iterator[Source]:
    """Sources of a `.sources` file: stanzas of `Key: value`, values may go on over indented lines."""
    text = re.sub(r"^#.*\n?", "", text, flags=re.MULTILINE)
    for stanza in re.split(r"\n\s*\n", text):
        fields: dict[str, str] = {}
        name = ""
        for line in stanza.splitlines():
            if line[:1].isspace():
                fields[name] = fields.get(name, "") + "\n" + line.strip()
            elif ":" in line:
                name, value = line.split(":", 1)
                name = name.strip().lower()
                fields[name] = value.strip()
        enabled = fields.get("enabled", "yes").lower() not in ("no", "false", "off", "0", "disable")
        if enabled and "deb" in fields.get("types", "").split():
            for uri in fields.get("uris", "").split():
                suites, components = (
                    tuple(fields.get("suites", "").split()),
                    tuple(fields.get("components", "").split()),
                )
                yield Source(uri, suites, components, fields.get("signed-by", ""))


def system_sources(etc: Path = Path("/etc/apt")) -> list[Source]:
    """Every binary source the system's apt uses, of both notations."""
    sources: list[Source] = []
    for path in (etc / "sources.list", *sorted((etc / "sources.list.d").glob("*"))):
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        if path.suffix == ".sources":
            sources += parse_deb822(text)
        elif path.suffix == ".list":
            sources += parse_one_line(text)
    return sources


def os_release(path: Path = Path("/etc/os-release")) -> dict[str, str]:
    """What the distribution calls itself (`ID`, `VERSION_CODENAME`)."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError:
        return {}
    return dict(re.findall(r'^(\w+)="?([^"\n]*)"?$', text, re.MULTILINE))


def main_source(sources: Iterable[Source], codename: str) -> Source:
    """The distribution's own mirror among the sources: the one that has the suite `codename` with component main."""
    aliases = (codename, "stable", "testing", "unstable", "sid")
    for source in sources:
        if "main" in source.components and any(suite in aliases for suite in source.suites):
            return source
    raise GuestError(
        f"the system's apt sources name no mirror of {codename or 'this distribution'}: "
        "give a kernel source with `dmmlab guest build --source PATH`"
    )


def suites_to_try(release: dict[str, str]) -> list[str]:
    """Suites that may hold a kernel source, the system's own first."""
    codename = release.get("VERSION_CODENAME", "")
    newer = NEWER_SUITES.get(release.get("ID", ""), ())
    return list(dict.fromkeys([codename, f"{codename}-backports", *newer])) if codename else list(newer)


def write_configuration(source: Source, suite: str, directory: Path) -> Path:
    """An apt configuration for one suite, all of it below `directory`; returns the file to give to `apt-get -c`."""
    for name in ("lists/partial", "cache/archives/partial", "parts"):
        (directory / name).mkdir(parents=True, exist_ok=True)
    (directory / "status").touch()
    if "\n" in source.signed_by:  # the key itself stands in the stanza
        key = directory / "key.asc"
        key.write_text("\n".join("" if line == "." else line for line in source.signed_by.strip().splitlines()) + "\n")
        signed = f"[signed-by={key}] "
    else:
        signed = f"[signed-by={source.signed_by.replace(' ', ',')}] " if source.signed_by else ""
    (directory / "sources.list").write_text(f"deb {signed}{source.uri} {suite} main\n", encoding="utf-8")
    configuration = directory / "apt.conf"
    configuration.write_text(
        f'Dir::Etc::SourceList "{directory}/sources.list";\n'
        f'Dir::Etc::SourceParts "{directory}/parts";\n'
        f'Dir::State "{directory}";\n'
        f'Dir::State::Lists "{directory}/lists";\n'
        f'Dir::State::status "{directory}/status";\n'
        f'Dir::Cache "{directory}/cache";\n'
        f'APT::Sandbox::User "{_user()}";\n'
        'Acquire::Languages "none";\n'
        # The system's hooks are about the system's own lists and archives.
        "#clear APT::Update::Pre-Invoke;\n#clear APT::Update::Post-Invoke;\n"
        "#clear APT::Update::Post-Invoke-Success;\n#clear DPkg::Post-Invoke;\n",
        encoding="utf-8",
    )
    return configuration


def _user() -> str:
    return "root" if os.getuid() == 0 else ""


def _apt(
    program: str, configuration: Path, *arguments: str, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program, "-q", "-c", str(configuration), *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=os.environ | {"LC_ALL": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
    )


def candidates(directory: Path, minimum: str) -> list[Candidate]:
    """Kernel sources of at least version `minimum` that the mirror has, newest first; fetches package lists."""
    release = os_release()
    source = main_source(system_sources(), release.get("VERSION_CODENAME", ""))
    found: dict[str, Candidate] = {}
    problems = []
    for suite in suites_to_try(release):
        configuration = write_configuration(source, suite, directory / suite)
        update = _apt("apt-get", configuration, "update", "--error-on=any")
        if update.returncode != 0:
            problems.append(f"{suite}: {(update.stderr.strip().splitlines() or ['no answer'])[0]}")
            continue
        for candidate in _search(configuration, suite):
            if version_key(candidate.upstream) >= version_key(minimum):
                found.setdefault(candidate.upstream, candidate)
    if not found and problems:
        raise GuestError(f"no kernel source >= {minimum} on the system's mirror ({'; '.join(problems)})")
    return sorted(found.values(), key=lambda c: version_key(c.upstream), reverse=True)


def _search(configuration: Path, suite: str) -> Iterator[Candidate]:
    names = _apt("apt-cache", configuration, "search", "--names-only", "^linux-source-[0-9]").stdout
    for package in (line.split(" - ")[0] for line in names.splitlines()):
        if PACKAGE.match(package):
            shown = _apt("apt-cache", configuration, "show", "--no-all-versions", package).stdout
            if version := re.search(r"^Version: (\S+)", shown, re.MULTILINE):
                yield Candidate(package, version[1], suite, configuration)


def download(candidate: Candidate, directory: Path, fraction: Callable[[float], None]) -> Path:
    """Fetch the package into `directory` and return the file; apt checks its signature chain. Raises GuestError."""
    command = [
        "apt-get",
        "-qq",
        "-c",
        str(candidate.configuration),
        "-o",
        "APT::Status-Fd=1",
        "download",
        candidate.package,
    ]
    with subprocess.Popen(
        command, cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout and process.stderr
        for line in process.stdout:
            if found := re.match(r"dlstatus:\d+:([\d.]+):", line):
                fraction(float(found[1]) / 100)
        errors = process.stderr.read()
    files = sorted(directory.glob("*.deb"))
    if process.returncode != 0 or not files:
        raise GuestError(f"cannot download {candidate.package}: {(errors.strip().splitlines() or ['no answer'])[0]}")
    return files[0]
