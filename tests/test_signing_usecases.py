"""Signing as a user meets it: the first key, whose signature stays, and what verification says."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from teapot.allowed_signers import TrustedKey
from teapot.bundle import Bundle
from teapot.digest import sha256_hex
from teapot.files import OutputPaths
from teapot.keys import KeyStore
from teapot.signing import PrivateKey
from teapot.usecases.signing import key_signer
from teapot.usecases.verify import VerifyOptions, verify
from tests.support.keys import key
from tests.support.machine import at_terminal, listing, new_machine, said, write_key
from tests.support.project import chat_row, chat_rows, write_config, write_module
from tests.support.sigstore_instance import SigstoreInstance
from tests.support.timestamp_authority import TimestampAuthority

Capture = pytest.CaptureFixture[str]
ALICE, BOB = key(1), key(2)
MIX = OutputPaths(Path("mix.jsonl"))
TRUST = Path("teapot.allowed_signers")
HOUR = timedelta(hours=1)
COMPOSED = ["mix.jsonl", "mix.ledger.parquet", "mix.manifest.json"]


@pytest.fixture(autouse=True)
def config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A project to stand in, on a machine where Teapot has never run."""
    project = tmp_path / "project"
    write_module(project, "t/a", chat_rows("a", 5))
    write_config(project, {"t/a": 1})
    monkeypatch.chdir(project)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    return new_machine(monkeypatch, tmp_path)


@pytest.fixture
def alice(tmp_path: Path) -> Path:
    return write_key(tmp_path / "alice.pem", ALICE)


@pytest.fixture
def bob(tmp_path: Path) -> Path:
    return write_key(tmp_path / "bob.pem", BOB)


@pytest.fixture
def authority(tmp_path: Path) -> Iterator[TimestampAuthority]:
    with TimestampAuthority(tmp_path / "authority") as made:
        yield made


def ok(capsys: Capture, *arguments: str | Path) -> str:
    """Run a command that must succeed and say nothing on stderr; return its output."""
    code, out, err = said(capsys, *arguments)
    assert (code, err) == (0, ""), out + err
    return out


def trust(*entries: tuple[str, PrivateKey]) -> None:
    """Say in the project's trust file who is believed."""
    lines = [
        TrustedKey(principals=name, key=one.public, where="").to_line() for name, one in entries
    ]
    TRUST.write_text("".join(f"{line}\n" for line in lines))


def signers() -> dict[str, str]:
    """Return the fingerprint that each bundle of the mix claims, by the bundle's name."""
    return {path.name: Bundle.parse(path.read_bytes()).keyid for path in MIX.all_bundles()}


def outputs() -> list[str]:
    """Return the names of everything in the project that no test has laid there."""
    known = ("modules/", "mix.config", TRUST.name)
    return [name for name in listing(Path()) if not name.startswith(known)]


def beside(one: PrivateKey) -> str:
    """Return the name of a signature that lies beside another's."""
    return f"mix.manifest.{sha256_hex(one.public.fingerprint.encode())[:8]}.sigstore.json"


# --- the first key -------------------------------------------------------------------------------


def test_first_compose_makes_a_key_and_says_so(capsys: Capture, config: Path) -> None:
    code, out, err = said(capsys, "compose", "mix.config")
    made = KeyStore(config / "keys").get("default")
    assert code == 0
    assert err == (
        f"made your signing key {made.public.fingerprint}\n"
        f"  in {config}/keys/default.pem; {config}/allowed_signers trusts it\n"
        "  others need its public half: teapot keys export-public\n"
    )
    assert f"signed    {MIX.bundle}\n          by {made.public.fingerprint}\n" in out
    line = f'self namespaces="teapot" {made.public.ssh}\n'
    assert (config / "allowed_signers").read_text() == line
    assert listing(config) == ["allowed_signers", "keys/default.pem", "keys/default.pem.pub"]
    assert signers() == {MIX.bundle.name: made.public.fingerprint}


def test_first_key_is_told_even_when_quiet_and_json_stays_json(capsys: Capture) -> None:
    code, out, err = said(capsys, "compose", "mix.config", "--quiet", "--json")
    assert code == 0
    assert err.startswith("made your signing key SHA256:")
    assert json.loads(out)["signature"] == {"path": str(MIX.bundle)}


