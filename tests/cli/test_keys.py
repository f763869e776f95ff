"""`teapot keys`: what each command prints, and that no passphrase is ever shown."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from teapot.errors import SigningKeyError
from teapot.keys import KeyStore, read_key_file
from teapot.signing import PrivateKey
from tests.support.keys import key
from tests.support.machine import at_terminal, listing, new_machine, piped, said, write_key

Capture = pytest.CaptureFixture[str]
OURS, OTHER = key(1), key(2)
SECRET = "correct horse žluťoučký"
NEW = "Passphrase for the new key (empty for none): "
AGAIN = "Repeat for confirmation: "


@pytest.fixture(autouse=True)
def config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.chdir(tmp_path)
    return new_machine(monkeypatch, tmp_path)


@pytest.fixture
def store(config: Path) -> KeyStore:
    return KeyStore(config / "keys")


def opened(path: Path, passphrase: bytes | None) -> PrivateKey:
    return read_key_file(path, lambda what: passphrase)


def is_encrypted(path: Path) -> bool:
    return b"ENCRYPTED PRIVATE KEY" in path.read_bytes()


# --- new -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "name", "principal"),
    [([], "default", "self"), (["laptop"], "laptop", "self/laptop")],
)
def test_new_key_is_shown_and_trusted(
    capsys: Capture, config: Path, store: KeyStore, arguments: list[str], name: str, principal: str
) -> None:
    code, out, err = said(capsys, "keys", "new", *arguments)
    made = store.get(name)
    path = config / "keys" / f"{name}.pem"
    assert (code, out, err) == (0, f"{name}  {made.public.fingerprint}  {path}\n", "")
    line = f'{principal} namespaces="teapot" {made.public.ssh}\n'
    assert (config / "allowed_signers").read_text() == line


def test_new_key_as_json(capsys: Capture, store: KeyStore) -> None:
    code, out, err = said(capsys, "keys", "new", "laptop", "--json")
    made = store.get("laptop")
    assert (code, err) == (0, "")
    assert json.loads(out) == {
        "name": "laptop",
        "fingerprint": made.public.fingerprint,
        "path": str(made.path),
        "public_key": made.public.ssh,
    }


def test_no_command_prints_a_private_key(capsys: Capture, store: KeyStore) -> None:
    secret = store.add("default", OURS).path.read_text().splitlines()[1]
    for command in (["list"], ["show"], ["export-public"], ["export-public", "--pem"]):
        for ending in ([], ["--json"], ["-v"]):
            code, out, err = said(capsys, "keys", *command, *ending)
            assert code == 0
            assert secret not in out + err
            assert "PRIVATE" not in out + err


def test_taken_name_is_an_error_and_the_key_stays(capsys: Capture, store: KeyStore) -> None:
    path = store.add("default", OURS).path
    before = path.read_bytes()
    code, out, err = said(capsys, "keys", "new")
    assert (code, out) == (2, "")
    assert err == (
        f"error: {path}: is there already; choose another name (a key is never written over)\n"
    )
    assert path.read_bytes() == before
    assert listing(store.folder.parent) == ["keys/default.pem", "keys/default.pem.pub"]


def test_bad_name_as_json(capsys: Capture, config: Path) -> None:
    code, out, _ = said(capsys, "keys", "new", "../default", "--json")
    told = "is no name for a key, expected letters, digits and . _ @ - (100 at most)"
    assert code == 2
    assert json.loads(out) == {
        "error": [{"where": "../default", "path": "", "message": told}],
        "kind": "SigningKeyError",
        "exit_code": 2,
    }
    assert not config.exists()


@pytest.mark.parametrize("fault", ["unreadable", "full"])
def test_key_that_cannot_be_trusted_is_not_made(
    capsys: Capture, config: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    config.mkdir(parents=True)
    trust = config / "allowed_signers"
    trust.write_text("nonsense\n" if fault == "unreadable" else "# nobody\n")
    before = trust.read_bytes()
    if fault == "full":

        def full(path: Path, line: str) -> None:
            raise OSError(28, "No space left on device", str(path))

        monkeypatch.setattr("teapot.usecases.signing.add_line", full)
    code, _, err = said(capsys, "keys", "new")
    assert code == {"unreadable": 2, "full": 6}[fault]
    assert str(trust) in err
    assert listing(config) == ["allowed_signers"]
    assert trust.read_bytes() == before


# --- list and show -------------------------------------------------------------------------------


def test_list_says_how_to_make_the_first_key(capsys: Capture) -> None:
    told = "no key yet; `teapot keys new` makes one, and so does the first `compose`\n"
    assert said(capsys, "keys", "list") == (0, told, "")
    assert said(capsys, "keys", "list", "--json") == (0, "[]\n", "")


def test_list_shows_every_key_by_name(capsys: Capture, store: KeyStore) -> None:
    second = store.add("second", OURS, SECRET.encode())
    first = store.add("first", OTHER)
    assert said(capsys, "keys", "list") == (
        0,
        f"first  {OTHER.public.fingerprint}  {first.path}\n"
        f"second  {OURS.public.fingerprint}  {second.path}\n",
        "",
    )
    found = json.loads(said(capsys, "keys", "list", "--json")[1])
    assert [one["name"] for one in found] == ["first", "second"]


def test_show_adds_the_public_half(capsys: Capture, store: KeyStore) -> None:
    path = store.add("default", OURS).path
    told = f"default  {OURS.public.fingerprint}  {path}\n{OURS.public.ssh} default\n"
    assert said(capsys, "keys", "show") == (0, told, "")
    value = json.loads(said(capsys, "keys", "show", "--json")[1])
    assert value["public_key"] == OURS.public.ssh


def test_key_that_is_not_there_is_told_with_those_that_are(
    capsys: Capture, store: KeyStore
) -> None:
    store.add("laptop", OURS)
    for command in ("show", "export-public"):
        assert said(capsys, "keys", command, "default") == (
            2,
            "",
            "error: default: no key of this name; there are laptop; make one with `teapot keys new "
            "default`\n",
        )


# --- export --------------------------------------------------------------------------------------


def test_public_half_is_exported_for_ssh_and_for_openssl(
    capsys: Capture, store: KeyStore, tmp_path: Path
) -> None:
    store.add("default", OURS)
    line = f"{OURS.public.ssh} default\n"
    assert said(capsys, "keys", "export-public") == (0, line, "")
    code, out, err = said(capsys, "keys", "export-public", "--pem")
    assert (code, out, err) == (0, OURS.public.to_pem().decode(), "")
    (tmp_path / "key.pem").write_text(out)
    command = ["openssl", "pkey", "-pubin", "-in", tmp_path / "key.pem", "-noout", "-text"]
    assert b"P-256" in subprocess.run(command, capture_output=True, check=True).stdout


@pytest.mark.parametrize("pem", [False, True])
def test_public_half_as_json(capsys: Capture, store: KeyStore, pem: bool) -> None:
    path = store.add("default", OURS).path
    _, out, _ = said(capsys, "keys", "export-public", "--json", *["--pem"] * pem)
    assert json.loads(out) == {
        "name": "default",
        "fingerprint": OURS.public.fingerprint,
        "path": str(path),
        "public_key": OURS.public.ssh,
        "public": OURS.public.to_pem().decode() if pem else f"{OURS.public.ssh} default\n",
    }


# --- import --------------------------------------------------------------------------------------


def test_imported_key_is_a_copy_and_is_trusted(
    capsys: Capture, config: Path, store: KeyStore, tmp_path: Path
) -> None:
    file = write_key(tmp_path / "ci.pem", OURS)
    path = config / "keys" / "ci.pem"
    told = f"ci  {OURS.public.fingerprint}  {path}\n"
    assert said(capsys, "keys", "import", file, "--name", "ci") == (0, told, "")
    assert opened(path, None).public == OURS.public
    assert file.exists()
    line = f'self/ci namespaces="teapot" {OURS.public.ssh}\n'
    assert (config / "allowed_signers").read_text() == line


def test_key_that_the_user_trusts_already_gets_no_second_line(
    capsys: Capture, config: Path, tmp_path: Path
) -> None:
    config.mkdir(parents=True)
    (config / "allowed_signers").write_text(f"me {OURS.public.ssh}\n")
    code, _, err = said(capsys, "keys", "import", write_key(tmp_path / "k.pem", OURS))
    assert (code, err) == (0, "")
    assert (config / "allowed_signers").read_text() == f"me {OURS.public.ssh}\n"


def test_key_that_only_this_project_trusts_is_trusted_by_its_user_too(
    capsys: Capture, config: Path, tmp_path: Path
) -> None:
    (tmp_path / "teapot.allowed_signers").write_text(f"me {OURS.public.ssh}\n")
    said(capsys, "keys", "import", write_key(tmp_path / "k.pem", OURS))
    line = f'self namespaces="teapot" {OURS.public.ssh}\n'
    assert (config / "allowed_signers").read_text() == line


def test_what_is_no_private_key_is_not_imported(
    capsys: Capture, config: Path, tmp_path: Path
) -> None:
    public = tmp_path / "key.pub"
    public.touch(0o600)
    public.write_bytes(OURS.public.to_pem())
    opened_to_all = write_key(tmp_path / "open.pem", OURS, mode=0o644)
    for file, told in (
        (public, "is no private key, expected PEM (PKCS #8)"),
        (opened_to_all, "is open to others (mode 0644)"),
        (tmp_path / "none", "cannot be read: No such file or directory"),
    ):
        code, out, err = said(capsys, "keys", "import", file)
        assert (code, out) == (2, "")
        assert err.startswith(f"error: {file}: {told}")
    assert not config.exists()


def test_imported_copy_loses_its_passphrase_unless_a_new_one_is_asked_for(
    tmp_path: Path, config: Path
) -> None:
    file = write_key(tmp_path / "k.pem", OURS, b"old")
    env = {"TEAPOT_SIGNING_PASSPHRASE": "old"}
    for name, flags, data, passphrase in (
        ("plain", [], b"", None),
        ("locked", ["--passphrase"], b"new\n", b"new"),
    ):
        ran = piped(data, "keys", "import", file, "--name", name, *flags, env=env)
        assert ran.returncode == 0, ran.stderr
        path = config / "keys" / f"{name}.pem"
        assert is_encrypted(path) == (passphrase is not None)
        assert opened(path, passphrase).public == OURS.public


def test_encrypted_key_is_not_imported_without_its_passphrase(tmp_path: Path, config: Path) -> None:
    file = write_key(tmp_path / "k.pem", OURS, b"old")
    for env, told in (
        ({}, "is encrypted, and there is no terminal to ask for its passphrase; set "),
        ({"TEAPOT_SIGNING_PASSPHRASE": "no"}, "is not opened by this passphrase\n"),
    ):
        ran = piped(b"old\n", "keys", "import", file, env=env)
        assert (ran.returncode, ran.stdout) == (2, b"")
        assert ran.stderr.decode().startswith(f"error: {file}: {told}")
    assert not config.exists()


# --- passphrases ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "passphrase"),
    [
        (b"secret\n", b"secret"),
        (b"secret", b"secret"),
        (b"secret\r\n", b"secret"),
        (b" two words \nsecond line\n", b" two words "),
        (SECRET.encode() + b"\n", SECRET.encode()),
        (b"\xff\xfe\n", b"\xff\xfe"),
        (b"\n", None),
    ],
    ids=["line", "no LF", "CRLF", "first line", "UTF-8", "bytes", "empty"],
)
def test_passphrase_comes_from_the_first_line_of_a_pipe(
    config: Path, data: bytes, passphrase: bytes | None
) -> None:
    ran = piped(data, "keys", "new", "--passphrase")
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr == b"Passphrase for the new key (empty for none):\n"
    if passphrase:
        assert passphrase not in ran.stdout + ran.stderr
    path = config / "keys" / "default.pem"
    assert is_encrypted(path) == (passphrase is not None)
    opened(path, passphrase)
    if passphrase:
        with pytest.raises(SigningKeyError):
            opened(path, None)


@pytest.mark.parametrize("is_closed", [False, True], ids=["empty", "closed"])
def test_pipe_without_a_line_makes_no_key(config: Path, is_closed: bool) -> None:
    # A shell closes standard input where `<&-` says so, as some daemons do.
    command = [sys.executable, "-m", "teapot", "keys", "new", "--passphrase"]
    closed = ["sh", "-c", 'exec "$@" <&-', "sh", *command] if is_closed else command
    ran = subprocess.run(closed, input="", capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 2
    assert ran.stderr.splitlines()[1:] == [
        "error: standard input has ended, expected the passphrase on its first line"
    ]
    assert not config.exists()


def test_passphrase_that_is_too_long_is_told(config: Path) -> None:
    ran = piped(b"x" * 1024 + b"\n", "keys", "new", "--passphrase")
    assert ran.returncode == 2
    assert b"error: passphrase: cannot be used: Passwords longer than 1023 bytes" in ran.stderr
    assert b"xxx" not in ran.stderr
    assert not config.exists()


def test_terminal_never_shows_a_passphrase(config: Path) -> None:
    code, shown = at_terminal(["keys", "new", "--passphrase"], {NEW: SECRET, AGAIN: SECRET})
    path = config / "keys" / "default.pem"
    public = opened(path, SECRET.encode()).public
    assert code == 0
    assert shown.replace("\r\n", "\n") == (
        f"{NEW}\n{AGAIN}\ndefault  {public.fingerprint}  {path}\n"
    )
    assert is_encrypted(path)


def test_terminal_asks_again_where_the_two_differ(config: Path) -> None:
    answers = {NEW: "one", AGAIN: "two", f"match.\r\n{NEW}": SECRET, f"\r\n{AGAIN}": SECRET}
    code, shown = at_terminal(["keys", "new", "--passphrase"], answers)
    assert code == 0
    assert "Error: The two entered values do not match." in shown
    assert not any(word in shown for word in ("one\r", "two\r", SECRET))
    opened(config / "keys" / "default.pem", SECRET.encode())


def test_terminal_is_asked_for_the_passphrase_of_a_key_to_import(
    tmp_path: Path, config: Path
) -> None:
    file = write_key(tmp_path / "k.pem", OURS, SECRET.encode())
    question = f"Passphrase of {file}: "
    code, shown = at_terminal(["keys", "import", str(file)], {question: SECRET})
    path = config / "keys" / "default.pem"
    assert code == 0
    assert shown.replace("\r\n", "\n") == (
        f"{question}\ndefault  {OURS.public.fingerprint}  {path}\n"
    )
    code, shown = at_terminal(["keys", "import", str(file), "--name", "b"], {question: "wrong"})
    assert code == 2
    assert shown.replace("\r\n", "\n") == (
        f"{question}\nerror: {file}: is not opened by this passphrase\n"
    )


def test_terminal_is_not_asked_where_the_environment_answers(tmp_path: Path) -> None:
    file = write_key(tmp_path / "k.pem", OURS, b"secret")
    env = {"TEAPOT_SIGNING_PASSPHRASE": "secret"}
    code, shown = at_terminal(["keys", "import", str(file)], {}, env)
    assert code == 0
    assert "Passphrase" not in shown
