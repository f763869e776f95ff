"""Trust: who may sign, for what and when; and the files that say so, read whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from teapot.allowed_signers import TrustedKey
from teapot.dsse import pae
from teapot.errors import TrustError
from teapot.trust import Trust
from teapot.trustfile import (
    add_line,
    load_trust,
    remove_keys,
    revoke,
    revoked_file,
    trust_places,
    user_trust_file,
)
from tests.support.keys import key
from tests.support.machine import listing, new_machine, no_waiting

ALICE, BOB, CAROL = (key(number).public for number in (1, 2, 3))
NOW = datetime(2024, 6, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MIDNIGHT = datetime(2024, 1, 1, tzinfo=UTC)


def entry(
    principals: str = "alice", where: str = "team:1", *, after: datetime | None = None,
    before: datetime | None = None, namespaces: str | None = "teapot", of: object = ALICE,
) -> TrustedKey:  # fmt: skip
    assert isinstance(of, type(ALICE))
    return TrustedKey(
        principals=principals, key=of, where=where, namespaces=namespaces, valid_after=after,
        valid_before=before,
    )  # fmt: skip


def problems(call: Callable[[], object]) -> list[str]:
    """Return what is said against trust files, which must be refused."""
    with pytest.raises(TrustError) as caught:
        call()
    return list(map(str, caught.value.problems))


# --- judging -------------------------------------------------------------------------------------


def test_key_of_a_line_is_trusted_as_its_principal() -> None:
    judged = Trust(keys=(entry(),)).judge(ALICE, NOW)
    assert judged.is_trusted
    assert judged.reason == "is trusted as alice by team:1"
    assert (judged.principals, judged.where) == ("alice", "team:1")


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ((), "is in no trust file (no trust file was found)"),
        (("a", "b/c"), "is in no trust file (a, b/c)"),
    ],
)
def test_key_that_no_line_names_is_refused(files: tuple[str, ...], told: str) -> None:
    judged = Trust(keys=(entry(of=BOB),), files=files).judge(ALICE, NOW)
    assert (judged.is_trusted, judged.reason) == (False, told)
    assert (judged.principals, judged.where) == ("", "")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (entry(namespaces="git"), "may sign for git, not for teapot (team:1)"),
        (entry(namespaces="git,file"), "may sign for git,file, not for teapot (team:1)"),
        (entry(namespaces="*,!teapot"), "may sign for *,!teapot, not for teapot (team:1)"),
        (
            entry(after=NOW + SECOND),
            "is valid only after 2024-06-01 12:00:01 UTC (team:1)",
        ),
        (
            entry(before=NOW - SECOND),
            "was valid only before 2024-06-01 11:59:59 UTC (team:1)",
        ),
        (
            entry(namespaces="git", before=NOW - SECOND),
            "may sign for git, not for teapot (team:1)",
        ),
    ],
    ids=["namespace", "two", "but", "early", "late", "first reason"],
)
def test_line_that_does_not_cover_a_signature_refuses_it_and_says_why(
    line: TrustedKey, told: str
) -> None:
    judged = Trust(keys=(line,)).judge(ALICE, NOW)
    assert (judged.is_trusted, judged.reason) == (False, told)
    assert (judged.principals, judged.where) == ("alice", "team:1")


@pytest.mark.parametrize("namespaces", [None, "*", "teapot", "git,teapot", "tea*", "teapo?"])
def test_line_covers_the_namespaces_of_its_patterns(namespaces: str | None) -> None:
    assert Trust(keys=(entry(namespaces=namespaces),)).judge(ALICE, NOW).is_trusted


def test_another_namespace_is_judged_for_itself() -> None:
    trust = Trust(keys=(entry(namespaces="git"),))
    assert trust.judge(ALICE, NOW, "git").is_trusted
    assert not trust.judge(ALICE, NOW, "file").is_trusted


@pytest.mark.parametrize(
    ("at", "is_trusted"),
    [
        (MIDNIGHT - timedelta(microseconds=1), False),
        (MIDNIGHT, True),
        (NOW, True),
        (NOW + timedelta(microseconds=1), False),
    ],
)
def test_bounds_are_inside(at: datetime, is_trusted: bool) -> None:
    trust = Trust(keys=(entry(after=MIDNIGHT, before=NOW),))
    assert trust.judge(ALICE, at).is_trusted is is_trusted


def test_times_are_compared_across_time_zones() -> None:
    trust = Trust(keys=(entry(before=NOW),))
    far = timezone(timedelta(hours=14))
    assert trust.judge(ALICE, NOW.astimezone(far)).is_trusted
    told = trust.judge(ALICE, (NOW + SECOND).astimezone(far)).reason
    assert told == "was valid only before 2024-06-01 12:00:00 UTC (team:1)"


def test_one_line_that_holds_is_enough_of_several() -> None:
    lines = (
        entry("old", "team:1", before=MIDNIGHT),
        entry("git", "team:2", namespaces="git"),
        entry("new", "team:3"),
        entry("last", "team:4"),
    )
    assert Trust(keys=lines).judge(ALICE, NOW).reason == "is trusted as new by team:3"


def test_first_line_says_why_where_none_holds() -> None:
    lines = (entry("a", "team:1", before=MIDNIGHT), entry("b", "team:2", namespaces="git"))
    judged = Trust(keys=lines).judge(ALICE, NOW)
    assert judged.reason == "was valid only before 2024-01-01 00:00:00 UTC (team:1)"
    assert judged.principals == "a"


@pytest.mark.parametrize("keys", [(), (entry(),), (entry(), entry("again", "own:1"))])
def test_revoked_key_is_refused_whatever_lines_name_it(keys: tuple[TrustedKey, ...]) -> None:
    judged = Trust(keys=keys, revoked={ALICE: "gone:7"}).judge(ALICE, NOW)
    assert (judged.is_trusted, judged.reason) == (False, "was revoked in gone:7")


def test_revoking_one_key_leaves_the_others() -> None:
    trust = Trust(keys=(entry(), entry("bob", of=BOB)), revoked={ALICE: "gone:7"})
    assert trust.judge(BOB, NOW).is_trusted


def test_signer_is_found_among_the_named_and_the_revoked() -> None:
    message = pae("t", b"payload")
    trust = Trust(keys=(entry(of=BOB), entry(of=ALICE)), revoked={CAROL: "gone:1"})
    for number, public in ((1, ALICE), (2, BOB), (3, CAROL)):
        assert trust.signer_of(message, key(number).sign(message)) == public
    assert trust.signer_of(message, key(4).sign(message)) is None
    assert trust.signer_of(message + b".", key(1).sign(message)) is None


# --- reading -------------------------------------------------------------------------------------


@pytest.fixture
def config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A project to stand in, and where the user's own trust file goes."""
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    found = new_machine(monkeypatch, tmp_path)
    found.mkdir(parents=True)
    return found