def test_second_compose_uses_the_key_in_silence(capsys: Capture) -> None:
    said(capsys, "compose", "mix.config")
    first = signers()
    out = ok(capsys, "compose", "mix.config")
    assert signers() == first
    assert f"by {first[MIX.bundle.name]}\n" in out
    assert "verified: " in ok(capsys, "verify", "mix.jsonl")


def test_first_sign_makes_a_key_too(capsys: Capture, config: Path) -> None:
    ok(capsys, "compose", "mix.config", "--no-sign")
    assert not config.exists()
    code, out, err = said(capsys, "sign", "mix.manifest.json")
    made = KeyStore(config / "keys").get("default")
    assert code == 0
    assert err.startswith(f"made your signing key {made.public.fingerprint}\n")
    assert out == f"signed    {MIX.bundle}\n          by {made.public.fingerprint}\n"
    ok(capsys, "verify", "mix.jsonl")


def test_key_that_another_run_has_made_meanwhile_is_used(capsys: Capture, config: Path) -> None:
    told: list[str] = []
    signer = key_signer(tell=told.append)
    KeyStore(config / "keys").add("default", ALICE)
    assert Bundle.parse(signer(b"{}")).keyid == ALICE.public.fingerprint
    assert key_signer().needed_key().public == ALICE.public
    assert told == []


@pytest.mark.parametrize(
    ("break_it", "exit_code"),
    [
        (lambda: write_config(Path(), {"t/a": 1}, expect={"examples": 7}), 1),
        (lambda: write_module(Path(), "t/a", [chat_row("x", "Why?", "")]), 1),
        (lambda: write_module(Path(), "t/a", b""), 1),
        (lambda: write_config(Path(), {"t/none": 1}), 2),
        (lambda: Path("modules/t/t-a.jsonl").unlink(), 3),
        (MIX.manifest.mkdir, 6),
    ],
    ids=["expectation", "bad row", "no row", "module", "source", "output"],
)
def test_compose_that_fails_makes_no_key(
    capsys: Capture, config: Path, break_it: Callable[[], object], exit_code: int
) -> None:
    break_it()
    code, _, err = said(capsys, "compose", "mix.config")
    assert code == exit_code
    assert "signing key" not in err
    assert not config.exists()
    assert outputs() == []


def test_compose_without_its_timestamp_makes_no_key(
    capsys: Capture, config: Path, authority: TimestampAuthority
) -> None:
    authority.close()
    code, _, err = said(capsys, "compose", "mix.config", "--timestamp", authority.url)
    assert code == 3
    assert err.startswith(f"error: {authority.url}: cannot be asked: ")
    assert not config.exists()
    assert outputs() == []


@pytest.mark.parametrize("fault", ["trust file", "folder"])
def test_key_that_cannot_be_kept_signs_nothing(capsys: Capture, config: Path, fault: str) -> None:
    (config / "keys").mkdir(parents=True, mode=0o700)
    if fault == "trust file":
        (config / "allowed_signers").write_text("nonsense\n")
    else:
        (config / "keys").chmod(0o777)
    before = listing(config)
    code, out, _ = said(capsys, "compose", "mix.config")
    assert (code, out) == (2, "")
    assert listing(config) == before
    assert outputs() == []


# --- which key, and none -------------------------------------------------------------------------


def test_unsigned_compose_removes_an_older_signature_and_says_so(capsys: Capture) -> None:
    said(capsys, "compose", "mix.config")
    assert MIX.bundle.exists()
    out = ok(capsys, "compose", "mix.config", "--no-sign")
    assert "unsigned: nobody vouches for this; `teapot sign` does so later\n" in out
    assert outputs() == COMPOSED
    code, out, _ = said(capsys, "verify", "mix.jsonl")
    assert code == 4
    assert "no such file: nobody vouches for this manifest" in out


def test_unsigned_compose_needs_no_key_and_makes_none(capsys: Capture, config: Path) -> None:
    value = json.loads(ok(capsys, "compose", "mix.config", "--no-sign", "--json"))
    assert value["signature"] is None
    assert not config.exists()


