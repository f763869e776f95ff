"""`teapot trust`: what each command prints and writes, and which requests it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from teapot.keys import KeyStore
from teapot.trustfile import load_trust
from tests.support.keys import key
from tests.support.machine import listing, new_machine, said

Capture = pytest.CaptureFixture[str]
ALICE, BOB = key(1).public, key(2).public
PROJECT = "teapot.allowed_signers"


@pytest.fixture(autouse=True)
def config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A project to stand in, with the public keys of two people; and the user's configuration."""
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.chdir(project)
    Path("alice.pub").write_text(f"{ALICE.ssh} alice@laptop\n")
    Path("bob.pem").write_bytes(BOB.to_pem())
    return new_machine(monkeypatch, tmp_path)


def lay(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def refused(capsys: Capture, *arguments: str | Path) -> str:
    """Return what is said to a command that must be refused as wrong usage."""
    code, out, err = said(capsys, "trust", *arguments)
    assert (code, out) == (2, "")
    return err


# --- add -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("where", "arguments"),
    [
        ("user", []),
        (PROJECT, ["--project"]),
        ("team/signers", ["--file", "team/signers"]),
    ],
    ids=["user", "project", "file"],
)
def test_key_is_trusted_in_the_file_that_is_named(
    capsys: Capture, config: Path, where: str, arguments: list[str]
) -> None:
    path = config / "allowed_signers" if where == "user" else Path(where)
    told = f"{ALICE.fingerprint} is trusted as alice@example.com in {path}\n"
    command = ["add", "alice@example.com", "alice.pub", *arguments]
    assert said(capsys, "trust", *command) == (0, told, "")
    assert path.read_text() == f'alice@example.com namespaces="teapot" {ALICE.ssh}\n'
    written = [*listing(config), *listing(Path())]
    assert sorted(written) == sorted([path.name if where == "user" else where, *_KEYS])


_KEYS = ["alice.pub", "bob.pem"]


def test_limits_stand_in_the_line(capsys: Capture, config: Path) -> None:
    code, out, _ = said(
        capsys, "trust", "add", "bob", "bob.pem", "--namespaces", "teapot,git",
        "--valid-after", "20240102Z", "--valid-before", "20250203040506Z", "--json",
    )  # fmt: skip
    path = config / "allowed_signers"
    assert code == 0
    assert json.loads(out) == {
        "file": str(path),
        "principals": "bob",
        "fingerprint": BOB.fingerprint,
        "namespaces": "teapot,git",
        "where": None,
        "valid_after": "2024-01-02T00:00:00+00:00",
        "valid_before": "2025-02-03T04:05:06+00:00",
    }
    limits = 'namespaces="teapot,git",valid-after="20240102000000Z",valid-before="20250203040506Z"'
    assert path.read_text() == f"bob {limits} {BOB.ssh}\n"
    (found,) = load_trust().keys
    assert found.valid_before is not None
    assert found.valid_before.isoformat() == "2025-02-03T04:05:06+00:00"


@pytest.mark.parametrize("option", ["--valid-after", "--valid-before"])
@pytest.mark.parametrize(
    ("time", "told"),
    [
        ("", "is not YYYYMMDD[HHMM[SS]][Z]"),
        ("2024", "is not YYYYMMDD[HHMM[SS]][Z]"),
        ("2024-01-02", "is not YYYYMMDD[HHMM[SS]][Z]"),
        ("20240102T0304", "is not YYYYMMDD[HHMM[SS]][Z]"),
        ("2024010203", "is not YYYYMMDD[HHMM[SS]][Z]"),
        ("20240102 ", "is not YYYYMMDD[HHMM[SS]][Z]"),
        ("tomorrow", "is not YYYYMMDD[HHMM[SS]][Z]"),
        ("20241301Z", "is on no calendar"),
        ("20230229", "is on no calendar"),
        ("202401022460Z", "is on no calendar"),
        ("19700101Z", "is not after 1970-01-01, ssh-keygen refuses it"),
    ],
)
def test_time_that_is_none_is_refused(
    capsys: Capture, config: Path, option: str, time: str, told: str
) -> None:
    err = refused(capsys, "add", "alice", "alice.pub", option, time)
    assert err == f"error: the time {time!r} {told}\n"
    assert not config.exists()


@pytest.mark.parametrize("before", ["20240101Z", "20240102Z"], ids=["before", "same"])
def test_time_that_ends_before_it_begins_is_refused(
    capsys: Capture, config: Path, before: str
) -> None:
    times = ["--valid-after", "20240102Z", "--valid-before", before]
    assert refused(capsys, "add", "alice", "alice.pub", *times) == (
        "error: --valid-after is not before --valid-before: the key would never be valid\n"
    )
    assert not config.exists()