def lay(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def test_nothing_is_believed_where_there_is_no_file(config: Path) -> None:
    assert load_trust() == Trust()
    assert trust_places(None) == [Path("teapot.allowed_signers"), user_trust_file()]


def test_project_comes_before_the_user(config: Path) -> None:
    own = lay(config / "allowed_signers", f"own {ALICE.ssh}", f"bob {BOB.ssh}")
    lay(Path("teapot.allowed_signers"), "", f"team {ALICE.ssh}")
    trust = load_trust()
    assert trust.files == ("teapot.allowed_signers", str(own))
    assert [(one.principals, one.where) for one in trust.keys] == [
        ("team", "teapot.allowed_signers:2"), ("own", f"{own}:1"), ("bob", f"{own}:2"),
    ]  # fmt: skip
    assert trust.judge(ALICE, NOW).principals == "team"


def test_given_file_counts_alone(config: Path, tmp_path: Path) -> None:
    lay(config / "allowed_signers", f"own {ALICE.ssh}")
    lay(Path("teapot.allowed_signers"), f"team {BOB.ssh}")
    given = lay(tmp_path / "given", f"carol {CAROL.ssh}")
    trust = load_trust(given)
    assert [one.principals for one in trust.keys] == ["carol"]
    assert trust.files == (str(given),)


def test_faults_of_files_that_do_not_count_are_not_told(config: Path, tmp_path: Path) -> None:
    lay(Path("teapot.allowed_signers"), "nonsense")
    lay(Path("teapot.revoked_keys"), "nonsense")
    assert load_trust(lay(tmp_path / "given", f"carol {CAROL.ssh}")).keys


@pytest.mark.parametrize(
    ("trust_file", "revoked"),
    [
        ("allowed_signers", "revoked_keys"),
        ("teapot.allowed_signers", "teapot.revoked_keys"),
        ("allowed_signers.txt", "revoked_keys.txt"),
        ("team", "team.revoked_keys"),
    ],
)
def test_revoked_keys_lie_beside_their_trust_file(trust_file: str, revoked: str) -> None:
    assert revoked_file(Path("a", trust_file)) == Path("a", revoked)


@pytest.mark.parametrize("place", ["project", "user", "given"])
def test_users_revocations_always_count(config: Path, tmp_path: Path, place: str) -> None:
    given = None
    if place == "given":
        given = lay(tmp_path / "given", f"alice {ALICE.ssh}")
    elif place == "project":
        lay(Path("teapot.allowed_signers"), f"alice {ALICE.ssh}")
    else:
        lay(config / "allowed_signers", f"alice {ALICE.ssh}")
    assert load_trust(given).judge(ALICE, NOW).is_trusted
    gone = lay(config / "revoked_keys", ALICE.ssh)
    assert load_trust(given).judge(ALICE, NOW).reason == f"was revoked in {gone}:1"


def test_revocations_of_project_and_given_file_count_with_it_only(
    config: Path, tmp_path: Path
) -> None:
    lay(config / "allowed_signers", f"own {ALICE.ssh}", f"own {BOB.ssh}")
    given = lay(tmp_path / "given", f"alice {ALICE.ssh}", f"bob {BOB.ssh}")
    lay(Path("teapot.revoked_keys"), ALICE.ssh)
    beside = lay(tmp_path / "given.revoked_keys", BOB.ssh)
    assert load_trust().revoked == {ALICE: "teapot.revoked_keys:1"}
    assert load_trust(given).revoked == {BOB: f"{beside}:1"}


def test_first_of_two_revocations_is_named(config: Path) -> None:
    lay(config / "revoked_keys", ALICE.ssh)
    lay(Path("teapot.revoked_keys"), ALICE.ssh)
    assert load_trust().revoked == {ALICE: "teapot.revoked_keys:1"}


def test_all_bad_lines_of_all_files_are_named_at_once(config: Path) -> None:
    own = lay(config / "allowed_signers", "bad", f"own {ALICE.ssh}", "worse")
    gone = lay(config / "revoked_keys", ALICE.ssh, "broken")
    lay(Path("teapot.allowed_signers"), f"team {BOB.ssh}", "wrong")
    lay(Path("teapot.revoked_keys"), "odd")
    assert [told.partition(": ")[0] for told in problems(load_trust)] == [
        "teapot.allowed_signers:2", f"{own}:1", f"{own}:3", "teapot.revoked_keys:1", f"{gone}:2",
    ]  # fmt: skip


def test_lines_with_keys_of_other_kinds_are_noted_and_harm_nobody(config: Path) -> None:
    lay(config / "allowed_signers", "dan ssh-ed25519 AAAA", f"own {ALICE.ssh}")
    lay(config / "revoked_keys", "ssh-ed25519 AAAA")
    trust = load_trust()
    assert [one.principals for one in trust.keys] == ["own"]
    assert [problem.where for problem in trust.unusable] == [f"{config / 'allowed_signers'}:1"]


FILES = ["allowed_signers", "revoked_keys"]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("mode", [0o602, 0o646, 0o666, 0o777])
def test_file_that_anyone_can_write_is_refused(config: Path, name: str, mode: int) -> None:
    path = lay(config / name, "# empty")
    path.chmod(mode)
    assert problems(load_trust) == [
        f"{path}: can be written by anyone (mode {mode:04o}); run: chmod 644 {path}"
    ]


@pytest.mark.parametrize("mode", [0o400, 0o600, 0o644, 0o664])
def test_file_that_the_owner_and_their_group_can_write_is_read(config: Path, mode: int) -> None:
    lay(config / "allowed_signers", f"own {ALICE.ssh}").chmod(mode)
    assert load_trust().keys


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda path: path.write_bytes(b"# na\xc3\xafve \xff\n"), "is not UTF-8 (byte 9)"),
        (
            lambda path: path.write_bytes(b"#" * ((4 << 20) + 1)),
            "has over 4,194,304 bytes: no trust file",
        ),
        (Path.mkdir, "cannot be read: not a regular file"),
        (os.mkfifo, "cannot be read: not a regular file"),
        (lambda path: path.symlink_to("/dev/zero"), "cannot be read: not a regular file"),
        (lambda path: path.symlink_to("gone"), "cannot be read: No such file or directory"),
        (
            lambda path: path.symlink_to(path.name),
            "cannot be read: Too many levels of symbolic links",
        ),
    ],
    ids=["encoding", "size", "folder", "FIFO", "device", "nowhere", "loop"],
)
def test_what_cannot_be_read_is_refused_and_never_passed_over(
    config: Path, name: str, make: Callable[[Path], object], told: str
) -> None:
    path = config / name
    make(path)
    with no_waiting():
        assert problems(load_trust) == [f"{path}: {told}"]