def test_given_key_signs_and_is_believed_only_when_trusted(
    capsys: Capture, config: Path, alice: Path
) -> None:
    out = ok(capsys, "compose", "mix.config", "--key", alice)
    assert f"by {ALICE.public.fingerprint}\n" in out
    assert not config.exists()
    code, out, _ = said(capsys, "verify", "mix.jsonl")
    assert code == 5
    assert "one of an unknown key" in out
    trust(("alice", ALICE))
    assert f"is trusted as alice by {TRUST}:1" in ok(capsys, "verify", "mix.jsonl")


@pytest.mark.parametrize("form", ["PEM", "path"])
def test_key_of_the_environment_signs(
    capsys: Capture, config: Path, alice: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    value = {"PEM": ALICE.to_pem().decode(), "path": str(alice)}[form]
    monkeypatch.setenv("TEAPOT_SIGNING_KEY", value)
    ok(capsys, "compose", "mix.config")
    assert signers() == {MIX.bundle.name: ALICE.public.fingerprint}
    assert not config.exists()


def _world_readable(path: Path) -> None:
    write_key(path, ALICE, mode=0o644)


def _encrypted(path: Path) -> None:
    write_key(path, ALICE, b"secret")


def _garbage(path: Path) -> None:
    path.touch(0o600)
    path.write_text("garbage")


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda path: None, "cannot be read: No such file"),
        (_world_readable, "is open to others (mode 0644)"),
        (_encrypted, "is encrypted, and there is no terminal"),
        (_garbage, "is no private key"),
        (os.mkfifo, "cannot be read: not a regular file"),
    ],
    ids=["missing", "readable", "encrypted", "garbage", "FIFO"],
)
@pytest.mark.parametrize("place", ["option", "store"])
def test_broken_key_stops_a_compose_before_anything_is_read_or_written(
    capsys: Capture, config: Path, tmp_path: Path, make: Callable[[Path], None], told: str,
    place: str,
) -> None:  # fmt: skip
    path = tmp_path / "key.pem"
    make(path)
    flags: list[str | Path] = ["--key", path]
    if place == "store":
        (config / "keys").mkdir(parents=True, mode=0o700)
        path, flags = config / "keys" / "default.pem", []
        path.symlink_to(tmp_path / "key.pem")
    Path("modules/t/t-a.jsonl").unlink()  # what is read would fail first, with another exit code
    code, out, err = said(capsys, "compose", "mix.config", *flags)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {path}: {told}")
    assert outputs() == []


def test_terminal_asks_once_for_the_passphrase_of_the_key(tmp_path: Path) -> None:
    path = write_key(tmp_path / "key.pem", ALICE, b"secret")
    question = f"Passphrase of {path}: "
    code, shown = at_terminal(["compose", "mix.config", "--key", str(path)], {question: "secret"})
    assert code == 0
    assert shown.count("Passphrase") == 1
    assert "secret" not in shown
    assert signers() == {MIX.bundle.name: ALICE.public.fingerprint}


# --- several signers -----------------------------------------------------------------------------


def test_signature_of_the_same_key_is_replaced(
    capsys: Capture, alice: Path, authority: TimestampAuthority
) -> None:
    ok(capsys, "compose", "mix.config", "--key", alice)
    out = ok(capsys, "sign", "mix.manifest.json", "--key", alice, "--timestamp", authority.url)
    assert out == f"signed    {MIX.bundle}\n          by {ALICE.public.fingerprint}\n"
    assert outputs() == [*COMPOSED, MIX.bundle.name]
    assert len(Bundle.parse(MIX.bundle.read_bytes()).timestamps) == 1


def test_signature_goes_beside_anothers_and_is_replaced_there(
    capsys: Capture, alice: Path, bob: Path
) -> None:
    ok(capsys, "compose", "mix.config", "--key", alice)
    first = MIX.bundle.read_bytes()
    for _ in range(2):
        out = ok(capsys, "sign", "mix.jsonl", "--key", bob)
        assert out == f"signed    {beside(BOB)}\n          by {BOB.public.fingerprint}\n"
        assert signers() == {
            MIX.bundle.name: ALICE.public.fingerprint,
            beside(BOB): BOB.public.fingerprint,
        }
    assert MIX.bundle.read_bytes() == first


