"""Other people's tools accept our signatures, keys and trust files, and we accept theirs.

openssl and ssh-keygen are tools of the system; a machine without them fails these tests, because a
skipped one proves nothing.
"""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import CryptoSigner, SSlibKey

import teapot
from teapot.allowed_signers import (
    TrustedKey,
    TrustFileError,
    parse_revoked,
    parse_time,
    parse_trust,
)
from teapot.bundle import MEDIA_TYPE, Bundle
from teapot.dsse import IN_TOTO, pae
from teapot.signing import KeyFormatError, PassphraseNeededError, PrivateKey, PublicKey
from tests.support.keys import key

REPOSITORY = Path(__file__).parent.parent
PAGE = REPOSITORY / "docs" / "verify-without-teapot.md"
SIGNER = key(1)
STRANGER = key(2)
# All that the page may use.
POSIX_TOOLS = ("cat", "cmp", "cut", "fold", "mktemp", "rm", "sed", "sh", "tail", "tr", "wc")
ED25519_LINE = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPpKYAkSbb1Zc7mEr2M1nL5yJc1Wc1m1Zc7mEr2M1nL5"


def tool(name: str) -> str:
    """Return the path of a tool of the system, or fail."""
    path = shutil.which(name)
    if path is None:
        pytest.fail(
            f"{name} is not installed; these tests need it (Debian: openssl, openssh-client)"
        )
    return path


