"""Trust files: what is read, what is refused and how it is said; ssh-keygen has its own tests."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teapot.allowed_signers import (
    TrustedAuthority,
    TrustedIdentity,
    TrustedKey,
    TrustFile,
    TrustFileError,
    parse_revoked,
    parse_time,
    parse_trust,
)
from teapot.signing import PublicKey
from tests.support.keys import key

ALICE, BOB = key(1).public, key(2).public
A, B = ALICE.ssh, BOB.ssh
ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPpKYAkSbb1Zc7mEr2M1nL5yJc1Wc1m1Zc7mEr2M1nL5"


def problems(text: str) -> list[str]:
    """Return what is said against a trust file, which must be refused."""
    with pytest.raises(TrustFileError) as caught:
        parse_trust(text, "team")
    assert str(caught.value) == "\n".join(map(str, caught.value.problems))
    return [str(problem) for problem in caught.value.problems]


def only(text: str) -> TrustedKey:
    """Return the one key of a trust file."""
    (found,) = parse_trust(text, "team").keys
    return found


# --- lines with keys -----------------------------------------------------------------------------


def test_a_line_says_who_and_which_key_and_where() -> None:
    assert only(f"\n# a comment\nalice@example.com {A}\n") == TrustedKey(
        principals="alice@example.com", key=ALICE, where="team:3"
    )


def test_a_line_says_for_what_and_when() -> None:
    options = 'namespaces="git,teapot",valid-after="20240102",valid-before="202502030405Z"'
    found = only(f"alice {options.replace('0102', '0102Z')} {A} on  the\tlaptop")
    assert found.namespaces == "git,teapot"
    assert found.valid_after == datetime(2024, 1, 2, tzinfo=UTC)
    assert found.valid_before == datetime(2025, 2, 3, 4, 5, tzinfo=UTC)
    assert found.comment == "on the laptop"


def test_an_empty_file_trusts_nobody() -> None:
    assert parse_trust("", "team") == parse_trust("\n \t\r\n# nobody\n", "team") == TrustFile()


def test_keys_keep_the_order_of_their_lines() -> None:
    found = parse_trust(f"alice {A}\nbob {B}\nalice {A}\n", "team").keys
    assert [(one.principals, one.where) for one in found] == [
        ("alice", "team:1"), ("bob", "team:2"), ("alice", "team:3"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "principals"),
    [
        (f"alice {A}", "alice"),
        (f"alice,*@example.com {A}", "alice,*@example.com"),
        (f'"alice bob" {A}', "alice bob"),
        (f'alice" bob"\t{A}', "alice bob"),
        (f'"#alice" {A}', "#alice"),
        (f"\t alice\t \t{A}", "alice"),
        (f"\u00a0alice {A}", "\u00a0alice"),
    ],
)
def test_principals_are_read_as_ssh_keygen_reads_them(line: str, principals: str) -> None:
    assert only(line).principals == principals


@pytest.mark.parametrize(
    ("namespaces", "namespace", "is_covered"),
    [
        (None, "teapot", True), ("teapot", "teapot", True), ("git", "teapot", False),
        ("git,tea*", "teapot", True), ("*,!teapot", "teapot", False), ("*,!teapot", "git", True),
        ("!teapot,*", "teapot", False), ("!git", "teapot", False), ("t.*", "teapot", False),
        ("teapot", "teapot\n", False), ("t?????", "teapot", True), ("", "teapot", True),
    ],
)  # fmt: skip
def test_a_line_covers_the_namespaces_it_names(
    namespaces: str | None, namespace: str, is_covered: bool
) -> None:
    entry = TrustedKey(principals="alice", key=ALICE, where="team:1", namespaces=namespaces)
    assert entry.covers(namespace) is is_covered


NEITHER = (
    "is neither a key type nor an option that limits a key; expected "
    "'PRINCIPAL [namespaces=\"…\"] ecdsa-sha2-nistp256 KEY'"
)
NO_KEY = "holds no key, expected 'PRINCIPAL ecdsa-sha2-nistp256 KEY'"
BAD_KEY = "the key is no public key, expected PEM or an OpenSSH line"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("alice", NO_KEY),
        ("alice ecdsa-sha2-nistp256", NO_KEY),
        ('alice namespaces="teapot"', NO_KEY),
        ('alice namespaces="teapot" ecdsa-sha2-nistp256', NO_KEY),
        ("alice ecdsa-sha2-nistp256 AAAA", BAD_KEY),
        (f"alice {A[:-4]}", BAD_KEY),
        (f"alice {A}# comment", BAD_KEY),
        (A, f"'{A.split()[1][:60]}' {NEITHER}"),
        (f"alice bob {A}", f"'bob' {NEITHER}"),
        (f'alice from="example.com" {A}', f"'from=\"example.com\"' {NEITHER}"),
        (f'alice namespaces="git" bob {A}', "'bob' is no key type, expected ecdsa-sha2-nistp256"),
        (f'"alice {A}', "a quote is never closed"),
        (f'"" {A}', "names no principal"),
        (f'alice namespaces="teapot {A}', "a quote is never closed"),
        (
            f'alice namespaces="a\\"b" {A}',
            "an escaped quote in an option is not understood here",
        ),
        (f'alice namespaces="git", {A}', "an option is missing after a comma"),
        (f"alice , {A}", "an option is missing after a comma"),
        (
            f'alice namespaces="git",Namespaces="teapot" {A}',
            "the option namespaces stands twice",
        ),
        (
            f"alice namespaces=git {A}",
            'the option namespaces has no value in quotes, expected namespaces="…"',
        ),
        (
            f"alice namespaces {A}",
            'the option namespaces has no value in quotes, expected namespaces="…"',
        ),
        (
            f'alice valid-after="" {A}',
            'the option valid-after has no value in quotes, expected valid-after="…"',
        ),
        (
            f'alice valid-after="soon" {A}',
            "the time 'soon' is not YYYYMMDD[HHMM[SS]][Z]",
        ),
        (f'alice valid-before="20240230" {A}', "the time '20240230' is on no calendar"),
        (
            f'alice namespaces="git"x",teapot," {A}',
            'the option namespaces has no value in quotes, expected namespaces="…"',
        ),
        (f"alice {A} a\rb", "holds a carriage return or a NUL in its middle"),
        (f"alice\0 {A}", "holds a carriage return or a NUL in its middle"),
        ("\x0b", NO_KEY),
        ("\u00a0", NO_KEY),
    ],
)  # fmt: skip
def test_a_line_with_a_fault_is_refused_by_name(line: str, message: str) -> None:
    assert problems(f"bob {B}\n{line}\n") == [f"team:2: {message}"]


def test_all_faults_of_a_file_are_told_at_once() -> None:
    assert problems(f"alice\nalice {A}\n#sigstore\nalice what {A}\n") == [
        f"team:1: {NO_KEY}",
        'team:3: expected \'#sigstore identity="…" issuer="…"\'',
        f"team:4: 'what' {NEITHER}",
    ]


def test_keys_of_other_kinds_are_no_fault_but_are_told() -> None:
    read = parse_trust(
        f"alice {ED25519}\nbob cert-authority {B}\n"
        f"carol sk-ssh-ed25519@openssh.com AAAA\nbob {B}\n",
        "team",
    )
    assert [one.where for one in read.keys] == ["team:4"]
    assert list(map(str, read.unusable)) == [
        "team:1: is a key of type ssh-ed25519, Teapot uses ecdsa-sha2-nistp256 only",
        "team:2: names an SSH certificate authority, which Teapot does not use",
        "team:3: is a key of type sk-ssh-ed25519@openssh.com, Teapot uses ecdsa-sha2-nistp256 only",
    ]


# --- lines of our own ----------------------------------------------------------------------------


def test_our_own_lines_are_read() -> None:
    read = parse_trust(
        '#sigstore identity="alice@example.com" issuer="https://accounts.example.com"\n'
        "#sigstore\tissuer=https://ci.example.com  identity='a b'\n"
        '#timestamp-authority certificate="my tsa.pem"\n',
        "team",
    )
    assert read.keys == ()
    assert read.identities == (
        TrustedIdentity(
            identity="alice@example.com", issuer="https://accounts.example.com", where="team:1"
        ),
        TrustedIdentity(identity="a b", issuer="https://ci.example.com", where="team:2"),
    )
    assert read.authorities == (TrustedAuthority(certificate="my tsa.pem", where="team:3"),)


@pytest.mark.parametrize(
    "line",
    ["# sigstore identity=x", "#Sigstore identity=x", "#sigstored identity=x", "##sigstore", "#"],
)
def test_other_comments_are_comments(line: str) -> None:
    assert parse_trust(line, "team") == TrustFile()


IDENTITY = 'expected \'#sigstore identity="…" issuer="…"\''
AUTHORITY = "expected '#timestamp-authority certificate=\"…\"'"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("#sigstore", IDENTITY),
        ('#sigstore identity="a"', IDENTITY),
        ('#sigstore identity="a" issuer=""', IDENTITY),
        ('#sigstore identity="a" issuer="b" more="c"', IDENTITY),
        ('#sigstore identity="a" issuer="b" issuer="c"', IDENTITY),
        ('#sigstore identity="a" issuer', IDENTITY),
        ('#sigstore identity="a" issuer="b', "No closing quotation"),
        ("#timestamp-authority", AUTHORITY),
        ("#timestamp-authority tsa.pem", AUTHORITY),
    ],
)
def test_our_own_lines_with_a_fault_are_refused_by_name(line: str, message: str) -> None:
    assert problems(line) == [f"team:1: {message}"]


# --- revoked keys --------------------------------------------------------------------------------


def test_revoked_keys_are_read_with_their_places() -> None:
    assert parse_revoked(f"# left\n{A} alice's\n\n{ED25519}\n  {B}\r\n", "gone") == {
        ALICE: "gone:2",
        BOB: "gone:5",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"alice {A}", "gone:1: 'alice' is no key type, expected ecdsa-sha2-nistp256"),
        (f"{A}\n{A[:-4]}", f"gone:2: {BAD_KEY}"),
        ("what", f"gone:1: {NO_KEY}"),
        (
            '#sigstore identity="a" issuer="b"',
            "gone:1: '#sigstore' is no key type, expected ecdsa-sha2-nistp256",
        ),
    ],
)
def test_a_list_of_revoked_keys_in_doubt_is_refused(text: str, message: str) -> None:
    with pytest.raises(TrustFileError) as caught:
        parse_revoked(text, "gone")
    assert str(caught.value) == message


# --- times ---------------------------------------------------------------------------------------


@pytest.fixture(params=["UTC0", "NZST-12", "HST10"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", request.param)
        time.tzset()
        yield request.param
    time.tzset()


@pytest.mark.parametrize("text", ["20240229Z", "202402290000Z", "20240229000000z", "20240229UTC"])
def test_a_time_in_utc_is_the_same_everywhere(zone: str, text: str) -> None:
    assert parse_time(text) == datetime(2024, 2, 29, tzinfo=UTC)


def test_a_time_without_a_zone_is_local(zone: str) -> None:
    hour = {"UTC0": 12, "NZST-12": 0, "HST10": 22}[zone]
    assert parse_time("202402291200") == datetime(2024, 2, 29, hour, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the time '' is not YYYYMMDD[HHMM[SS]][Z]"),
        ("2024-01-01", "the time '2024-01-01' is not YYYYMMDD[HHMM[SS]][Z]"),
        ("٢٠٢٤٠١٠١", "the time '٢٠٢٤٠١٠١' is not YYYYMMDD[HHMM[SS]][Z]"),
        ("20240101\n", "the time '20240101\\n' is not YYYYMMDD[HHMM[SS]][Z]"),
        ("20230229Z", "the time '20230229Z' is on no calendar"),
        ("00000101Z", "the time '00000101Z' is on no calendar"),
        ("202401012400Z", "the time '202401012400Z' is on no calendar"),
        (
            "19700101Z",
            "the time '19700101Z' is not after 1970-01-01, ssh-keygen refuses it",
        ),
        ("00010102", "the time '00010102' is not after 1970-01-01, ssh-keygen refuses it"),
    ],
)  # fmt: skip
def test_what_is_no_time_is_refused_by_name(zone: str, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=r"^the time ") as caught:
        parse_time(text)
    assert str(caught.value) == message


@given(st.from_regex(r"[0-9]{8}([0-9]{4}([0-9]{2})?)?(Z|UTC)?", fullmatch=True) | st.text())
def test_any_text_is_a_time_or_refused(text: str) -> None:
    for name in ("UTC0", "NZST-12", "HST10"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TZ", name)
            time.tzset()
            try:
                assert parse_time(text).tzinfo is UTC
            except ValueError as error:
                assert str(error).startswith("the time ")
    time.tzset()


# --- any file ------------------------------------------------------------------------------------

printable = st.characters(codec="utf-8", exclude_characters='"\n\r\0')
words = st.text(printable, min_size=1)
principals = words
namespaces = words.filter(lambda text: not text.endswith("\\"))
comments = words.map(lambda text: " ".join(part for part in text.split() if part))
moments = st.datetimes(datetime(1970, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC)).map(
    lambda moment: moment.replace(microsecond=0)
)
entries = st.builds(
    TrustedKey,
    principals=principals,
    key=st.sampled_from([ALICE, BOB]),
    where=st.just("team:1"),
    namespaces=st.none() | namespaces,
    valid_after=st.none() | moments,
    valid_before=st.none() | moments,
    comment=st.just("") | comments,
)


@given(entries)
def test_a_line_that_is_written_is_read_back(entry: TrustedKey) -> None:
    assert only(f"{entry.to_line()}\n") == entry


@pytest.mark.parametrize(
    "parts",
    [
        {"principals": f"alice {A}\n*"},
        {"principals": 'alice" '},
        {"principals": "alice\0"},
        {"namespaces": f'git" {A}\n* namespaces="teapot'},
        {"namespaces": 'git",valid-after="20240101'},
        {"namespaces": "git\\"},
        {"comment": f"mine\n* {B}"},
        {"comment": f"mine\r* {B}"},
    ],
)
def test_a_part_that_would_say_something_else_is_not_written(parts: dict[str, str]) -> None:
    entry = TrustedKey(**{"principals": "alice", **parts}, key=ALICE, where="team:1")
    with pytest.raises(ValueError, match=r"^a line break or a quote cannot stand in a line"):
        entry.to_line()


def test_a_line_without_a_principal_is_not_written() -> None:
    with pytest.raises(ValueError, match=r"^a line of a trust file must name a principal$"):
        TrustedKey(principals="", key=ALICE, where="team:1").to_line()


pieces = st.sampled_from(
    [
        "alice", " ", "\t", "\n", "\r", "\0", '"', "\\", ",", "=", "#", "!", "*", "namespaces",
        "valid-after", "valid-before", "cert-authority", "20240101Z", "99991231235959", "#sigstore",
        "identity", "issuer", "#timestamp-authority", "certificate", "ecdsa-sha2-nistp256", A,
        A.split()[1], ED25519, "\x0b", "\u00a0", "\u2028", "\ud800",
    ]
)  # fmt: skip


@given(st.lists(pieces | st.text(max_size=3)).map("".join))
def test_any_text_is_a_trust_file_or_refused_with_places(text: str) -> None:
    for parse in (parse_trust, parse_revoked):
        try:
            read = parse(text, "team")
        except TrustFileError as error:
            assert error.problems
            assert all(problem.where.startswith("team:") for problem in error.problems)
        else:
            keys = read.keys if isinstance(read, TrustFile) else ()
            assert [only(entry.to_line()).key for entry in keys] == [entry.key for entry in keys]


@given(
    who=st.sampled_from(
        ["alice", '"alice bob"', 'al"ice b"', '"#x"', "*,!bob", "a\u00a0b", "back\\slash", "end\\"]
    ),
    blank=st.sampled_from([" ", "\t", " \t "]),
    options=st.sampled_from(
        [
            "", 'namespaces="git,tea*"', ',NAMESPACES="a b",,valid-after="20240101"',
            'valid-before="20240101z",valid-after="202401010000UTC"', 'namespaces="#"',
        ]
    ),
    comment=st.sampled_from(["", "x", 'it"s', "a  b\t c", "#", "\u2028"]),
)  # fmt: skip
def test_a_line_that_is_read_is_the_same_when_it_is_written_again(
    who: str, blank: str, options: str, comment: str
) -> None:
    parts = [who, options, *A.split(), comment]
    entry = only(blank.join(part for part in parts if part))
    assert (entry.key, bool(entry.comment)) == (ALICE, bool(comment))
    assert only(entry.to_line()) == entry


def test_one_key_is_equal_wherever_it_stands() -> None:
    read = parse_trust(f'alice {A}\nbob namespaces="git" {A} again\n', "team").keys
    assert {one.key for one in read} == {ALICE} == {PublicKey.parse(ALICE.to_pem())}