def test_what_was_signed_is_told_as_json(capsys: Capture, alice: Path) -> None:
    ok(capsys, "compose", "mix.config", "--no-sign")
    out = ok(capsys, "sign", "mix.manifest.json", "--key", alice, "--json")
    assert json.loads(out) == {"signed": [str(MIX.bundle)], "by": ALICE.public.fingerprint}


@pytest.mark.parametrize(
    ("trusted", "exit_code"), [(["alice", "bob"], 0), (["alice"], 5), (["bob"], 5), ([], 5)]
)
def test_two_signers_are_two_where_both_are_trusted(
    capsys: Capture, alice: Path, bob: Path, trusted: list[str], exit_code: int
) -> None:
    ok(capsys, "compose", "mix.config", "--key", alice)
    ok(capsys, "sign", "mix.manifest.json", "--key", bob)
    trust(*((name, {"alice": ALICE, "bob": BOB}[name]) for name in trusted))
    assert said(capsys, "verify", "mix.jsonl", "--threshold", "2")[0] == exit_code
    assert said(capsys, "verify", "mix.jsonl")[0] == (0 if trusted else 5)


def test_one_key_under_two_names_is_one_signer(capsys: Capture, alice: Path) -> None:
    ok(capsys, "compose", "mix.config", "--key", alice)
    Path(beside(BOB)).write_bytes(MIX.bundle.read_bytes())
    trust(("alice", ALICE), ("bob", ALICE))
    ok(capsys, "verify", "mix.jsonl")
    assert said(capsys, "verify", "mix.jsonl", "--threshold", "2")[0] == 5


def test_same_bytes_composed_again_keep_the_signatures_of_others(
    capsys: Capture, alice: Path, bob: Path
) -> None:
    ok(capsys, "compose", "mix.config", "--key", alice)
    ok(capsys, "sign", "mix.manifest.json", "--key", bob)
    kept = Path(beside(BOB)).read_bytes()
    ok(capsys, "compose", "mix.config", "--key", alice)
    assert Path(beside(BOB)).read_bytes() == kept
    trust(("alice", ALICE), ("bob", BOB))
    ok(capsys, "verify", "mix.jsonl", "--threshold", "2")


@pytest.mark.parametrize("flags", [["--key"], ["--no-sign"]], ids=["signed", "unsigned"])
def test_other_bytes_composed_remove_the_signatures_of_others(
    capsys: Capture, alice: Path, bob: Path, flags: list[str]
) -> None:
    ok(capsys, "compose", "mix.config", "--key", alice)
    ok(capsys, "sign", "mix.manifest.json", "--key", bob)
    write_config(Path(), {"t/a": 2})
    ok(capsys, "compose", "mix.config", *flags, *[alice] * (flags == ["--key"]))
    assert outputs() == [*COMPOSED, *[MIX.bundle.name] * (flags == ["--key"])]


def test_signatures_of_a_composition_with_a_longer_name_are_its_own(
    capsys: Capture, alice: Path
) -> None:
    other = OutputPaths(Path("mix.manifest.b.jsonl"))
    ok(capsys, "compose", "mix.config", "--key", alice, "-o", other.data)
    ok(capsys, "compose", "mix.config", "--key", alice)
    write_config(Path(), {"t/a": 2})
    ok(capsys, "compose", "mix.config", "--key", alice)
    assert other.bundle.exists()
    trust(("alice", ALICE))
    ok(capsys, "verify", other.data, "mix.jsonl")


def test_folder_in_the_place_of_a_signature_is_told_before_anything_changes(
    capsys: Capture, alice: Path
) -> None:
    ok(capsys, "compose", "mix.config", "--key", alice)
    before = {name: Path(name).read_bytes() for name in outputs()}
    Path(beside(BOB)).mkdir()
    write_config(Path(), {"t/a": 2})
    code, _, err = said(capsys, "compose", "mix.config", "--key", alice)
    assert code == 6
    assert err == f"error: {beside(BOB)}: is a folder, expected the name of a file\n"
    assert {name: Path(name).read_bytes() for name in outputs()} == before
    Path(beside(BOB)).rmdir()
    ok(capsys, "compose", "mix.config", "--key", alice)


# --- what is not signed --------------------------------------------------------------------------