def test_file_of_the_greatest_size_is_read(config: Path) -> None:
    (config / "allowed_signers").write_bytes(b"#" * ((4 << 20) - 1) + b"\n")
    assert load_trust().files


@pytest.mark.parametrize("make", [lambda path: None, Path.mkdir], ids=["missing", "folder"])
def test_given_file_must_be_there(
    config: Path, tmp_path: Path, make: Callable[[Path], object]
) -> None:
    make(tmp_path / "given")
    told = [f"{tmp_path / 'given'}: no such trust file"]
    assert problems(lambda: load_trust(tmp_path / "given")) == told


def test_certificate_lies_relative_to_the_trust_file_that_names_it(
    config: Path, tmp_path: Path
) -> None:
    lay(config / "allowed_signers", '#timestamp-authority certificate="tsa.pem"')
    lay(
        Path("teapot.allowed_signers"),
        '#timestamp-authority certificate="certificates/tsa.pem"',
        f'#timestamp-authority certificate="{tmp_path}/far.pem"',
    )
    assert [Path(found.certificate) for found in load_trust().authorities] == [
        Path("certificates/tsa.pem"), tmp_path / "far.pem", config / "tsa.pem",
    ]  # fmt: skip
    given = lay(tmp_path / "given", '#timestamp-authority certificate="../x.pem"')
    (found,) = load_trust(given).authorities
    assert (found.certificate, found.where) == (f"{tmp_path}/../x.pem", f"{given}:1")


