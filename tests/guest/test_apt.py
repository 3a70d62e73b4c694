"""Where the kernel's source is from: the system's own apt sources, and which version is the newest."""

from __future__ import annotations

from pathlib import Path

import pytest

from dmmlab.guest import apt, cache
from dmmlab.guest.errors import GuestError


def test_one_line_sources_with_and_without_options() -> None:
    text = """
# deb http://commented.example/debian bookworm main
deb http://mirror.example/debian bookworm main contrib # trailing
deb [arch=amd64 signed-by=/usr/share/keyrings/k.gpg] https://other.example/debian bookworm-backports main
deb-src http://mirror.example/debian bookworm main
"""
    assert list(apt.parse_one_line(text)) == [
        apt.Source("http://mirror.example/debian", ("bookworm",), ("main", "contrib")),
        apt.Source(
            "https://other.example/debian", ("bookworm-backports",), ("main",), signed_by="/usr/share/keyrings/k.gpg"
        ),
    ]


def test_deb822_sources_skip_disabled_stanzas_and_source_packages() -> None:
    text = """# a comment
Types: deb deb-src
URIs: http://mirror.example/debian http://second.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Enabled: no
Types: deb
URIs: http://disabled.example/debian
Suites: bookworm
Components: main

Types: deb-src
URIs: http://source.example/debian
Suites: bookworm
Components: main
"""
    sources = list(apt.parse_deb822(text))
    assert [s.uri for s in sources] == ["http://mirror.example/debian", "http://second.example/debian"]
    assert sources[0].suites == ("bookworm", "bookworm-updates")
    assert sources[0].signed_by == "/usr/share/keyrings/debian-archive-keyring.gpg"


def test_deb822_key_inside_the_stanza_is_written_to_a_file(tmp_path: Path) -> None:
    text = (
        "Types: deb\nURIs: http://m.example/debian\nSuites: trixie\nComponents: main\nSigned-By:\n"
        " -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc\n -----END PGP PUBLIC KEY BLOCK-----\n"
    )
    (source,) = apt.parse_deb822(text)
    apt.write_configuration(source, "trixie", tmp_path)
    key = (tmp_path / "key.asc").read_text()
    assert key.splitlines()[1] == "" and key.endswith("-----END PGP PUBLIC KEY BLOCK-----\n")
    assert f"signed-by={tmp_path}/key.asc" in (tmp_path / "sources.list").read_text()


def test_the_distributions_own_mirror_is_found_among_others() -> None:
    sources = [
        apt.Source("http://vendor.example/apt", ("stable",), ("nightly",)),
        apt.Source("http://m.example/debian-security", ("bookworm-security",), ("main",)),
        apt.Source("http://m.example/debian", ("bookworm", "bookworm-updates"), ("main",)),
    ]
    assert apt.main_source(sources, "bookworm").uri == "http://m.example/debian"
    with pytest.raises(GuestError, match="--source PATH"):
        apt.main_source(sources[:2], "bookworm")


def test_system_sources_reads_both_notations_and_ignores_other_files(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list").write_text("deb http://a.example/debian bookworm main\n")
    (tmp_path / "sources.list.d" / "b.sources").write_text(
        "Types: deb\nURIs: http://b.example/debian\nSuites: bookworm\nComponents: main\n"
    )
    (tmp_path / "sources.list.d" / "c.list.disabled").write_text("deb http://c.example/debian bookworm main\n")
    assert [s.uri for s in apt.system_sources(tmp_path)] == ["http://a.example/debian", "http://b.example/debian"]


def test_suites_are_the_systems_own_and_on_debian_the_newer_backports() -> None:
    assert apt.suites_to_try({"ID": "debian", "VERSION_CODENAME": "bookworm"}) == [
        "bookworm",
        "bookworm-backports",
        "trixie-backports",
    ]
    assert apt.suites_to_try({"ID": "debian", "VERSION_CODENAME": "trixie"}) == ["trixie", "trixie-backports"]
    assert apt.suites_to_try({"ID": "ubuntu", "VERSION_CODENAME": "noble"}) == ["noble", "noble-backports"]


def test_configuration_keeps_apt_inside_its_directory(tmp_path: Path) -> None:
    configuration = apt.write_configuration(
        apt.Source("http://m.example", ("x",), ("main",)), "x", tmp_path
    ).read_text()
    for key in ("Dir::Etc::SourceList", "Dir::State::Lists", "Dir::State::status", "Dir::Cache"):
        line = next(line for line in configuration.splitlines() if line.startswith(f"{key} "))
        assert str(tmp_path) in line
    assert "proxy" not in configuration.lower()  # the system's own stays in force


def test_versions_sort_by_number_and_lose_the_packaging() -> None:
    newest = sorted(["7.9.1", "7.10", "6.16.3", "7.9"], key=cache.version_key, reverse=True)
    assert newest == ["7.10", "7.9.1", "7.9", "6.16.3"]
    assert apt.Candidate("linux-source-7.2", "7.2.12-1~bpo13+1", "s", Path("c")).upstream == "7.2.12"
    assert apt.PACKAGE.match("linux-source-7.2") and not apt.PACKAGE.match("linux-source-7.2-rt")