def test_manifest_is_not_signed_where_its_data_is_other(capsys: Capture, alice: Path) -> None:
    ok(capsys, "compose", "mix.config", "--no-sign")
    stated = sha256_hex(MIX.data.read_bytes())
    MIX.data.write_bytes(MIX.data.read_bytes() + b"\n")
    found = sha256_hex(MIX.data.read_bytes())
    code, out, err = said(capsys, "sign", "mix.manifest.json", "--key", alice)
    assert (code, out) == (1, "")
    assert f"error: mix.manifest.json: data: expected {stated}, " in err
    assert f", found {found}, " in err
    assert err.endswith(
        "error: nothing was signed: compose again, or sign the manifest alone with "
        "--manifest-only\n"
    )
    assert outputs() == COMPOSED


def test_published_manifest_is_signed_without_its_data(capsys: Capture, alice: Path) -> None:
    ok(capsys, "compose", "mix.config", "--no-sign")
    MIX.data.unlink()
    MIX.ledger.unlink()
    code, _, err = said(capsys, "sign", "mix.manifest.json", "--key", alice)
    assert code == 1 and "ledger: expected a file as the manifest states it" in err
    ok(capsys, "sign", "mix.manifest.json", "--key", alice, "--manifest-only")
    trust(("alice", ALICE))
    ok(capsys, "verify", "mix.manifest.json", "--manifest-only")


@pytest.mark.parametrize(
    ("text", "target", "exit_code"),
    [
        (b"{}", "x.manifest.json", 1),
        (b"garbage", "x.manifest.json", 1),
        (b"", "x.manifest.json", 1),
        (b"{}\n", "x.jsonl", 1),
        (b"text", "notes.txt", 2),
        (None, "missing.manifest.json", 2),
    ],
)
def test_what_is_no_manifest_is_not_signed_and_makes_no_key(
    capsys: Capture, config: Path, text: bytes | None, target: str, exit_code: int
) -> None:
    if text is not None:
        Path(target).write_bytes(text)
    code, out, err = said(capsys, "sign", target)
    assert (code, out) == (exit_code, "")
    assert target.partition(".")[0] in err
    assert outputs() == ([] if text is None else [target])
    assert not config.exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["folder", "--sigstore"], "a folder is signed with a key; leave out --sigstore"),
        (
            ["folder", "--timestamp", "http://127.0.0.1:1"],
            "the signature of a folder takes no timestamp; leave out --timestamp",
        ),
        (
            ["mix.manifest.json", "--sigstore", "--key", "mix.config"],
            "--sigstore signs with an identity; leave out --key, --passphrase and --timestamp",
        ),
        (
            ["mix.manifest.json", "--sigstore", "--timestamp", "http://127.0.0.1:1"],
            "--sigstore signs with an identity; leave out --key, --passphrase and --timestamp",
        ),
        (
            ["mix.manifest.json", "--sigstore-config", "mix.config"],
            "--sigstore-config goes with --sigstore",
        ),
    ],
)
def test_option_that_would_be_ignored_is_refused_and_makes_no_key(
    capsys: Capture, config: Path, arguments: list[str], told: str
) -> None:
    ok(capsys, "compose", "mix.config", "--no-sign")
    Path("folder").mkdir()
    assert said(capsys, "sign", *arguments) == (2, "", f"error: {told}\n")
    assert outputs() == COMPOSED
    assert not config.exists()


# --- timestamps ----------------------------------------------------------------------------------


def stamped_by_alice(capsys: Capture, alice: Path, authority: TimestampAuthority) -> datetime:
    """Compose with a timestamp; return a time right after it."""
    ok(capsys, "compose", "mix.config", "--key", alice, "--timestamp", authority.url)
    Path("tsa.pem").write_bytes(authority.root_pem)
    return datetime.now(UTC)


def believe_alice(*, before: datetime, authority: bool) -> None:
    line = TrustedKey(principals="alice", key=ALICE.public, where="", valid_before=before).to_line()
    named = '#timestamp-authority certificate="tsa.pem"\n' if authority else ""
    TRUST.write_text(f"{line}\n{named}")


def verified_at(at: datetime) -> tuple[int, str]:
    """Verify the mix as somebody would at a time; return the exit code and what was found."""
    (found,) = verify("mix.jsonl", options=VerifyOptions(at=at))
    return found.exit_code, "\n".join(str(result.found) for result in found.results)