@pytest.mark.parametrize("principal", ["", "a b", "#alice", 'a"b', "a\tb", "a\nb", "a\x1b[2J"])
def test_principal_that_would_break_its_line_is_refused(
    capsys: Capture, config: Path, principal: str
) -> None:
    err = refused(capsys, "add", principal, "alice.pub")
    assert "is no principal, expected a name without spaces, such as alice@example.com" in err
    assert "\x1b" not in err
    assert not config.exists()


@pytest.mark.parametrize(
    ("namespaces", "told"),
    [
        ("", "--namespaces is empty; say what the key may sign, or * for everything"),
        ('a"b', "a line break or a quote cannot stand in a line of a trust file"),
        ("a\nb", "a line break or a quote cannot stand in a line of a trust file"),
        ("a\\", "a line break or a quote cannot stand in a line of a trust file"),
    ],
)
def test_namespaces_that_would_break_their_line_are_refused(
    capsys: Capture, config: Path, namespaces: str, told: str
) -> None:
    err = refused(capsys, "add", "alice", "alice.pub", "--namespaces", namespaces)
    assert err == f"error: {told}\n"
    assert not config.exists()


def test_line_that_stands_already_is_refused_and_another_for_the_key_is_not(
    capsys: Capture, config: Path
) -> None:
    path = lay(config / "allowed_signers", f'alice namespaces="teapot" {ALICE.ssh} by hand')
    before = path.read_bytes()
    assert refused(capsys, "add", "alice", "alice.pub") == (
        f"error: {path}: trusts this key as alice already\n"
    )
    assert path.read_bytes() == before
    assert said(capsys, "trust", "add", "alice@work", "alice.pub")[0] == 0
    assert said(capsys, "trust", "add", "alice", "alice.pub", "--valid-after", "20240101Z")[0] == 0
    assert [one.principals for one in load_trust().keys] == ["alice", "alice@work", "alice"]


@pytest.mark.parametrize("own", [True, False])
def test_revoked_key_is_not_said_to_be_trusted(capsys: Capture, config: Path, own: bool) -> None:
    gone = lay(config / "revoked_keys" if own else Path("teapot.revoked_keys"), ALICE.ssh)
    flags = [] if own else ["--project"]
    assert refused(capsys, "add", "alice", "alice.pub", *flags) == (
        f"error: {ALICE.fingerprint}: was revoked in {gone}:1; nobody believes it while that line "
        "stands\n"
    )
    assert load_trust().keys == ()


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (
            lambda path: path.write_bytes(key(1).to_pem()),
            "is a private key: keep it to yourself; expected a public one",
        ),
        (
            lambda path: path.write_text("garbage"),
            "is no public key, expected PEM or an OpenSSH line",
        ),
        (lambda path: None, "cannot be read: No such file or directory"),
    ],
    ids=["private", "garbage", "missing"],
)
def test_file_without_a_public_key_is_refused(
    capsys: Capture, config: Path, make: Callable[[Path], object], told: str
) -> None:
    make(Path("key"))
    assert refused(capsys, "add", "alice", "key") == f"error: key: {told}\n"
    assert not config.exists()


def test_broken_trust_file_is_not_added_to(capsys: Capture, config: Path) -> None:
    path = lay(config / "allowed_signers", "nonsense", f"bob {BOB.ssh}", "more")
    err = refused(capsys, "add", "alice", "alice.pub")
    assert [line.partition(": ")[2].partition(": ")[0] for line in err.splitlines()] == [
        f"{path}:1", f"{path}:3",
    ]  # fmt: skip
    assert path.read_text() == f"nonsense\nbob {BOB.ssh}\nmore\n"


@pytest.mark.parametrize(
    "command",
    [["add", "alice", "alice.pub"], ["revoke", "alice"], ["remove", "alice"]],
    ids=["add", "revoke", "remove"],
)
def test_one_file_is_meant_not_two(capsys: Capture, config: Path, command: list[str]) -> None:
    assert refused(capsys, *command, "--project", "--file", "x") == (
        "error: --project and --file exclude each other\n"
    )
    assert not config.exists()


# --- list ----------------------------------------------------------------------------------------


def test_list_says_how_to_make_the_first_file(capsys: Capture) -> None:
    told = "no trust file yet; `teapot trust add PRINCIPAL PUBLIC_KEY` makes one\n"
    assert said(capsys, "trust", "list") == (0, told, "")
    empty = {"files": [], "keys": [], "identities": [], "authorities": [], "revoked": []}
    assert json.loads(said(capsys, "trust", "list", "--json")[1]) == empty


