"""OMS statements and signed folders: what they say, what they refuse, what no change escapes."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import socket
import tempfile
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teapot.bundle import Bundle
from teapot.errors import DataError, OutputError
from teapot.model.verification import CheckResult, Status
from teapot.model_signing import (
    DEFAULT_IGNORED,
    FolderStatement,
    FolderStatementError,
)
from teapot.names import path_fault
from teapot.signed_folder import check_folder, key_hint, sign_folder
from teapot.signing import PrivateKey

KEY = PrivateKey.generate()
CONFIG = hashlib.sha256(b"{}").hexdigest()
WEIGHTS = hashlib.sha256(b"weights").hexdigest()
ROOT = hashlib.sha256(bytes.fromhex(CONFIG) + bytes.fromhex(WEIGHTS)).hexdigest()


def statement_values() -> dict[str, Any]:
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "sample", "digest": {"sha256": ROOT}}],
        "predicateType": "https://model_signing/signature/v1.0",
        "predicate": {
            "serialization": {
                "method": "files",
                "hash_type": "sha256",
                "allow_symlinks": False,
                "ignore_paths": [".git", "model.sig"],
            },
            "resources": [
                {"name": "config.json", "algorithm": "sha256", "digest": CONFIG},
                {"name": "sub/weights.bin", "algorithm": "sha256", "digest": WEIGHTS},
            ],
        },
    }


def parse(values: object) -> FolderStatement:
    return FolderStatement.parse(json.dumps(values).encode())


def signed_statement(folder: Path) -> FolderStatement:
    """Return what `model.sig` says, after checking that the key has signed it."""
    bundle = Bundle.parse((folder / "model.sig").read_bytes())
    assert KEY.public.has_signed(bundle.message, bundle.signature)
    return FolderStatement.parse(bundle.payload)


def by_name(results: list[CheckResult]) -> dict[str, CheckResult]:
    return {result.name: result for result in results}


def files_result(folder: Path) -> CheckResult:
    return by_name(check_folder(folder, signed_statement(folder)))["folder files"]


def write_files(folder: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "sample"
    files = {"config.json": b"{}", "sub/weights.bin": b"weights", ".hidden/x": b"", ".env": b"A=1"}
    write_files(root, files)
    return root


# --- the statement ------------------------------------------------------------------------------


def test_statement_says_what_the_format_asks_for() -> None:
    statement = FolderStatement(
        name="sample", resources=(("config.json", CONFIG), ("sub/weights.bin", WEIGHTS))
    )
    values = statement_values()
    values["predicate"]["serialization"]["ignore_paths"] = [
        ".git", ".gitattributes", ".github", ".gitignore", "model.sig",
    ]  # fmt: skip
    assert json.loads(statement.to_bytes()) == values
    assert parse(values) == statement


def test_root_is_over_digests_in_the_order_of_the_statement() -> None:
    # The reference tool puts a/x before a-b/x, though OMS §5.2.1 sorts them the other way round.
    values = statement_values()
    resources = values["predicate"]["resources"]
    resources[0]["name"], resources[1]["name"] = "a/x", "a-b/x"
    statement = parse(values)
    assert [name for name, _ in statement.resources] == ["a/x", "a-b/x"]
    assert FolderStatement.parse(statement.to_bytes()) == statement
    resources.reverse()
    with pytest.raises(FolderStatementError, match="root digest"):
        parse(values)


def test_statement_without_ignore_paths_ignores_nothing_of_its_own() -> None:
    values = statement_values()
    del values["predicate"]["serialization"]["ignore_paths"]
    assert parse(values).ignored == ()


def test_unknown_keys_of_resources_and_subject_are_skipped() -> None:
    values = statement_values()
    values["predicate"]["resources"][0]["mediaType"] = "application/json"
    values["subject"][0]["annotations"] = {"a": 1}
    assert parse(values) == parse(statement_values())


def set_at(*path: str | int, to: object) -> Callable[[dict[str, Any]], None]:
    def change(values: Any) -> None:
        for step in path[:-1]:
            values = values[step]
        values[path[-1]] = to

    change.__name__ = f"{path[-1]}={to!r}"[:60]
    return change


def drop(*path: str | int) -> Callable[[dict[str, Any]], None]:
    def change(values: Any) -> None:
        for step in path[:-1]:
            values = values[step]
        del values[path[-1]]

    change.__name__ = f"no {path[-1]}"
    return change


SERIALIZATION = ("predicate", "serialization")
FIRST = ("predicate", "resources", 0)

REFUSED = [
    (set_at("_type", to="https://in-toto.io/Statement/v0.1"), "expected 'https://in-toto.io/S"),
    (drop("_type"), "has no _type"),
    (set_at("predicateType", to="https://model_signing/Digests/v0.1"), "/signature/v1.0'"),
    (set_at("extra", to=1), "has the key 'extra' in the statement"),
    (set_at("subject", to=[]), "has 0 subjects, expected exactly one"),
    (set_at("subject", to=statement_values()["subject"] * 2), "has 2 subjects"),
    (set_at("subject", to={}), "has an object as subject, expected a list"),
    (set_at("subject", 0, "name", to=""), "expected a printable name"),
    (set_at("subject", 0, "name", to="a\x1b[2J"), "expected a printable name"),
    (set_at("subject", 0, "name", to=None), "has null as the subject's name"),
    (set_at("subject", 0, "digest", to={}), "has null as the subject's sha256"),
    (set_at("subject", 0, "digest", "md5", to="0" * 32), "has the key 'md5'"),
    (set_at("subject", 0, "digest", "sha256", to=ROOT[:-1] + "x"), f"expected {ROOT}"),
    (set_at("subject", 0, "digest", "sha256", to=ROOT.upper()), f"expected {ROOT}"),
    (set_at("subject", 0, "digest", "sha256", to=""), f"expected {ROOT}"),
    (set_at("predicate", to=[]), "has a list as predicate, expected an object"),
    (set_at("predicate", "extra", to=1), "has the key 'extra' in predicate"),
    (drop(*SERIALIZATION), "has null as serialization, expected an object"),
    (set_at(*SERIALIZATION, "method", to="shards"), "has the method 'shards'"),
    (drop(*SERIALIZATION, "method"), "has no method in serialization, expected 'files'"),
    (set_at(*SERIALIZATION, "hash_type", to="blake3"), "has the hash_type 'blake3'"),
    (set_at(*SERIALIZATION, "allow_symlinks", to=True), "has the allow_symlinks True"),
    (set_at(*SERIALIZATION, "allow_symlinks", to=0), "has the allow_symlinks 0"),
    (set_at(*SERIALIZATION, "allow_symlinks", to="false"), "has the allow_symlinks 'false'"),
    (drop(*SERIALIZATION, "allow_symlinks"), "has no allow_symlinks"),
    (set_at(*SERIALIZATION, "shard_size", to=1), "has the key 'shard_size' in serialization"),
    (set_at(*SERIALIZATION, "ignore_paths", to="model.sig"), "has text as ignore_paths"),
    (set_at(*SERIALIZATION, "ignore_paths", to=[1]), "has a number as a path of ignore_paths"),
    (set_at(*SERIALIZATION, "ignore_paths", to=["."]), "ignores '.', which has the segment"),
    (set_at(*SERIALIZATION, "ignore_paths", to=["../x"]), "ignores '../x', which has"),
    (set_at(*SERIALIZATION, "ignore_paths", to=[".git/"]), "which has an empty segment"),
    (set_at(*SERIALIZATION, "ignore_paths", to=["*.bin"]), "expected a path, no pattern"),
    (set_at(*SERIALIZATION, "ignore_paths", to=["a", "a"]), "ignores 'a' twice"),
    (set_at(*SERIALIZATION, "ignore_paths", to=["config.json"]), "lists 'config.json' and ignores"),
    (set_at(*SERIALIZATION, "ignore_paths", to=["sub"]), "weights.bin' and ignores 'sub'"),
    (set_at("predicate", "resources", to=[]), "lists no file, expected at least one"),
    (set_at("predicate", "resources", to={}), "has an object as resources"),
    (set_at(*FIRST, to="config.json"), "has text as a resource, expected an object"),
    (drop(*FIRST, "name"), "has null as a resource's name"),
    (set_at(*FIRST, "name", to="sub/weights.bin"), "lists 'sub/weights.bin' twice"),
    (drop(*FIRST, "algorithm"), "has no algorithm in the resource 'config.json'"),
    (set_at(*FIRST, "algorithm", to="md5"), "has the algorithm 'md5'"),
    (set_at(*FIRST, "algorithm", to="SHA256"), "has the algorithm 'SHA256'"),
    (drop(*FIRST, "digest"), "has null as the digest of 'config.json'"),
    (set_at(*FIRST, "digest", to=""), "the digest '', expected 64 lower-case hex digits"),
    (set_at(*FIRST, "digest", to=CONFIG[:32]), "expected 64 lower-case hex digits"),
    (set_at(*FIRST, "digest", to=CONFIG.upper()), "expected 64 lower-case hex digits"),
    (set_at(*FIRST, "digest", to=CONFIG + "\n"), "expected 64 lower-case hex digits"),
    (set_at(*FIRST, "digest", to=CONFIG[:-1] + "٣"), "expected 64 lower-case hex digits"),
    (set_at(*FIRST, "digest", to=WEIGHTS), "has the root digest"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "told"), REFUSED, ids=[change.__name__ for change, _ in REFUSED]
)
def test_altered_statement_is_refused_with_what_was_found(
    change: Callable[[dict[str, Any]], None], told: str
) -> None:
    values = statement_values()
    change(values)
    with pytest.raises(FolderStatementError) as caught:
        parse(values)
    assert told in str(caught.value)


@pytest.mark.parametrize("payload", [b"", b"[]", b"{", b'{"_type":1,"_type":1}', b"\xff", b"null"])
def test_payload_that_is_no_strict_object_is_refused(payload: bytes) -> None:
    with pytest.raises(FolderStatementError):
        FolderStatement.parse(payload)


UNSAFE_NAMES = {
    "": "is empty",
    "/etc/passwd": "is absolute",
    "//host/share": "is absolute",
    "..": "has the segment . or ..",
    "a/../../b": "has the segment . or ..",
    "./a": "has the segment . or ..",
    "a/.": "has the segment . or ..",
    "a//b": "has an empty segment",
    "a/": "has an empty segment",
    "a\\b": "has a backslash",
    "C:": "begins with a drive letter",
    "c:/x": "begins with a drive letter",
    "C:x": "begins with a drive letter",
    "a\0b": "has a control character",
    "a\nb": "has a control character",
    "a\x7f": "has a control character",
    "a\x9b1m": "has a control character",
    "e\u0301": "is not in Unicode's form NFC",
    "\udc80": "is not UTF-8",
    "a/" * 2100 + "a": "has more than 4,096 characters",
}


@pytest.mark.parametrize("name", UNSAFE_NAMES, ids=lambda name: ascii(name)[:20])
def test_unsafe_name_is_refused_wherever_it_stands(name: str) -> None:
    assert path_fault(name) == UNSAFE_NAMES[name]
    with pytest.raises(FolderStatementError, match="expected a relative path"):
        FolderStatement(name="x", resources=((name, CONFIG),))
    with pytest.raises(FolderStatementError, match="expected a relative path"):
        FolderStatement(name="x", resources=(("a", CONFIG),), ignored=(name,))


@pytest.mark.parametrize(
    "name", ["a", ".hidden", "...", "a b", "a/b.c", "xy:z", "é", "模型.bin", "~"]
)
def test_ordinary_name_is_safe(name: str) -> None:
    assert path_fault(name) is None


# --- signing ------------------------------------------------------------------------------------


def test_signed_folder_verifies_and_covers_hidden_files(folder: Path) -> None:
    assert sign_folder(folder, KEY) == folder / "model.sig"
    statement = signed_statement(folder)
    assert [name for name, _ in statement.resources] == [
        ".env", ".hidden/x", "config.json", "sub/weights.bin",
    ]  # fmt: skip
    assert statement.name == "sample"
    assert statement.ignored == DEFAULT_IGNORED
    results = check_folder(folder, statement, must_cover=["config.json", "sub/weights.bin"])
    assert [(result.name, result.status) for result in results] == [
        ("folder files", Status.OK),
        ("folder coverage", Status.OK),
    ]


def test_files_are_sorted_by_code_point_of_the_whole_name(tmp_path: Path) -> None:
    write_files(tmp_path, {"a/x": b"1", "a-b/x": b"2", "a.txt": b"3", "B": b"4", "é": b"5"})
    sign_folder(tmp_path, KEY)
    names = [name for name, _ in signed_statement(tmp_path).resources]
    assert names == ["B", "a-b/x", "a.txt", "a/x", "é"]


def test_bundle_names_the_key_as_other_tools_expect(folder: Path) -> None:
    bundle = Bundle.parse(sign_folder(folder, KEY).read_bytes())
    assert bundle.hint == hashlib.sha256(KEY.public.to_pem()).hexdigest() == key_hint(KEY.public)


def test_signing_again_replaces_the_signature_and_does_not_sign_it(folder: Path) -> None:
    sign_folder(folder, KEY)
    (folder / "config.json").write_bytes(b"[]")
    assert files_result(folder).status is Status.FAULT
    sign_folder(folder, KEY)
    assert files_result(folder).status is Status.OK
    assert "model.sig" not in dict(signed_statement(folder).resources)


def test_only_the_top_most_names_of_git_are_left_out(folder: Path) -> None:
    others = {".git/config": b"", ".gitignore": b"", "sub/.git/x": b"1", "sub/model.sig": b"2"}
    write_files(folder, {**others, ".gitmodules": b"3"})
    sign_folder(folder, KEY)
    names = dict(signed_statement(folder).resources).keys()
    assert names >= {"sub/.git/x", "sub/model.sig", ".gitmodules"}
    assert not names & {".git/config", ".gitignore"}


@pytest.mark.parametrize("names", [[], [".git/config", "model.sig", ".gitattributes"]])
def test_folder_without_a_file_to_sign_is_refused(tmp_path: Path, names: list[str]) -> None:
    write_files(tmp_path, dict.fromkeys(names, b"x"))
    with pytest.raises(DataError, match="holds no file to sign"):
        sign_folder(tmp_path, KEY)


@pytest.mark.parametrize("make", [Path.touch, lambda path: None], ids=["file", "nothing"])
def test_what_is_no_folder_is_refused(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "x")
    with pytest.raises(DataError, match="cannot be read"):
        sign_folder(tmp_path / "x", KEY)


def test_every_link_special_file_and_unsafe_name_is_named_and_nothing_written(folder: Path) -> None:
    (folder / "link").symlink_to("config.json")
    (folder / "sub" / "loop").symlink_to("..")
    (folder / ".hidden" / "broken").symlink_to("nowhere")
    os.mkfifo(folder / "pipe")
    (folder / "back\\slash").touch()
    (folder / unicodedata.normalize("NFD", "é")).touch()
    with pytest.raises(DataError) as caught:
        sign_folder(folder, KEY)
    told = str(caught.value)
    for expected in (
        "link: is a symbolic link",
        "loop: is a symbolic link",
        "broken: is a symbolic link",
        "pipe: is a special file",
        r"whose name has a backslash: 'back\\slash'",
        r"whose name is not in Unicode's form NFC: 'e\u0301'",
    ):
        assert expected in told
    assert len(caught.value.problems) == 6
    assert not (folder / "model.sig").exists()


def test_signature_that_is_a_folder_is_refused(folder: Path) -> None:
    write_files(folder, {"model.sig/x": b""})
    with pytest.raises(DataError, match="is a folder, expected a signature"):
        sign_folder(folder, KEY)


def test_failed_write_keeps_the_old_signature_and_leaves_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sign_folder(folder, KEY).read_bytes()
    listed = sorted(folder.iterdir())

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    (folder / "config.json").write_bytes(b"[]")
    with pytest.raises(OutputError, match=r"model\.sig: cannot be written: No space"):
        sign_folder(folder, KEY)
    assert (folder / "model.sig").read_bytes() == before
    assert sorted(folder.iterdir()) == listed


@contextmanager
def unreadable(name: str) -> Iterator[None]:
    """Let nobody list folders of a name; permissions would not stop a test that runs as root."""
    real = os.scandir

    def refusing(path: Any = ".") -> Any:
        if Path(path).name == name:
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "scandir", refusing)
        yield


def test_folder_that_cannot_be_listed_is_never_passed_over(folder: Path) -> None:
    with unreadable("sub"), pytest.raises(DataError, match="cannot be read: Permission denied"):
        sign_folder(folder, KEY)
    sign_folder(folder, KEY)
    with unreadable(".hidden"):
        result = files_result(folder)
    assert result.status is Status.FAULT
    assert ".hidden/ cannot be read: Permission denied" in result.details


# --- checking -----------------------------------------------------------------------------------

SEGMENTS = st.text("abAB.-_ [é模", min_size=1, max_size=5).filter(lambda name: name.strip("."))
NAMES = st.lists(SEGMENTS, min_size=1, max_size=3).map("/".join)


def fit_together(names: list[str]) -> bool:
    """Tell whether no name is both a file and a folder."""
    return not any(one.startswith(f"{other}/") for one in names for other in names)


TREES = st.dictionaries(NAMES, st.binary(max_size=40), min_size=1, max_size=6).filter(
    lambda tree: fit_together(list(tree))
)


@contextmanager
def signed_tree(files: dict[str, bytes]) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root) / "model"
        write_files(folder, files)
        sign_folder(folder, KEY)
        yield folder


@given(TREES)
def test_any_signed_tree_verifies(files: dict[str, bytes]) -> None:
    with signed_tree(files) as folder:
        assert dict(signed_statement(folder).resources).keys() == files.keys()
        results = check_folder(folder, signed_statement(folder), must_cover=files)
        assert {result.status for result in results} == {Status.OK}


@given(TREES, st.data())
def test_any_changed_byte_of_any_file_is_noticed(
    files: dict[str, bytes], data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from(sorted(files)))
    content = bytearray(files[name])
    place = data.draw(st.integers(0, len(content)))
    if place == len(content):
        content.append(data.draw(st.integers(0, 255)))
    elif data.draw(st.booleans()):
        del content[place]
    else:
        content[place] ^= data.draw(st.integers(1, 255))
    with signed_tree(files) as folder:
        (folder / name).write_bytes(content)
        result = files_result(folder)
    assert (result.status, result.found) == (Status.FAULT, "1 altered")
    found = hashlib.sha256(content).hexdigest()
    expected = hashlib.sha256(files[name]).hexdigest()
    assert result.details == (f"{name} has the SHA-256 {found}, expected {expected}",)


@given(TREES, NAMES, st.data())
def test_any_renamed_added_or_removed_file_is_noticed(
    files: dict[str, bytes], other: str, data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from(sorted(files)))
    how = data.draw(st.sampled_from(["rename", "add", "remove"]))
    if not fit_together([*files, other]) or other in files:
        how = "remove"
    with signed_tree(files) as folder:
        if how == "add":
            write_files(folder, {other: b""})
        elif how == "rename":
            (folder / other).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).rename(folder / other)
        else:
            (folder / name).unlink()
        result = files_result(folder)
    found = {"add": "1 added", "rename": "1 added, 1 missing", "remove": "1 missing"}
    assert (result.status, result.found) == (Status.FAULT, found[how])


def test_swapped_files_are_both_altered(folder: Path) -> None:
    sign_folder(folder, KEY)
    (folder / "config.json").rename(folder / "x")
    (folder / "sub/weights.bin").rename(folder / "config.json")
    (folder / "x").rename(folder / "sub/weights.bin")
    assert files_result(folder).found == "2 altered"


def put_link(folder: Path) -> None:
    (folder / "config.json").unlink()
    (folder / "twin").write_bytes(b"{}")
    (folder / "config.json").symlink_to("twin")


def put_linked_folder(folder: Path) -> None:
    (folder / "sub").rename(folder.parent / "elsewhere")
    (folder / "sub").symlink_to(folder.parent / "elsewhere")


def put_link_in_git(folder: Path) -> None:
    (folder / ".git").mkdir()
    (folder / ".git" / "hooks").symlink_to(folder.parent)


def put_pipe(folder: Path) -> None:
    os.mkfifo(folder / "config.json.pipe")


def put_socket(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one, pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)  # a socket's path may have about 100 bytes only
        one.bind("s")


@pytest.mark.parametrize(
    ("change", "found", "told"),
    [
        (put_link, "1 added, 1 refused", "config.json is a symbolic link, expected a file"),
        (put_linked_folder, "1 missing, 1 refused", "sub is a symbolic link, expected a file"),
        (put_link_in_git, "1 refused", ".git/hooks is a symbolic link, expected a file"),
        (put_pipe, "1 refused", "config.json.pipe is a special file, expected a regular one"),
        (put_socket, "1 refused", "s is a special file, expected a regular one"),
    ],
)
def test_links_and_special_files_are_faults(
    folder: Path, change: Callable[[Path], None], found: str, told: str
) -> None:
    sign_folder(folder, KEY)
    change(folder)
    result = files_result(folder)
    assert (result.status, result.found) == (Status.FAULT, found)
    assert told in result.details


def test_only_the_first_ten_faults_are_listed_and_the_rest_counted(folder: Path) -> None:
    sign_folder(folder, KEY)
    write_files(folder, {f"new-{number:02}": b"" for number in range(13)})
    result = files_result(folder)
    assert result.found == "13 added"
    assert result.details[:2] == (
        "new-00 is not in the signature",
        "new-01 is not in the signature",
    )
    assert result.details[10:] == ("… and 3 more",)


def test_name_that_moves_the_cursor_is_shown_escaped(folder: Path) -> None:
    sign_folder(folder, KEY)
    (folder / "a\x1b[2Jb").touch()
    (folder / os.fsdecode(b"\xff")).touch()
    assert files_result(folder).details == (
        r"'a\x1b[2Jb' is not in the signature",
        r"'\udcff' is not in the signature",
    )


# --- what the signature leaves out ----------------------------------------------------------------


def careless_statement(folder: Path, *ignored: str) -> FolderStatement:
    """Return what a signer says who tells the verifier to ignore more than the format does."""
    sign_folder(folder, KEY)
    honest = signed_statement(folder)
    kept = tuple(
        (name, digest)
        for name, digest in honest.resources
        if not any(name == path or name.startswith(f"{path}/") for path in ignored)
    )
    said = FolderStatement(name="sample", resources=kept, ignored=(*DEFAULT_IGNORED, *ignored))
    return FolderStatement.parse(said.to_bytes())


def test_ignored_file_that_must_be_covered_is_a_fault(folder: Path) -> None:
    statement = careless_statement(folder, "sub")
    (folder / "sub/weights.bin").write_bytes(b"evil")
    results = by_name(
        check_folder(folder, statement, must_cover=["config.json", "sub/weights.bin"])
    )
    assert results["folder files"].status is Status.OK
    assert results["folder coverage"].status is Status.FAULT
    assert results["folder coverage"].details == (
        "sub/weights.bin is ignored by the signature (ignore_paths: sub)",
    )


def test_ignored_path_below_the_top_is_heeded_and_its_neighbour_is_not(folder: Path) -> None:
    write_files(folder, {"sub/deep/a": b"", "sub/deeper": b"", "deep/a": b""})
    statement = careless_statement(folder, "sub/deep")
    (folder / "sub/deep/a").write_bytes(b"changed")
    files, coverage, left_out = check_folder(folder, statement, must_cover=["sub/deep/a"])
    assert (files.status, coverage.status) == (Status.OK, Status.FAULT)
    assert left_out.details == ("sub/deep/a is ignored by the signature (ignore_paths: sub/deep)",)
    with pytest.raises(FolderStatementError, match="lists 'sub/deep/a' and ignores 'sub/deep'"):
        FolderStatement(name="x", resources=(("sub/deep/a", CONFIG),), ignored=("sub/deep",))


def test_file_that_must_be_covered_but_is_not_listed_is_a_fault(folder: Path) -> None:
    sign_folder(folder, KEY)
    result = by_name(
        check_folder(folder, signed_statement(folder), must_cover=["config.json", "train.jsonl"])
    )["folder coverage"]
    assert (result.status, result.details) == (
        Status.FAULT,
        ("train.jsonl is not in the signature",),
    )


@pytest.mark.parametrize("name", ["model.sig", ".gitignore", "../config.json", "Config.json"])
def test_file_that_no_signature_covers_is_never_called_covered(folder: Path, name: str) -> None:
    write_files(folder, {".gitignore": b""})
    sign_folder(folder, KEY)
    results = by_name(check_folder(folder, signed_statement(folder), must_cover=[name]))
    assert results["folder coverage"].status is Status.FAULT


def test_without_a_list_of_files_coverage_is_not_claimed(folder: Path) -> None:
    sign_folder(folder, KEY)
    results = by_name(check_folder(folder, signed_statement(folder)))
    assert results["folder coverage"].status is Status.SKIPPED


def test_what_the_signature_leaves_out_is_noted(folder: Path) -> None:
    statement = careless_statement(folder, "sub", "gone")
    write_files(folder, {".git/a": b"", ".git/b/c": b"", ".gitignore": b"", "sub/.git/x": b""})
    result = by_name(check_folder(folder, statement))["folder not covered"]
    assert result.status is Status.NOTE
    assert result.found == "5 files that the signature leaves out"
    assert result.details == (
        "sub/.git/x is ignored by the signature (ignore_paths: sub)",
        "sub/weights.bin is ignored by the signature (ignore_paths: sub)",
        ".git is ignored by the format: 2 files",
        ".gitignore is ignored by the format: 1 file",
    )


def test_files_in_a_folder_called_like_the_signature_do_not_hide(folder: Path) -> None:
    statement = careless_statement(folder)
    (folder / "model.sig").unlink()
    write_files(folder, {"model.sig/code.py": b""})
    result = by_name(check_folder(folder, statement))["folder not covered"]
    assert result.details == (
        "model.sig/code.py is ignored by the signature (ignore_paths: model.sig)",
    )


def test_signed_file_of_git_is_checked_although_the_format_ignores_it(folder: Path) -> None:
    digest = hashlib.sha256(b"*.bin").hexdigest()
    sign_folder(folder, KEY)
    resources = ((".gitignore", digest), *signed_statement(folder).resources)
    statement = FolderStatement(name="sample", resources=resources, ignored=("model.sig",))
    write_files(folder, {".gitignore": b"*.bin"})
    assert [result.status for result in check_folder(folder, statement)] == [
        Status.OK,
        Status.SKIPPED,
    ]
    write_files(folder, {".gitignore": b"*.sig"})
    assert check_folder(folder, statement)[0].found == "1 altered"