@pytest.mark.parametrize("command", ["compose", "sign"])
def test_key_that_expired_after_the_timestamp_still_verifies(
    capsys: Capture, alice: Path, authority: TimestampAuthority, command: str
) -> None:
    now = stamped_by_alice(capsys, alice, authority)
    if command == "sign":
        ok(capsys, "compose", "mix.config", "--no-sign")
        ok(capsys, "sign", "mix.manifest.json", "--key", alice, "--timestamp", authority.url)
    believe_alice(before=now + HOUR, authority=True)
    code, told = verified_at(now + 2 * HOUR)
    assert code == 0
    assert f"by the authority of {TRUST}:2" in told
    believe_alice(before=now + HOUR, authority=False)
    code, told = verified_at(now + 2 * HOUR)
    assert code == 5
    assert "was valid only before" in told


def test_key_that_expired_before_the_timestamp_does_not_verify(
    capsys: Capture, alice: Path, authority: TimestampAuthority
) -> None:
    now = stamped_by_alice(capsys, alice, authority)
    believe_alice(before=now - HOUR, authority=True)
    code, told = verified_at(now - 2 * HOUR)
    assert code == 5
    assert "was valid only before" in told
    assert said(capsys, "verify", "mix.jsonl")[0] == 5


def test_timestamp_without_a_trusted_authority_is_a_note(
    capsys: Capture, alice: Path, authority: TimestampAuthority
) -> None:
    now = stamped_by_alice(capsys, alice, authority)
    believe_alice(before=now + HOUR, authority=False)
    out = ok(capsys, "verify", "mix.jsonl")
    assert "NOTE        timestamp: " in out
    assert "no trust file names a timestamp authority, so its time is not used" in out