def test_list_shows_all_that_is_believed_and_its_limits(capsys: Capture, config: Path) -> None:
    own = lay(
        config / "allowed_signers",
        f"self {ALICE.ssh}",
        f'self namespaces="git",valid-after="20240101Z",valid-before="20250101Z" {ALICE.ssh}',
        "dan ssh-ed25519 AAAA",
    )
    gone = lay(config / "revoked_keys", BOB.ssh)
    lay(
        Path(PROJECT),
        f"bob {BOB.ssh}",
        '#sigstore identity="carol@example.com" issuer="https://login.example.com"',
        '#timestamp-authority certificate="tsa.pem"',
    )
    shown = [
        f"bob  {BOB.fingerprint}  {PROJECT}:1  REVOKED",
        f"self  {ALICE.fingerprint}  {own}:1",
        f"self  {ALICE.fingerprint}  {own}:2  only for git, after 2024-01-01 00:00:00 UTC, "
        "before 2025-01-01 00:00:00 UTC",
        f"carol@example.com by https://login.example.com  {PROJECT}:2",
        f"timestamps by tsa.pem  {PROJECT}:3",
        f"revoked  {BOB.fingerprint}  {gone}:1",
    ]
    code, out, err = said(capsys, "trust", "list")
    assert (code, out.splitlines()) == (0, shown)
    assert err == (
        f"not used: {own}:3: is a key of type ssh-ed25519, Teapot uses ecdsa-sha2-nistp256 only\n"
    )
    assert said(capsys, "trust", "list", "--quiet") == (0, out, "")


def test_list_as_json_has_every_part(capsys: Capture, config: Path) -> None:
    gone = lay(config / "revoked_keys", BOB.ssh)
    given = lay(
        config.parent / "given",
        f'self namespaces="teapot",valid-before="20250101Z" {ALICE.ssh}',
        '#sigstore identity="carol@example.com" issuer="https://login.example.com"',
        '#timestamp-authority certificate="tsa.pem"',
    )
    code, out, err = said(capsys, "trust", "list", "--trust", given, "--json")
    assert (code, err) == (0, "")
    assert json.loads(out) == {
        "files": [str(given)],
        "keys": [
            {
                "principals": "self",
                "fingerprint": ALICE.fingerprint,
                "namespaces": "teapot",
                "where": f"{given}:1",
                "valid_after": None,
                "valid_before": "2025-01-01T00:00:00+00:00",
            }
        ],
        "identities": [
            {
                "identity": "carol@example.com",
                "issuer": "https://login.example.com",
                "where": f"{given}:2",
            }
        ],
        "authorities": [{"certificate": str(given.parent / "tsa.pem"), "where": f"{given}:3"}],
        "revoked": [{"fingerprint": BOB.fingerprint, "where": f"{gone}:1"}],
    }


def test_list_of_a_file_that_is_not_there_is_refused(capsys: Capture) -> None:
    assert refused(capsys, "list", "--trust", "none") == "error: none: no such trust file\n"


def test_names_in_a_trust_file_move_no_cursor(capsys: Capture, config: Path) -> None:
    lay(config / "allowed_signers", f"a\x1b[2Jb {ALICE.ssh}")
    code, out, _ = said(capsys, "trust", "list")
    assert code == 0
    assert out.startswith("a\\x1b[2Jb  SHA256:")
    code, out, _ = said(capsys, "trust", "remove", ALICE.fingerprint)
    assert code == 0
    assert "\x1b" not in out


# --- revoke --------------------------------------------------------------------------------------


@pytest.mark.parametrize("named", ["alice", ALICE.fingerprint, "alice.pub"])
def test_key_is_revoked_by_name_fingerprint_or_file(
    capsys: Capture, config: Path, named: str
) -> None:
    trust = lay(config / "allowed_signers", f"alice {ALICE.ssh}", f"bob {BOB.ssh}")
    before = trust.read_bytes()
    told = f"{ALICE.fingerprint} is revoked in {config / 'revoked_keys'}\n"
    for _ in range(2):  # once more says the same and changes nothing
        assert said(capsys, "trust", "revoke", named, "--reason", "lost  laptop") == (0, told, "")
        assert (config / "revoked_keys").read_text() == f"{ALICE.ssh} lost laptop\n"
    assert trust.read_bytes() == before