# --- writing -------------------------------------------------------------------------------------

# Comments, blanks, CRLF, a key of another kind and odd spacing: all as their owner wrote them.
KEPT = (
    f"# the team\t\n\n  bob   {BOB.ssh}  the  laptop \r\n"
    'dan ssh-ed25519 AAAA\n#sigstore identity="é" issuer="x"\n'
).encode()


def test_line_is_appended_and_nothing_else_is_touched(config: Path) -> None:
    path = config / "allowed_signers"
    path.write_bytes(KEPT)
    add_line(path, f"alice {ALICE.ssh}")
    assert path.read_bytes() == KEPT + f"alice {ALICE.ssh}\n".encode()


@pytest.mark.parametrize("ending", [b"", b"\n"], ids=["none", "LF"])
def test_file_without_a_last_line_feed_gets_one(config: Path, ending: bytes) -> None:
    path = config / "allowed_signers"
    path.write_bytes(f"bob {BOB.ssh}".encode() + ending)
    add_line(path, f"alice {ALICE.ssh}")
    assert path.read_text() == f"bob {BOB.ssh}\nalice {ALICE.ssh}\n"


def test_first_line_makes_the_file_and_its_folder(config: Path) -> None:
    config.rmdir()
    add_line(user_trust_file(), f"alice {ALICE.ssh}")
    assert user_trust_file().read_text() == f"alice {ALICE.ssh}\n"
    assert stat.S_IMODE(config.stat().st_mode) == 0o700
    assert stat.S_IMODE(user_trust_file().stat().st_mode) == 0o644


@pytest.mark.parametrize("line", ["nonsense", "alice", f"alice {ALICE.ssh[:-8]}"])
def test_line_that_would_not_be_read_back_is_not_written(config: Path, line: str) -> None:
    path = config / "allowed_signers"
    path.write_bytes(KEPT)
    (told,) = problems(lambda: add_line(path, line))
    assert told.startswith(f"{path}:6: ")
    assert path.read_bytes() == KEPT


def test_broken_file_is_not_added_to(config: Path) -> None:
    path = lay(config / "allowed_signers", "nonsense")
    assert len(problems(lambda: add_line(path, f"alice {ALICE.ssh}"))) == 1
    assert path.read_text() == "nonsense\n"