def test_certificate_of_an_authority_is_found_beside_the_trust_file(
    capsys: Capture, alice: Path, authority: TimestampAuthority, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    now = stamped_by_alice(capsys, alice, authority)
    believe_alice(before=now + HOUR, authority=True)
    project = Path.cwd()
    monkeypatch.chdir(tmp_path)
    out = ok(capsys, "verify", project / "mix.jsonl", "--trust", project / TRUST)
    assert f"by the authority of {project / TRUST}:2" in out


# --- keyless -------------------------------------------------------------------------------------


def test_keyless_signature_is_believed_where_a_line_names_identity_and_issuer(
    capsys: Capture, config: Path, tmp_path: Path
) -> None:
    ok(capsys, "compose", "mix.config", "--no-sign")
    with SigstoreInstance() as instance:
        roots = instance.trust_config(tmp_path / "roots.json")
        ours = ("--sigstore-config", roots)
        token = instance.token()
        out = ok(capsys, "sign", MIX.manifest, "--sigstore", *ours, "--identity-token", token)
    assert out == f"signed    {MIX.bundle}\n          by the identity in its certificate\n"
    assert not config.exists()

    code, out, err = said(capsys, "verify", "mix.jsonl", *ours)
    assert (code, err) == (5, "")
    assert f"is signed by alice@example.com by the word of {instance.url}" in out
    TRUST.write_text(f'#sigstore identity="alice@example.com" issuer="{instance.url}"\n')
    assert f"trusted by {TRUST}:1" in ok(capsys, "verify", "mix.jsonl", *ours)
    TRUST.write_text(f'#sigstore identity="bob@example.com" issuer="{instance.url}"\n')
    assert said(capsys, "verify", "mix.jsonl", *ours)[0] == 5


def test_keyless_and_key_are_two_signers(capsys: Capture, alice: Path, tmp_path: Path) -> None:
    ok(capsys, "compose", "mix.config", "--key", alice)
    with SigstoreInstance() as instance:
        roots = instance.trust_config(tmp_path / "roots.json")
        token = instance.token()
        ok(
            capsys, "sign", "mix.jsonl", "--sigstore", "--sigstore-config", roots,
            "--identity-token", token,
        )  # fmt: skip
    assert len(MIX.all_bundles()) == 2
    trust(("alice", ALICE))
    line = f'#sigstore identity="alice@example.com" issuer="{instance.url}"\n'
    TRUST.write_text(TRUST.read_text() + line)
    command = ["verify", "mix.jsonl", "--threshold", "2", "--sigstore-config"]
    ok(capsys, *command, roots)


@pytest.mark.parametrize(
    ("flags", "level"), [([], logging.ERROR), (["-q"], logging.ERROR), (["-v"], logging.INFO)]
)
def test_libraries_that_worry_do_so_to_the_verbose_alone(
    capsys: Capture, flags: list[str], level: int
) -> None:
    ok(capsys, "schema", *flags)
    of_training = "bitsandbytes.backends.cpu.ops"
    for name in ("sigstore._internal.trust", "tuf", "tuf.ngclient.updater", of_training):
        assert logging.getLogger(name).getEffectiveLevel() == level


# --- folders -------------------------------------------------------------------------------------


def test_signed_folder_verifies_until_a_file_changes(capsys: Capture, alice: Path) -> None:
    folder = Path("model")
    folder.mkdir()
    (folder / "weights.bin").write_bytes(b"0123")
    out = ok(capsys, "sign", folder, "--key", alice)
    assert out == f"signed    model/model.sig\n          by {ALICE.public.fingerprint}\n"
    assert said(capsys, "verify", folder)[0] == 5
    trust(("alice", ALICE))
    ok(capsys, "verify", folder)
    (folder / "weights.bin").write_bytes(b"0124")
    assert said(capsys, "verify", folder)[0] == 1
    ok(capsys, "sign", folder, "--key", alice)
    ok(capsys, "verify", folder)
    (folder / "more.bin").write_bytes(b"")
    assert said(capsys, "verify", folder)[0] == 1


def test_folder_with_a_composition_is_signed_and_verified_as_both(
    capsys: Capture, alice: Path
) -> None:
    Path("model").mkdir()
    ok(capsys, "compose", "mix.config", "--key", alice, "-o", "model/mix.jsonl")
    ok(capsys, "sign", "model", "--key", alice)
    trust(("alice", ALICE))
    out = ok(capsys, "verify", "model")
    assert out.count("\nverified: ") == 2
    out = ok(capsys, "sign", "model", "--key", alice, "--json")
    assert json.loads(out) == {"signed": ["model/model.sig"], "by": ALICE.public.fingerprint}


# --- keys that a commit would give away ----------------------------------------------------------


def _warning(path: Path) -> str:
    return f"warning: {path}: lies in a git work tree; one commit gives it away\n"


@pytest.mark.parametrize("named_by", ["option", "variable"])
@pytest.mark.parametrize("marker", ["folder", "file"])
@pytest.mark.parametrize("flags", [[], ["--quiet"], ["--json"]], ids=["", "quiet", "json"])
def test_key_in_a_git_work_tree_is_always_warned_of(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, named_by: str, marker: str, flags: list[str]
) -> None:
    # A linked work tree, or a submodule, has a file of this name.
    Path(".git").mkdir() if marker == "folder" else Path(".git").write_text("gitdir: elsewhere\n")
    Path("secrets/ci").mkdir(parents=True)
    path = write_key(Path("secrets/ci/key.pem"), ALICE)
    if named_by == "variable":
        monkeypatch.setenv("TEAPOT_SIGNING_KEY", str(path))
    chosen = ["--key", str(path)] if named_by == "option" else []
    code, _, err = said(capsys, "compose", "mix.config", *chosen, *flags)
    assert (code, err) == (0, _warning(path))
    code, _, err = said(capsys, "sign", "mix.manifest.json", *chosen, *flags)
    assert (code, err) == (0, _warning(path))


def test_link_to_a_key_is_where_the_key_is(capsys: Capture, tmp_path: Path, alice: Path) -> None:
    Path(".git").mkdir()
    inside = Path("link.pem")
    inside.symlink_to(alice)
    ok(capsys, "compose", "mix.config", "--key", inside)
    outside = tmp_path / "link.pem"
    outside.symlink_to(write_key(Path("key.pem"), ALICE).absolute())
    assert said(capsys, "compose", "mix.config", "--key", outside)[2] == _warning(outside)


def test_key_outside_of_the_project_and_key_in_the_variable_are_fine(
    capsys: Capture, alice: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path(".git").mkdir()
    ok(capsys, "compose", "mix.config", "--key", alice)
    monkeypatch.setenv("TEAPOT_SIGNING_KEY", ALICE.to_pem().decode())
    ok(capsys, "compose", "mix.config")