@pytest.mark.parametrize(
    ("flags", "path"),
    [(["--project"], "teapot.revoked_keys"), (["--file", "team"], "team.revoked_keys")],
    ids=["project", "file"],
)
def test_key_is_revoked_in_the_list_that_is_named(
    capsys: Capture, config: Path, flags: list[str], path: str
) -> None:
    told = f"{ALICE.fingerprint} is revoked in {path}\n"
    assert said(capsys, "trust", "revoke", "alice.pub", *flags) == (0, told, "")
    assert Path(path).read_text() == f"{ALICE.ssh}\n"
    assert not config.exists()


def test_every_key_of_a_principal_is_revoked(capsys: Capture, config: Path) -> None:
    lay(config / "allowed_signers", f"alice {ALICE.ssh}")
    lay(Path(PROJECT), f"alice {BOB.ssh}", f"alice {ALICE.ssh}")
    code, out, _ = said(capsys, "trust", "revoke", "alice", "--json")
    assert code == 0
    assert json.loads(out) == {
        "file": str(config / "revoked_keys"),
        "revoked": [BOB.fingerprint, ALICE.fingerprint],
    }
    assert set(load_trust().revoked) == {ALICE, BOB}


def test_key_of_the_store_is_revoked_by_its_name(capsys: Capture, config: Path) -> None:
    KeyStore(config / "keys").add("laptop", key(3))
    code, out, _ = said(capsys, "trust", "revoke", "laptop")
    assert code == 0
    assert out.startswith(f"{key(3).public.fingerprint} is revoked in ")


def test_broken_store_does_not_keep_a_trusted_key_from_being_revoked(
    capsys: Capture, config: Path
) -> None:
    lay(config / "allowed_signers", f"alice {ALICE.ssh}")
    lay(config / "keys" / "broken.pem", "garbage")
    assert said(capsys, "trust", "revoke", "alice")[0] == 0
    assert set(load_trust().revoked) == {ALICE}


def test_unknown_key_is_not_revoked(capsys: Capture, config: Path) -> None:
    assert refused(capsys, "revoke", "nobody") == (
        "error: nobody: is no key in a trust file or in your store, and no file of a public key\n"
    )
    assert not config.exists()


# --- remove --------------------------------------------------------------------------------------


@pytest.mark.parametrize("flags", [[], ["--project"], ["--file", "team"]], ids=" ".join)
def test_lines_of_a_key_are_taken_out_and_no_other(
    capsys: Capture, config: Path, flags: list[str]
) -> None:
    path = {"": config / "allowed_signers", "--project": Path(PROJECT)}.get(
        " ".join(flags), Path("team")
    )
    lay(path, "# team", f"alice {ALICE.ssh}", f"bob {BOB.ssh}", f"alice@work {ALICE.ssh}")
    told = (
        f"{ALICE.fingerprint} (alice) is out of {path}\n"
        f"{ALICE.fingerprint} (alice@work) is out of {path}\n"
    )
    assert said(capsys, "trust", "remove", ALICE.fingerprint, *flags) == (0, told, "")
    assert path.read_text() == f"# team\nbob {BOB.ssh}\n"
    assert refused(capsys, "remove", ALICE.fingerprint, *flags) == (
        f"error: {path}: has no line for {ALICE.fingerprint}\n"
    )
    assert path.read_text() == f"# team\nbob {BOB.ssh}\n"


def test_removed_lines_as_json(capsys: Capture, config: Path) -> None:
    path = lay(config / "allowed_signers", f"alice {ALICE.ssh}", f"alice@work {ALICE.ssh}")
    code, out, _ = said(capsys, "trust", "remove", "alice", "--json")
    assert code == 0
    value = json.loads(out)
    assert value["file"] == str(path)
    assert [(one["principals"], one["where"]) for one in value["removed"]] == [
        ("alice", f"{path}:1")
    ]
    assert path.read_text() == f"alice@work {ALICE.ssh}\n"


def test_nothing_is_removed_where_there_is_no_file(capsys: Capture, config: Path) -> None:
    assert refused(capsys, "remove", "alice") == (
        f"error: {config / 'allowed_signers'}: cannot be read: No such file or directory\n"
    )
    assert not config.exists()


def test_removed_key_may_be_trusted_again_and_a_revoked_one_not(
    capsys: Capture, config: Path
) -> None:
    assert said(capsys, "trust", "add", "alice", "alice.pub")[0] == 0
    assert said(capsys, "trust", "remove", "alice")[0] == 0
    assert said(capsys, "trust", "add", "alice", "alice.pub")[0] == 0
    assert said(capsys, "trust", "revoke", "alice")[0] == 0
    assert said(capsys, "trust", "remove", "alice")[0] == 0
    assert "was revoked in" in refused(capsys, "add", "alice", "alice.pub")