def test_removed_lines_take_no_other_with_them(config: Path) -> None:
    path = config / "allowed_signers"
    alice = f"alice {ALICE.ssh}\n".encode()
    path.write_bytes(alice + KEPT + alice + b"# end, without a line feed")
    gone = remove_keys(path, lambda one: one.key == ALICE)
    assert [one.where for one in gone] == [f"{path}:1", f"{path}:7"]
    assert path.read_bytes() == KEPT + b"# end, without a line feed\n"
    assert remove_keys(path, lambda one: one.key == ALICE) == []


def test_nothing_to_remove_leaves_the_file_as_it_is(config: Path) -> None:
    path = config / "allowed_signers"
    path.write_bytes(KEPT + b"# no line feed")
    before = path.stat()
    assert remove_keys(path, lambda one: one.key == ALICE) == []
    assert path.read_bytes() == KEPT + b"# no line feed"
    assert path.stat().st_ino == before.st_ino


def test_nothing_is_removed_from_a_file_that_is_missing_or_broken(
    config: Path, tmp_path: Path
) -> None:
    missing = tmp_path / "folder" / "none"
    assert problems(lambda: remove_keys(missing, lambda one: True)) == [
        f"{missing}: cannot be read: No such file or directory"
    ]
    assert not missing.parent.exists()
    broken = lay(config / "allowed_signers", f"bob {BOB.ssh}", "nonsense")
    assert len(problems(lambda: remove_keys(broken, lambda one: True))) == 1
    assert broken.read_text() == f"bob {BOB.ssh}\nnonsense\n"


def test_key_is_revoked_once_and_other_lines_stay(config: Path) -> None:
    path = config / "revoked_keys"
    path.write_text(f"# lost\n{BOB.ssh} a  comment")
    assert revoke(user_trust_file(), ALICE, "stolen\n on\ta train ") == path
    expected = f"# lost\n{BOB.ssh} a  comment\n{ALICE.ssh} stolen on a train\n"
    assert path.read_text() == expected
    for known in (ALICE, BOB):
        assert revoke(user_trust_file(), known, "again") == path
    assert path.read_text() == expected


def test_first_revocation_makes_the_list(config: Path) -> None:
    config.rmdir()
    path = revoke(user_trust_file(), ALICE)
    assert path.read_text() == f"{ALICE.ssh}\n"


def test_broken_list_of_revoked_keys_is_not_added_to(config: Path) -> None:
    path = lay(config / "revoked_keys", "nonsense")
    assert len(problems(lambda: revoke(user_trust_file(), ALICE))) == 1
    assert path.read_text() == "nonsense\n"


CHANGES: list[Callable[[Path], object]] = [
    lambda path: add_line(path, f"alice {ALICE.ssh}"),
    lambda path: remove_keys(path, lambda one: True),
    lambda path: revoke(path, ALICE),
]


@pytest.mark.parametrize("change", CHANGES, ids=["add", "remove", "revoke"])
def test_full_disk_leaves_a_file_as_it_was(
    config: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], object]
) -> None:
    path = lay(config / "allowed_signers", f"bob {BOB.ssh}")
    lay(config / "revoked_keys", CAROL.ssh)
    before = {name: (config / name).read_bytes() for name in listing(config)}

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        change(path)
    assert {name: (config / name).read_bytes() for name in listing(config)} == before


def test_link_to_a_trust_file_stays_a_link(config: Path, tmp_path: Path) -> None:
    target = lay(tmp_path / "dotfiles", f"bob {BOB.ssh}")
    user_trust_file().symlink_to(target)
    add_line(user_trust_file(), f"alice {ALICE.ssh}")
    assert user_trust_file().is_symlink()
    assert target.read_text() == f"bob {BOB.ssh}\nalice {ALICE.ssh}\n"


def test_link_to_nowhere_is_not_replaced_by_a_shorter_file(config: Path) -> None:
    (config / "revoked_keys").symlink_to("gone")
    assert "cannot be read: No such file" in problems(lambda: revoke(user_trust_file(), ALICE))[0]
    assert (config / "revoked_keys").is_symlink()


def test_lines_of_all_who_write_at_once_are_kept(config: Path) -> None:
    numbers = range(24)
    with ThreadPoolExecutor(8) as pool:
        for number in numbers:
            pool.submit(add_line, user_trust_file(), f"p{number} {ALICE.ssh}")
            pool.submit(revoke, user_trust_file(), key(number).public)
    trust = load_trust()
    assert {one.principals for one in trust.keys} == {f"p{number}" for number in numbers}
    assert set(trust.revoked) == {key(number).public for number in numbers}
