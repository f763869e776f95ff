"""Private keys: kept where only their owner reads them, never written over, refused in doubt."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from teapot.errors import SigningKeyError
from teapot.keys import (
    KeyStore,
    ask_nobody,
    config_folder,
    find_signing_key,
    named_key_file,
    read_key_file,
    read_public_key,
)
from teapot.signing import PrivateKey
from tests.support.keys import key
from tests.support.machine import listing, new_machine, no_waiting, write_key

OURS, OTHER = key(1), key(2)
NEEDS_PASSPHRASE = (
    "is encrypted, and there is no terminal to ask for its passphrase; set "
    "TEAPOT_SIGNING_PASSPHRASE, or say --passphrase"
)


@pytest.fixture(autouse=True)
def config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    return new_machine(monkeypatch, tmp_path)


@pytest.fixture
def store(config: Path) -> KeyStore:
    return KeyStore(config / "keys")


def refusal(call: Callable[[], object]) -> str:
    """Return the one sentence with which a key is refused."""
    with pytest.raises(SigningKeyError) as caught:
        call()
    (problem,) = caught.value.problems
    return str(problem)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# --- the store -----------------------------------------------------------------------------------


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_new_key_is_its_owners_alone_whatever_the_umask(store: KeyStore, umask: int) -> None:
    before = os.umask(umask)
    try:
        made = store.add("default", OURS)
    finally:
        os.umask(before)
    assert mode_of(store.folder) == mode_of(store.folder.parent) == 0o700
    assert mode_of(made.path) == 0o600
    assert listing(store.folder) == ["default.pem", "default.pem.pub"]


def test_key_comes_back_as_it_was_added(store: KeyStore) -> None:
    made = store.add("ci@example.com", OURS)
    assert made.public == OURS.public
    assert read_key_file(made.path, ask_nobody).public == OURS.public
    assert store.list() == [store.get("ci@example.com")] == [made]


def test_ssh_keygen_reads_the_public_half_and_its_fingerprint(store: KeyStore) -> None:
    made = store.add("laptop", OURS)
    command = ["ssh-keygen", "-lf", f"{made.path}.pub"]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ran.stdout == f"256 {OURS.public.fingerprint} laptop (ECDSA)\n"


def test_key_is_never_written_over(store: KeyStore) -> None:
    made = store.add("default", OURS)
    before = {path: path.read_bytes() for path in store.folder.iterdir()}
    told = refusal(lambda: store.add("default", OTHER))
    assert told == (
        f"{made.path}: is there already; choose another name (a key is never written over)"
    )
    assert {path: path.read_bytes() for path in store.folder.iterdir()} == before


@pytest.mark.parametrize("target", ["elsewhere.pem", "there.pem"])
def test_link_in_the_place_of_a_new_key_is_not_followed(
    store: KeyStore, tmp_path: Path, target: str
) -> None:
    (tmp_path / "there.pem").write_text("kept")
    store.folder.mkdir(parents=True, mode=0o700)
    (store.folder / "default.pem").symlink_to(tmp_path / target)
    assert "is there already" in refusal(lambda: store.add("default", OURS))
    assert not (tmp_path / "elsewhere.pem").exists()
    assert (tmp_path / "there.pem").read_text() == "kept"


def test_link_in_the_place_of_a_public_half_is_replaced_not_followed(
    store: KeyStore, tmp_path: Path
) -> None:
    (tmp_path / "precious").write_text("kept")
    store.folder.mkdir(parents=True, mode=0o700)
    (store.folder / "default.pem.pub").symlink_to(tmp_path / "precious")
    made = store.add("default", OURS)
    assert (tmp_path / "precious").read_text() == "kept"
    assert store.list() == [made]


@pytest.mark.parametrize("mode", [0o770, 0o702, 0o777, 0o1777])
def test_folder_in_which_others_can_write_is_refused(store: KeyStore, mode: int) -> None:
    store.folder.mkdir(parents=True)
    store.folder.chmod(mode)
    told = refusal(lambda: store.add("default", OURS))
    assert told == (
        f"{store.folder}: is open to others (mode {mode:04o}); run: chmod 700 {store.folder}"
    )
    assert listing(store.folder) == []


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", ".hidden", "a/b", "../default", "/etc/key", "a b", "a\n", "a\0b", "-a", "é",
     "a" * 101],
)  # fmt: skip
def test_name_that_is_no_plain_file_name_is_refused(
    store: KeyStore, config: Path, name: str
) -> None:
    assert "is no name for a key, expected letters" in refusal(lambda: store.add(name, OURS))
    assert not config.exists()


@pytest.mark.parametrize("name", ["a", "0", "a" * 100, "alice@example.com", "a.pem", "a_b-c.d"])
def test_name_of_letters_digits_and_few_signs_is_taken(store: KeyStore, name: str) -> None:
    store.add(name, OURS)
    assert [found.name for found in store.list()] == [name]


def test_keys_are_listed_by_name_and_without_a_passphrase(store: KeyStore) -> None:
    store.add("b", OURS, b"secret")
    store.add("a", OTHER, b"another")
    assert [(one.name, one.public) for one in store.list()] == [
        ("a", OTHER.public), ("b", OURS.public),
    ]  # fmt: skip


def test_store_that_is_not_there_is_empty_and_is_not_made(store: KeyStore, config: Path) -> None:
    assert store.list() == []
    assert refusal(lambda: store.get("a")) == (
        "a: there is no key yet; make one with `teapot keys new a`"
    )
    assert not config.exists()


def test_missing_key_is_told_with_those_that_are_there(store: KeyStore) -> None:
    store.add("b", OURS)
    store.add("a", OTHER)
    assert refusal(lambda: store.get("c")) == (
        "c: no key of this name; there are a, b; make one with `teapot keys new c`"
    )


def test_missing_public_half_is_taken_from_the_key(store: KeyStore) -> None:
    made = store.add("default", OURS)
    Path(f"{made.path}.pub").unlink()
    assert store.list() == [made]


def test_missing_public_half_of_an_encrypted_key_needs_the_passphrase(
    store: KeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = store.add("default", OURS, b"secret")
    Path(f"{made.path}.pub").unlink()
    assert refusal(store.list) == f"{made.path}: {NEEDS_PASSPHRASE}"
    monkeypatch.setenv("TEAPOT_SIGNING_PASSPHRASE", "secret")
    assert store.list() == [made]


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda public: public.write_text("garbage"), "is no public key, expected PEM"),
        (lambda public: public.write_bytes(b""), "is no public key, expected PEM"),
        (lambda public: public.write_bytes(OURS.to_pem()), "is a private key: keep it to yourself"),
        (lambda public: public.mkdir(), "cannot be read: Is a directory"),
        (lambda public: public.symlink_to("nowhere"), "cannot be read: No such file or directory"),
    ],
    ids=["garbage", "empty", "private", "folder", "link"],
)
def test_broken_public_half_is_told_with_its_file_and_hides_no_other_key(
    store: KeyStore, spoil: Callable[[Path], object], told: str
) -> None:
    whole, broken = store.add("whole", OURS), store.add("broken", OTHER)
    public = Path(f"{broken.path}.pub")
    public.unlink()
    spoil(public)
    for call in (store.list, lambda: store.get("broken")):
        assert refusal(call).startswith(f"{public}: {told}")
    assert store.get("whole") == whole


@pytest.mark.parametrize("failing", [1, 2], ids=["key", "public half"])
def test_full_disk_leaves_no_part_of_a_key(
    store: KeyStore, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    calls = []

    def sync(handle: int) -> None:
        calls.append(handle)
        if len(calls) == failing:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", sync)
    with pytest.raises(OSError, match="No space left"):
        store.add("default", OURS)
    assert listing(store.folder) == []
    assert store.add("default", OTHER).public == OTHER.public


def test_interrupt_leaves_no_part_of_a_key(
    store: KeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(handle: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        store.add("default", OURS)
    assert listing(store.folder) == []


def test_passphrase_that_is_too_long_is_told_and_leaves_nothing(
    store: KeyStore, config: Path
) -> None:
    told = refusal(lambda: store.add("default", OURS, b"x" * 1024))
    assert told.startswith("passphrase: cannot be used: Passwords longer than 1023 bytes")
    assert not config.exists()


@pytest.mark.parametrize("value", ["", "relative", "./config", "~/config"])
def test_config_folder_is_never_relative(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, value: str
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", value)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert config_folder() == tmp_path / ".config" / "teapot"


# --- which key signs -----------------------------------------------------------------------------


def test_first_of_option_variable_and_store_signs(
    store: KeyStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = write_key(tmp_path / "given.pem", key(3))
    named = write_key(tmp_path / "named.pem", key(4))

    def found(path: Path | None = None) -> PrivateKey | None:
        return find_signing_key(path)

    assert found() is None
    store.add("another", key(6))
    assert found() is None
    store.add("default", key(5))
    assert _public(found()) == key(5).public
    monkeypatch.setenv("TEAPOT_SIGNING_KEY", str(named))
    assert _public(found()) == key(4).public
    monkeypatch.setenv("TEAPOT_SIGNING_KEY", "\n" + key(2).to_pem().decode() + "\n")
    assert _public(found()) == key(2).public
    assert _public(found(given)) == key(3).public


@pytest.mark.parametrize("value", ["", " \n"])
def test_empty_variable_is_refused_and_no_other_key_steps_in(
    store: KeyStore, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("TEAPOT_SIGNING_KEY", value)
    store.add("default", OURS)
    assert refusal(lambda: find_signing_key(None)) == (
        "$TEAPOT_SIGNING_KEY: is set but empty, as a secret that CI lacks; unset it to sign with "
        "your own key"
    )


def test_broken_first_choice_is_an_error_and_no_other_key_steps_in(
    store: KeyStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.add("default", OURS)
    missing = tmp_path / "missing.pem"
    assert refusal(lambda: find_signing_key(missing)) == (
        f"{missing}: cannot be read: No such file or directory; expected a private key in PEM"
    )
    monkeypatch.setenv("TEAPOT_SIGNING_KEY", "-----BEGIN PRIVATE KEY-----\nAAAA\n")
    assert refusal(lambda: find_signing_key(None)) == (
        "$TEAPOT_SIGNING_KEY: is no private key, expected PEM (PKCS #8)"
    )


def test_default_key_that_is_a_link_to_nowhere_is_an_error_not_a_missing_key(
    store: KeyStore,
) -> None:
    store.folder.mkdir(parents=True, mode=0o700)
    (store.folder / "default.pem").symlink_to("nowhere")
    assert "default.pem: cannot be read: No such file" in refusal(lambda: find_signing_key(None))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda pem: pem.replace("\n", "\\n").replace("-----BEGIN", "'-----BEGIN"),
        lambda pem: "".join(pem.splitlines()[1:-1]),
        lambda pem: pem.partition("\n")[2],
        lambda pem: "/nowhere/key.pem",
    ],
    ids=["quoted", "base64", "headless", "missing file"],
)
def test_variable_that_is_neither_key_nor_file_is_refused_without_showing_it(
    monkeypatch: pytest.MonkeyPatch, spoil: Callable[[str], str]
) -> None:
    monkeypatch.setenv("TEAPOT_SIGNING_KEY", spoil(OURS.to_pem().decode()))
    assert refusal(lambda: find_signing_key(None)) == (
        "$TEAPOT_SIGNING_KEY: is neither PEM text nor the path of a file (what it holds is not "
        "shown: it may be the key)"
    )


def test_file_that_the_user_points_to_is_told_apart_from_text_and_store(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = write_key(tmp_path / "key.pem", OURS)
    assert named_key_file(None) is None
    monkeypatch.setenv("TEAPOT_SIGNING_KEY", OURS.to_pem().decode())
    assert named_key_file(None) is None
    monkeypatch.setenv("TEAPOT_SIGNING_KEY", str(file))
    assert named_key_file(None) == file
    assert named_key_file(tmp_path / "given") == tmp_path / "given"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601, 0o644, 0o666, 0o777])
def test_key_that_others_can_touch_is_refused(tmp_path: Path, mode: int) -> None:
    path = write_key(tmp_path / "key.pem", OURS, mode=mode)
    assert refusal(lambda: find_signing_key(path)) == (
        f"{path}: is open to others (mode {mode:04o}): whoever could read it can sign in your "
        f"name; run: chmod 600 {path} (or better, make a new key)"
    )


def test_link_to_a_key_is_judged_by_the_key(tmp_path: Path) -> None:
    target = write_key(tmp_path / "key.pem", OURS)
    link = tmp_path / "link.pem"
    link.symlink_to(target)
    assert _public(find_signing_key(link)) == OURS.public
    target.chmod(0o644)
    assert f"{link}: is open to others" in refusal(lambda: find_signing_key(link))


@pytest.mark.parametrize("mode", [0o400, 0o600, 0o700])
def test_key_that_only_its_owner_can_touch_is_taken(tmp_path: Path, mode: int) -> None:
    path = write_key(tmp_path / "key.pem", OURS, mode=mode)
    assert _public(find_signing_key(path)) == OURS.public


@pytest.mark.parametrize("in_variable", [False, True], ids=["file", "variable"])
@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (None, NEEDS_PASSPHRASE),
        (b"", "is encrypted and needs its passphrase"),
        (b"wrong", "is not opened by this passphrase"),
        (b"secret\n", "is not opened by this passphrase"),
    ],
)
def test_encrypted_key_stays_locked_without_its_passphrase(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_variable: bool, answer: bytes | None,
    told: str,
) -> None:  # fmt: skip
    path: Path | None = write_key(tmp_path / "key.pem", OURS, b"secret")
    where = str(path)
    if in_variable:
        monkeypatch.setenv("TEAPOT_SIGNING_KEY", OURS.to_pem(b"secret").decode())
        path, where = None, "$TEAPOT_SIGNING_KEY"
    asked = []

    def ask(what: str) -> bytes | None:
        asked.append(what)
        return answer

    assert refusal(lambda: find_signing_key(path, ask)) == f"{where}: {told}"
    assert asked == [where]


@pytest.mark.parametrize("passphrase", [b"secret", "žluťoučký".encode(), b"\xff\xfe", b" a b "])
def test_passphrase_of_the_environment_opens_a_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, passphrase: bytes
) -> None:
    path = write_key(tmp_path / "key.pem", OURS, passphrase)
    monkeypatch.setenv("TEAPOT_SIGNING_PASSPHRASE", os.fsdecode(passphrase))
    assert _public(find_signing_key(path)) == OURS.public


def test_nobody_is_asked_for_a_passphrase_that_is_not_needed(tmp_path: Path) -> None:
    def ask(what: str) -> bytes | None:
        pytest.fail(f"asked for {what}")

    assert _public(find_signing_key(write_key(tmp_path / "key.pem", OURS), ask)) == OURS.public


# --- what is no such key -------------------------------------------------------------------------


def _pem(
    private: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey,
) -> bytes:
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: _pem(ed25519.Ed25519PrivateKey.generate()), "is a key of the kind Ed25519"),
        (lambda: _pem(rsa.generate_private_key(65537, 2048)), "is a key of the kind RSA"),
        (
            lambda: _pem(ec.generate_private_key(ec.SECP384R1())),
            "is a key of the kind EC on secp384r1",
        ),
        (
            lambda: _pem(ec.generate_private_key(ec.SECP256K1())),
            "is a key of the kind EC on secp256k1",
        ),
        (OURS.public.to_pem, "is no private key, expected PEM"),
        (OURS.public.ssh.encode, "is no private key, expected PEM"),
        (lambda: b"garbage", "is no private key, expected PEM"),
        (lambda: b"", "is no private key, expected PEM"),
        (lambda: OURS.to_pem()[:-40], "is no private key, expected PEM"),
        (lambda: OURS.to_pem()[:60], "is no private key, expected PEM"),
        (lambda: b"#" * (70 << 10) + b"\n" + OURS.to_pem(), "is no private key, expected PEM"),
        (lambda: bytes(range(256)) * 9, "is no private key, expected PEM"),
    ],
    ids=["Ed25519", "RSA", "P-384", "K-256", "public PEM", "public line", "garbage", "empty", "cut",
         "header", "huge", "bytes"],
)  # fmt: skip
def test_file_that_is_no_key_on_p_256_is_refused_with_its_name(
    tmp_path: Path, make: Callable[[], bytes], told: str
) -> None:
    path = tmp_path / "key.pem"
    path.touch(0o600)
    path.write_bytes(make())
    said = refusal(lambda: find_signing_key(path))
    assert said.startswith(f"{path}: {told}")
    assert "\n" not in said


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (Path.mkdir, "not a regular file"),
        (os.mkfifo, "not a regular file"),
        (lambda path: path.symlink_to("/dev/zero"), "not a regular file"),
        (lambda path: path.symlink_to(path.name), "Too many levels of symbolic links"),
        (lambda path: None, "No such file or directory"),
    ],
    ids=["folder", "FIFO", "device", "loop", "missing"],
)
def test_what_is_no_file_is_refused_and_not_waited_for(
    tmp_path: Path, make: Callable[[Path], object], told: str
) -> None:
    path = tmp_path / "key.pem"
    make(path)
    with no_waiting():
        said = refusal(lambda: find_signing_key(path))
    assert said == f"{path}: cannot be read: {told}; expected a private key in PEM"


@pytest.mark.parametrize("form", ["pkcs8", "sec1", "openssh", "CRLF", "spaced"])
def test_key_is_read_in_every_form_that_other_tools_write(tmp_path: Path, form: str) -> None:
    path = write_key(tmp_path / "key.pem", OURS)
    match form:
        case "sec1":
            made = subprocess.run(["openssl", "ec", "-in", path], capture_output=True, check=True)
            assert made.stdout.startswith(b"-----BEGIN EC PRIVATE KEY-----")
            path.write_bytes(made.stdout)
        case "openssh":
            subprocess.run(["ssh-keygen", "-p", "-q", "-P", "", "-N", "", "-f", path], check=True)
            assert path.read_bytes().startswith(b"-----BEGIN OPENSSH PRIVATE KEY-----")
        case "CRLF":
            path.write_bytes(OURS.to_pem().replace(b"\n", b"\r\n"))
        case "spaced":
            path.write_bytes(b"\n \n" + OURS.to_pem() + b"\n\n")
    assert _public(find_signing_key(path)) == OURS.public


# --- public keys ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [OURS.public.to_pem(), OURS.public.ssh.encode(), f"{OURS.public.ssh} alice\n".encode()],
    ids=["PEM", "line", "comment"],
)
def test_public_key_is_read_from_pem_and_from_a_line(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "key.pub").write_bytes(data)
    assert read_public_key(tmp_path / "key.pub") == OURS.public


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda path: path.write_bytes(OURS.to_pem()), "is a private key: keep it to yourself"),
        (lambda path: path.write_bytes(b"garbage"), "is no public key, expected PEM"),
        (lambda path: path.write_bytes(b""), "is no public key, expected PEM"),
        (lambda path: path.symlink_to("/dev/zero"), "is no public key, expected PEM"),
        (Path.mkdir, "cannot be read: Is a directory"),
        (lambda path: None, "cannot be read: No such file"),
    ],
    ids=["private", "garbage", "empty", "endless", "folder", "missing"],
)
def test_file_without_a_public_key_is_refused_with_its_name(
    tmp_path: Path, make: Callable[[Path], object], told: str
) -> None:
    path = tmp_path / "key.pub"
    make(path)
    assert refusal(lambda: read_public_key(path)).startswith(f"{path}: {told}")


def _public(found: PrivateKey | None) -> object:
    assert found is not None
    return found.public