def ran(*command: str | Path, given: bytes = b"", cwd: Path | None = None) -> tuple[int, str]:
    """Return a command's exit code and all that it printed."""
    done = subprocess.run(
        [tool(str(command[0])), *map(str, command[1:])], input=given, cwd=cwd, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    return done.returncode, done.stdout.decode("utf-8")


def printed(*command: str | Path) -> str:
    """Return what a command printed; it must succeed."""
    code, text = ran(*command)
    assert code == 0, text
    return text


def secret_file(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    path.chmod(0o600)
    return path


def flipped(data: bytes, place: int) -> bytes:
    """Return the bytes with the lowest bit of one of them turned."""
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


# --- openssl, and the page for those who have nothing else ---------------------------------------


@dataclass(frozen=True, slots=True)
class Played:
    """What the page's blocks did: exit codes from the first block on, and all they printed."""

    codes: tuple[int, ...]
    text: str


@pytest.fixture(scope="module")
def composition(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the demo's composition, its bundle and the signer's public key."""
    folder = tmp_path_factory.mktemp("composition")
    made = teapot.compose(REPOSITORY / "configs" / "demo.config", output=folder / "demo.jsonl")
    bundle = Bundle.sign(made.paths.manifest.read_bytes(), SIGNER)
    (folder / "demo.manifest.sigstore.json").write_bytes(bundle.to_bytes())
    (folder / "signer.pem").write_bytes(SIGNER.public.to_pem())
    return folder


@pytest.fixture
def folder(composition: Path, tmp_path: Path) -> Path:
    """A copy of that folder, to be tampered with."""
    return Path(shutil.copytree(composition, tmp_path / "folder"))


@pytest.fixture(scope="module")
def only_posix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for PATH that holds openssl and tools of POSIX, and nothing else."""
    tools = tmp_path_factory.mktemp("bin")
    for name in (*POSIX_TOOLS, "openssl"):
        (tools / name).symlink_to(tool(name))
    return tools


@pytest.fixture
def play(folder: Path, only_posix: Path, tmp_path: Path) -> Callable[[], Played]:
    """Run the page's blocks in one shell."""
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 7
    (tmp_path / "temporary").mkdir()

    def played() -> Played:
        codes = tmp_path / "codes"
        codes.unlink(missing_ok=True)
        script = "".join(f"{block}\necho $? >> '{codes}'\n" for block in blocks)
        environment = {"PATH": str(only_posix), "TMPDIR": str(tmp_path / "temporary")}
        done = subprocess.run(
            [only_posix / "sh", "-c", script], cwd=folder, env=environment, check=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        return Played(tuple(map(int, codes.read_text().split())), done.stdout)

    return played


def steps_that_fail(played: Played) -> set[str]:
    """Return the headed steps of the page that ended with an error."""
    names = ("names", "fingerprint", "payload", "signed bytes", "signature", "data", "clean")
    return {name for name, code in zip(names, played.codes, strict=True) if code}


def edit_bundle(folder: Path, edit: Callable[[Bundle], Bundle]) -> None:
    path = folder / "demo.manifest.sigstore.json"
    path.write_bytes(edit(Bundle.parse(path.read_bytes())).to_bytes())


def test_page_accepts_a_composition_as_it_was_made(
    folder: Path, play: Callable[[], Played], tmp_path: Path
) -> None:
    played = play()
    assert played.codes == (0,) * 7, played.text
    digest = sha256((folder / "demo.jsonl").read_bytes()).hexdigest()
    assert played.text.splitlines() == [
        SIGNER.public.fingerprint,
        "payload: the same bytes as the manifest",
        "Verified OK",
        f"data: {digest}, as the manifest says",
    ]
    assert not list((tmp_path / "temporary").iterdir())


def test_page_notices_an_altered_data_file(folder: Path, play: Callable[[], Played]) -> None:
    data = folder / "demo.jsonl"
    data.write_bytes(flipped(data.read_bytes(), 1000))
    assert steps_that_fail(play()) == {"data"}


def test_page_notices_a_missing_data_file(folder: Path, play: Callable[[], Played]) -> None:
    (folder / "demo.jsonl").unlink()
    assert steps_that_fail(play()) == {"data"}


def test_page_notices_an_altered_manifest(folder: Path, play: Callable[[], Played]) -> None:
    manifest = folder / "demo.manifest.json"
    manifest.write_bytes(flipped(manifest.read_bytes(), 1000))
    assert steps_that_fail(play()) == {"payload", "signature"}


def test_page_notices_a_manifest_that_was_fitted_to_other_data(
    folder: Path, play: Callable[[], Played]
) -> None:
    data, manifest = folder / "demo.jsonl", folder / "demo.manifest.json"
    before = sha256(data.read_bytes()).hexdigest().encode()
    data.write_bytes(flipped(data.read_bytes(), 1000))
    after = sha256(data.read_bytes()).hexdigest().encode()
    forged = manifest.read_bytes().replace(before, after)
    manifest.write_bytes(forged)
    assert steps_that_fail(play()) == {"payload", "signature"}
    edit_bundle(folder, lambda bundle: replace(bundle, payload=forged))
    assert steps_that_fail(play()) == {"signature"}


def test_page_notices_a_manifest_without_a_subject(
    folder: Path, play: Callable[[], Played]
) -> None:
    (folder / "demo.manifest.json").write_bytes(b"{}\n")
    (folder / "demo.jsonl").unlink()
    edit_bundle(folder, lambda bundle: Bundle.sign(b"{}\n", SIGNER))
    assert steps_that_fail(play()) == {"data"}


def test_page_notices_an_altered_payload(folder: Path, play: Callable[[], Played]) -> None:
    edit_bundle(folder, lambda bundle: replace(bundle, payload=flipped(bundle.payload, 1000)))
    assert steps_that_fail(play()) == {"payload"}


def test_page_notices_an_altered_signature(folder: Path, play: Callable[[], Played]) -> None:
    edit_bundle(folder, lambda bundle: replace(bundle, signature=flipped(bundle.signature, 40)))
    assert steps_that_fail(play()) == {"signature"}


def test_page_notices_a_signature_over_something_else_than_the_head_and_the_manifest(
    folder: Path, play: Callable[[], Played]
) -> None:
    edit_bundle(folder, lambda bundle: replace(bundle, signature=SIGNER.sign(bundle.payload)))
    assert steps_that_fail(play()) == {"signature"}
    other = "application/vnd.other+json"
    edit_bundle(
        folder, lambda bundle: replace(bundle, signature=SIGNER.sign(pae(other, bundle.payload)))
    )
    assert steps_that_fail(play()) == {"signature"}


def test_page_notices_another_key(folder: Path, play: Callable[[], Played]) -> None:
    (folder / "signer.pem").write_bytes(STRANGER.public.to_pem())
    played = play()
    assert steps_that_fail(played) == {"signature"}
    assert played.text.splitlines()[0] == STRANGER.public.fingerprint


@pytest.mark.parametrize("size", [1, 47, 48, 49, 5 << 20])
def test_page_takes_payloads_of_any_size(
    folder: Path, play: Callable[[], Played], size: int
) -> None:
    payload = bytes(size)
    (folder / "demo.manifest.json").write_bytes(payload)
    edit_bundle(folder, lambda bundle: Bundle.sign(payload, SIGNER))
    assert steps_that_fail(play()) == {"data"}


@pytest.mark.parametrize("passphrase", [None, b"a secret of many words"])
def test_openssl_reads_our_private_key(tmp_path: Path, passphrase: bytes | None) -> None:
    path = secret_file(tmp_path / "key.pem", SIGNER.to_pem(passphrase))
    given = f"pass:{(passphrase or b'').decode()}"
    shown = printed("openssl", "pkey", "-in", path, "-passin", given, "-pubout")
    assert shown.encode() == SIGNER.public.to_pem()


_GENPKEY = ("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")


@pytest.mark.parametrize(
    "command",
    [
        _GENPKEY,
        (*_GENPKEY, "-aes256", "-pass", "pass:secret"),
        ("ecparam", "-name", "prime256v1", "-genkey"),
        ("ecparam", "-name", "prime256v1", "-genkey", "-noout"),
    ],
)
def test_keys_and_signatures_of_openssl_are_ours_too(
    tmp_path: Path, command: Sequence[str]
) -> None:
    path, message = tmp_path / "key.pem", tmp_path / "message"
    printed("openssl", *command, "-out", path)
    private = PrivateKey.parse(path.read_bytes(), b"secret")
    public = printed("openssl", "pkey", "-in", path, "-passin", "pass:secret", "-pubout")
    assert PublicKey.parse(public.encode()) == private.public
    message.write_bytes(b"a message")
    signing = ("dgst", "-sha256", "-sign", path, "-passin", "pass:secret", "-out", tmp_path / "sig")
    printed("openssl", *signing, message)
    signature = (tmp_path / "sig").read_bytes()
    assert private.public.has_signed(b"a message", signature)
    assert not private.public.has_signed(b"another message", signature)


# --- ssh-keygen: keys ----------------------------------------------------------------------------


def test_ssh_keygen_shows_the_same_fingerprint(tmp_path: Path) -> None:
    path = tmp_path / "key.pub"
    path.write_text(f"{SIGNER.public.ssh} a comment\n")
    shown = printed("ssh-keygen", "-l", "-f", path)
    assert shown == f"256 {SIGNER.public.fingerprint} a comment (ECDSA)\n"


def test_ssh_keygen_reads_our_private_key(tmp_path: Path) -> None:
    path = secret_file(tmp_path / "key.pem", SIGNER.to_pem())
    assert printed("ssh-keygen", "-y", "-f", path) == f"{SIGNER.public.ssh}\n"


def test_ssh_keygen_reads_our_encrypted_private_key(tmp_path: Path) -> None:
    path = secret_file(tmp_path / "key.pem", SIGNER.to_pem(b"many words"))
    shown = printed("ssh-keygen", "-y", "-P", "many words", "-f", path)
    assert shown == f"{SIGNER.public.ssh}\n"
    code, said = ran("ssh-keygen", "-y", "-P", "other words", "-f", path)
    assert code != 0
    assert "incorrect passphrase" in said


def test_ssh_keygen_makes_pem_of_our_line_as_the_page_says(tmp_path: Path) -> None:
    (tmp_path / "signer.pub").write_text(f"{SIGNER.public.ssh} a comment\n")
    command = re.search(r"`(ssh-keygen -e [^`>]*) > signer\.pem`", PAGE.read_text("utf-8"))
    assert command is not None
    code, pem = ran(*command[1].split(), cwd=tmp_path)
    assert (code, pem.encode()) == (0, SIGNER.public.to_pem())
    assert PublicKey.parse(pem.encode()) == SIGNER.public


@pytest.mark.parametrize("form", [(), ("-m", "PKCS8"), ("-m", "PEM")])
def test_keys_of_ssh_keygen_are_ours_too(tmp_path: Path, form: Sequence[str]) -> None:
    path = tmp_path / "key"
    printed("ssh-keygen", "-q", "-t", "ecdsa", "-b", "256", "-N", "", *form, "-f", path)
    public = PublicKey.parse(path.with_suffix(".pub").read_bytes())
    assert PrivateKey.parse(path.read_bytes()).public == public


def test_a_key_that_ssh_keygen_encrypted_opens_or_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "key"
    printed("ssh-keygen", "-q", "-t", "ecdsa", "-b", "256", "-N", "many words", "-f", path)
    data = path.read_bytes()
    with pytest.raises(PassphraseNeededError, match=r"^is encrypted and needs its passphrase$"):
        PrivateKey.parse(data)
    if importlib.util.find_spec("bcrypt"):
        public = PublicKey.parse(path.with_suffix(".pub").read_bytes())
        assert PrivateKey.parse(data, b"many words").public == public
        with pytest.raises(PassphraseNeededError, match=r"^is not opened by this passphrase$"):
            PrivateKey.parse(data, b"other words")
    else:
        with pytest.raises(KeyFormatError, match="in a form that cannot be read here"):
            PrivateKey.parse(data, b"many words")


# --- ssh-keygen: trust files ---------------------------------------------------------------------

NOON = "20240615120000Z"
BEFORE, AFTER = "20240101000000Z", "20250101000000Z"


@dataclass(frozen=True, slots=True)
class SshKeygen:
    """A message that SIGNER signed with ssh-keygen, and ssh-keygen's verdict on trust files."""

    folder: Path

    def accepts(
        self,
        trust: str,
        *,
        namespace: str = "teapot",
        principal: str = "alice",
        at: str = NOON,
        revoked: str | None = None,
    ) -> bool:
        """Tell whether the signature is good, who signed, and whether that one may."""
        (self.folder / "trust").write_text(trust, encoding="utf-8")
        more: list[str | Path] = []
        if revoked is not None:
            (self.folder / "revoked").write_text(revoked)
            more = ["-r", self.folder / "revoked"]
        code, said = ran(
            "ssh-keygen", "-Y", "verify", "-f", self.folder / "trust", "-I", principal,
            "-n", namespace, "-s", self.folder / "signature", "-O", f"verify-time={at}", *more,
            given=b"a message",
        )  # fmt: skip
        assert (code == 0) == said.startswith(f'Good "{namespace}" signature for {principal} ')
        return code == 0


@pytest.fixture(scope="module")
def ssh_keygen(tmp_path_factory: pytest.TempPathFactory) -> SshKeygen:
    """Sign a message with our key file, as ssh-keygen does for git."""
    folder = tmp_path_factory.mktemp("ssh")
    secret_file(folder / "key.pem", SIGNER.to_pem())
    # ssh-keygen wants the public half beside a PEM file, under this name.
    (folder / "key.pem.pub").write_text(f"{SIGNER.public.ssh}\n")
    signing = ("ssh-keygen", "-q", "-Y", "sign", "-f", folder / "key.pem", "-n", "teapot")
    code, signature = ran(*signing, given=b"a message")
    assert code == 0, signature
    (folder / "signature").write_text(signature)
    return SshKeygen(folder)


def entry(**parts: object) -> TrustedKey:
    fields: Mapping[str, object] = {"principals": "alice", "key": SIGNER.public, "where": "t:1"}
    return TrustedKey(**{**fields, **parts})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "made",
    [
        entry(),
        entry(comment="of Alice's laptop, the \"old\" one"),
        entry(namespaces="git,teapot"),
        entry(valid_after=parse_time(BEFORE)),
        entry(valid_before=parse_time(AFTER)),
        entry(
            namespaces="tea*", valid_after=parse_time(BEFORE), valid_before=parse_time(AFTER),
            comment="all of it",
        ),
        entry(principals="bob,alice"),
        entry(principals="*"),
    ],
)  # fmt: skip
def test_ssh_keygen_accepts_the_lines_we_write(ssh_keygen: SshKeygen, made: TrustedKey) -> None:
    assert ssh_keygen.accepts(f"{made.to_line()}\n")
    assert not ssh_keygen.accepts(f"{replace(made, key=STRANGER.public).to_line()}\n")


@pytest.mark.parametrize("principal", ["alice bob", "#alice", "alice\tbob", "a\\", "a b\\"])
def test_ssh_keygen_reads_principals_that_need_quotes(
    ssh_keygen: SshKeygen, principal: str
) -> None:
    assert ssh_keygen.accepts(f"{entry(principals=principal).to_line()}\n", principal=principal)


def test_ssh_keygen_takes_our_own_lines_for_comments(ssh_keygen: SshKeygen) -> None:
    text = (
        '#sigstore identity="alice@example.com" issuer="https://accounts.example.com"\n'
        '#timestamp-authority certificate="tsa.pem"\n'
        f"# a comment\n\nbob {ED25519_LINE}\n{entry().to_line()}\n"
    )
    assert ssh_keygen.accepts(text)
    read = parse_trust(text, "t")
    assert (len(read.keys), len(read.identities), len(read.authorities)) == (1, 1, 1)
    assert len(read.unusable) == 1


def test_ssh_keygen_keeps_to_what_our_lines_limit(ssh_keygen: SshKeygen) -> None:
    made = entry(
        namespaces="teapot", valid_after=parse_time(BEFORE), valid_before=parse_time(AFTER)
    )
    line = f"{made.to_line()}\n"
    assert ssh_keygen.accepts(line)
    assert not ssh_keygen.accepts(line, namespace="git")
    assert not ssh_keygen.accepts(line, principal="bob")
    assert not ssh_keygen.accepts(line, at="20231231235959Z")
    assert not ssh_keygen.accepts(line, at="20250101000001Z")
    assert not ssh_keygen.accepts(f"{replace(made, namespaces='git').to_line()}\n")


REVOKED_LISTS = {
    f"{SIGNER.public.ssh}\n": True,
    f"{SIGNER.public.ssh} left in May\n": True,
    f"# why\n\n  {SIGNER.public.ssh}\r\n": True,
    f"{ED25519_LINE}\n{STRANGER.public.ssh}\n{SIGNER.public.ssh}\n": True,
    f"{ED25519_LINE}\n{STRANGER.public.ssh}\n": False,
    "# nobody\n": False,
    "": False,
}


@pytest.mark.parametrize(("revoked", "is_revoked"), REVOKED_LISTS.items())
def test_ssh_keygen_reads_our_lists_of_revoked_keys(
    ssh_keygen: SshKeygen, revoked: str, is_revoked: bool
) -> None:
    accepted = ssh_keygen.accepts(f"{entry().to_line()}\n", revoked=revoked)
    assert accepted is not is_revoked
    assert (SIGNER.public in parse_revoked(revoked, "r")) is is_revoked


@pytest.mark.parametrize(
    "revoked",
    [
        f"alice {SIGNER.public.ssh}\n",
        f"what is this\n{SIGNER.public.ssh}\n",
        "ecdsa-sha2-nistp256\n",
    ],
)
def test_both_refuse_everything_under_a_list_of_revoked_keys_that_is_in_doubt(
    ssh_keygen: SshKeygen, revoked: str
) -> None:
    assert not ssh_keygen.accepts(f"{entry().to_line()}\n", revoked=revoked)
    with pytest.raises(TrustFileError):
        parse_revoked(revoked, "r")


def ours_accepts(trust: str, at: str = NOON) -> bool | None:
    """Return our verdict on SIGNER in the namespace teapot; None if we refuse the file."""
    try:
        keys = parse_trust(trust, "t").keys
    except TrustFileError:
        return None
    moment = parse_time(at)
    return any(
        one.key == SIGNER.public
        and one.covers("teapot")
        and (one.valid_after is None or moment >= one.valid_after)
        and (one.valid_before is None or moment <= one.valid_before)
        for one in keys
    )


KEY = SIGNER.public.ssh
SAME_VERDICT = {
    # principals and blanks
    f"alice {KEY}": True,
    f"alice\t{KEY}": True,
    f" \talice \t {KEY}".replace("256 ", "256\t"): True,
    f"alice {KEY}\r": True,
    f"alice {KEY} a comment\r": True,
    f'alice {KEY} a "comment': True,
    f'"alice" {KEY}': True,
    f'"alice"{KEY}': True,
    f'al"ice" {KEY}': True,
    f"bob,alice {KEY}": True,
    f"al?c* {KEY}": True,
    f"# alice {KEY}": False,
    # patterns of namespaces
    **{
        f'alice namespaces="{patterns}" {KEY}': verdict
        for patterns, verdict in {
            "teapot": True, "git": False, "*": True, "tea*": True, "*pot": True, "t*p*t": True,
            "t????t": True, "t?????t": False, "?eapot": True, "?*": True, "**": True,
            "teapot*": True, "teapot?": False, "TEAPOT": False, "git,teapot": True,
            "git, teapot": False, "teapot,": True, ",teapot": True, "*,!teapot": False,
            "!teapot,*": False, "teapot,!tea*": False, "!git": False, "!git,*": True,
            "git,!git,teapot": True, "!!teapot,*": True, "tea[p]ot": False, "te.pot": False,
            "te\\apot": False, "teapot|git": False, "teapot ": False,
        }.items()
    },
    f'alice NAMESPACES="teapot" {KEY}': True,
    f'alice ,namespaces="teapot" {KEY}': True,
    f'alice NameSpaces="git" {KEY}': False,
    # times
    f'alice valid-after="20240101" {KEY}': True,
    f'alice valid-after="20250101" {KEY}': False,
    f'alice valid-before="20240101" {KEY}': False,
    f'alice valid-before="20250101" {KEY}': True,
    f'alice valid-after="20240101",valid-before="20250101Z",namespaces="teapot" {KEY}': True,
    f'alice valid-after="20240101",valid-before="20250101Z",namespaces="git" {KEY}': False,
    f'alice valid-after="20250101",valid-before="20240101" {KEY}': False,
    f'alice namespaces="teapot",,valid-after="20240101" {KEY}': True,
    # keys that are not for this
    f"alice cert-authority {KEY}": False,
    f'alice cert-authority,namespaces="teapot" {KEY}': False,
    f"alice {ED25519_LINE}": False,
    f"alice {STRANGER.public.ssh}": False,
}  # fmt: skip


@pytest.mark.parametrize(("line", "verdict"), SAME_VERDICT.items())
def test_ssh_keygen_and_we_say_the_same_of_a_line(
    ssh_keygen: SshKeygen, line: str, verdict: bool
) -> None:
    assert ssh_keygen.accepts(f"{line}\n") is verdict
    assert ours_accepts(f"{line}\n") is verdict


BOTH_REFUSE = [
    "alice",
    f'"alice {KEY}',
    f"alice , {KEY}",
    f'alice namespaces="teapot", {KEY}',
    f"alice namespaces=teapot {KEY}",
    f'alice namespaces="teapot {KEY}',
    f'alice namespaces="teapot\\" {KEY}',
    f'alice namespaces="git"x",teapot," {KEY}',
    f'alice namespaces="git",namespaces="teapot" {KEY}',
    f'alice namespaces="teapot" valid-after="20240101" {KEY}',
    f'alice no-such-option="x" {KEY}',
    f"alice {KEY}# no comment",
    f"alice {KEY}=",
    f"alice {KEY[:-8]}",
    f"alice {KEY[:-5]}!{KEY[-5:]}",
    f"alice\f{KEY}",
    f"alice {KEY}".replace("256 ", "256\f"),
    *(
        f'alice valid-after="{time}" {KEY}'
        for time in [
            "", "Z", "2024", "2024011", "202401011", "20241301", "20240132", "20240101T00",
            "20240101 Z", "20240101ZZ", "2024-01-01", "202401012400", "19691231Z", "19700101Z",
            "00010101", "+2024010",
        ]
    ),
]  # fmt: skip


@pytest.mark.parametrize("line", BOTH_REFUSE)
def test_ssh_keygen_and_we_refuse_the_same_lines(ssh_keygen: SshKeygen, line: str) -> None:
    assert not ssh_keygen.accepts(f"{line}\n")
    assert ours_accepts(f"{line}\n") is None


WE_ARE_STRICTER = [
    f"bob what is this\nalice {KEY}",
    f"alice {KEY}\nbob what is this",
    f'alice namespaces="a\\"b,teapot" {KEY}',
    f'alice valid-after="20240230Z" {KEY}',
    f'alice valid-after="20240101000060Z" {KEY}',
    f'alice valid-after="2024 1 1Z" {KEY}',
]


@pytest.mark.parametrize("trust", WE_ARE_STRICTER)
def test_we_refuse_files_in_doubt_that_ssh_keygen_takes(ssh_keygen: SshKeygen, trust: str) -> None:
    assert ssh_keygen.accepts(f"{trust}\n")
    assert ours_accepts(f"{trust}\n") is None


@pytest.fixture(
    params=["UTC0", "CET-1CEST,M3.5.0,M10.5.0/3", "EST5EDT,M3.2.0,M11.1.0", "LHST-10:30"]
)
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Live in a time zone, given by its rules, so that no data of zones is needed."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", request.param)
        time.tzset()
        yield request.param
    time.tzset()


@pytest.mark.parametrize(
    "text",
    [
        "20240115", "202401151030", "20240115103045", "20240115Z", "20240115103045Z",
        "20240715", "202407151030", "20240715103045", "20240715103045Z",
        "20240715z", "202407151030UTC", "20240715utc",
        "20240331023000", "20241027023000", "20240310023000", "20241103013000",
    ],
)  # fmt: skip
def test_ssh_keygen_and_we_read_the_same_moment(
    ssh_keygen: SshKeygen, zone: str, text: str
) -> None:
    bound = parse_time(text)
    before, at, after = (
        f"{(bound + timedelta(seconds=step)).astimezone(UTC):%Y%m%d%H%M%SZ}" for step in (-1, 0, 1)
    )
    since, until = f'alice valid-after="{text}" {KEY}\n', f'alice valid-before="{text}" {KEY}\n'
    said = [
        (ssh_keygen.accepts(since, at=moment), ssh_keygen.accepts(until, at=moment))
        for moment in (before, at, after)
    ]
    assert said == [(False, True), (True, True), (True, False)]
    assert said == [
        (ours_accepts(since, moment), ours_accepts(until, moment)) for moment in (before, at, after)
    ]


# --- securesystemslib ----------------------------------------------------------------------------


def their_key(private: PrivateKey, identity: str) -> SSlibKey:
    public = {"public": private.public.to_pem().decode("ascii")}
    return SSlibKey(identity, "ecdsa", "ecdsa-sha2-nistp256", public)


def their_envelope(bundle: Bundle) -> Envelope:
    return Envelope.from_dict(json.loads(bundle.to_bytes())["dsseEnvelope"])


def test_securesystemslib_verifies_our_envelope(composition: Path) -> None:
    data = (composition / "demo.manifest.sigstore.json").read_bytes()
    envelope = their_envelope(Bundle.parse(data))
    assert envelope.payload == (composition / "demo.manifest.json").read_bytes()
    assert envelope.pae() == Bundle.parse(data).message
    # It looks for the key by the envelope's keyid alone, and so wants one.
    good = their_key(SIGNER, SIGNER.public.fingerprint)
    assert envelope.verify([good], 1) == {good.keyid: good}


@pytest.mark.parametrize(
    "edit",
    [
        lambda bundle: replace(bundle, payload=flipped(bundle.payload, 3)),
        lambda bundle: replace(bundle, payload_type="application/vnd.other+json"),
        lambda bundle: replace(bundle, signature=STRANGER.sign(bundle.message)),
    ],
)
def test_securesystemslib_refuses_an_altered_envelope(edit: Callable[[Bundle], Bundle]) -> None:
    envelope = their_envelope(edit(Bundle.sign(b"a payload", SIGNER)))
    with pytest.raises(VerificationError):
        envelope.verify([their_key(SIGNER, SIGNER.public.fingerprint)], 1)


@pytest.mark.parametrize("payload", [b"a payload", b"\0\xff\n", "é€😀".encode()])
def test_an_envelope_of_securesystemslib_is_ours_too(payload: bytes) -> None:
    loaded = load_pem_private_key(SIGNER.to_pem(), None)
    signer = CryptoSigner(loaded, their_key(SIGNER, "any name"))  # type: ignore[arg-type]
    envelope = Envelope(payload, IN_TOTO, {})
    envelope.sign(signer)
    root = {
        "mediaType": MEDIA_TYPE,
        "verificationMaterial": {"publicKey": {"hint": "any name"}},
        "dsseEnvelope": envelope.to_dict(),
    }
    bundle = Bundle.parse(json.dumps(root).encode())
    assert (bundle.payload, bundle.keyid) == (payload, "any name")
    assert SIGNER.public.has_signed(bundle.message, bundle.signature)
    assert not STRANGER.public.has_signed(bundle.message, bundle.signature)
