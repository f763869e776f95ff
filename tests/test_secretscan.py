"""Planted secrets are of tests/support/planted.py; all of them are invented."""

from __future__ import annotations

import base64
import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teapot.findings import redacted
from teapot.secretscan import SecretScanner, eased, private_keys
from tests.support.planted import LOOK_ALIKES, RSA, SECRETS

HEAD = RSA.partition("\n")[0]
UNENDED = RSA.partition("\n-----END")[0]


@pytest.fixture(scope="module")
def scanner() -> SecretScanner:
    return SecretScanner()


@pytest.mark.parametrize("kind", SECRETS)
def test_secret_is_found_by_its_kind_and_cut_out_whole(kind: str, scanner: SecretScanner) -> None:
    text = f"é 中文 before {SECRETS[kind]} after"
    found = set(scanner.findings(text))
    assert {(one.kind, one.reason) for one in found} == {(kind, "secret")}
    assert redacted(text, found) == f"é 中文 before [REDACTED:{kind}] after"


@pytest.mark.parametrize("kind", ["github-pat", "gitlab-pat"])
def test_longer_run_than_the_rule_knows_is_taken_whole(kind: str, scanner: SecretScanner) -> None:
    text = f"token={SECRETS[kind]}Xy9z."
    assert redacted(text, scanner.findings(text)) == f"token=[REDACTED:{kind}]."


@pytest.mark.parametrize("kind", SECRETS)
@pytest.mark.parametrize(
    "sentence",
    [
        "Use {}, or not.",
        "It is {}.",
        "({})",
        "**{}**",
        "„{}“",
        "<think>{}</think>Yes.",
        "用{}。",
        "{}!",
    ],
)
def test_secret_in_prose_is_found_whatever_stands_behind_it(
    sentence: str, kind: str, scanner: SecretScanner
) -> None:
    text = sentence.format(SECRETS[kind])
    assert redacted(text, scanner.findings(text)) == sentence.format(f"[REDACTED:{kind}]")


@given(st.text("ab.,)é中 \n<", max_size=80).map(lambda text: text.replace("a", "a" * 16)))
def test_text_keeps_its_bytes_in_number_where_it_is_eased(text: str) -> None:
    assert len(eased(text).encode()) == len(text.encode())


def test_each_of_equal_secrets_is_found(scanner: SecretScanner) -> None:
    text = " ".join([SECRETS["github-pat"]] * 3)
    assert redacted(text, scanner.findings(text)) == " ".join(["[REDACTED:github-pat]"] * 3)


def test_secret_key_beside_its_public_name_is_taken_with_it(scanner: SecretScanner) -> None:
    name, secret = "AKIA" + "QZ7RWX3M" * 2, "wJa9rXUtn2FEMIK7" + "MDENGbPxRfiCYq3L5vNo8ZsT"
    text = f"AWS_ACCESS_KEY_ID={name}\nAWS_SECRET_ACCESS_KEY={secret}"
    assert secret not in redacted(text, scanner.findings(text))
    assert list(scanner.findings(f"the id {name} alone gives no access")) == []


@pytest.mark.parametrize("address", ["postgres://app:{}@db.dilna.cz/x", "https://ada:{}@dilna.cz"])
def test_password_in_an_address_is_found_once_and_its_mark_never(
    address: str, scanner: SecretScanner
) -> None:
    text = address.format("q7Zr9T2m" + "Xw4LkP8s")
    left = redacted(text, scanner.findings(text))
    assert left == address.format("[REDACTED:generic-credential-uri]")
    assert list(scanner.findings(left)) == []


def test_secret_in_base64_is_taken_with_its_wrapping(scanner: SecretScanner) -> None:
    wrapped = base64.b64encode(f"user {SECRETS['github-pat']} now".encode()).decode()
    text = f"data: {wrapped}."
    assert redacted(text, scanner.findings(text)) == "data: [REDACTED:github-pat]."


def test_a_comment_cannot_switch_the_scan_off(scanner: SecretScanner) -> None:
    text = f"{SECRETS['github-pat']} # kingfisher:ignore gitleaks:allow"
    assert "ghp_" not in redacted(text, scanner.findings(text))


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (f"<think>{UNENDED}</think>Done.", "<think>[REDACTED:private-key]</think>Done."),
        (f"{UNENDED}\n</think>\nIt is.", "[REDACTED:private-key]\n</think>\nIt is."),
        (f"{UNENDED}\nThanks\nfor all", "[REDACTED:private-key]\nThanks\nfor all"),
        (f"{UNENDED}\n\nsee PUBLIC KEY-----", "[REDACTED:private-key]\n\nsee PUBLIC KEY-----"),
        (f"{RSA}\n{RSA} x", "[REDACTED:private-key]\n[REDACTED:private-key] x"),
        (json.dumps({"k": RSA}), '{"k": "[REDACTED:private-key]"}'),
        (RSA.replace("\n", " ") + " x", "[REDACTED:private-key] x"),
        (RSA.replace("\n", "\r\n"), "[REDACTED:private-key]"),
        (
            RSA.replace("\n", "\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,8A\n\n", 1),
            "[REDACTED:private-key]",
        ),
    ],
)
def test_private_key_takes_its_own_lines_and_no_more(text: str, left: str) -> None:
    assert redacted(text, private_keys(text)) == left


@pytest.mark.parametrize("text", LOOK_ALIKES)
def test_look_alike_is_no_finding(text: str, scanner: SecretScanner) -> None:
    assert list(scanner.findings(text)) == []


@pytest.mark.parametrize("text", [HEAD, f"{HEAD} is how it begins", f"{HEAD}\nMIIabc\n-----END"])
def test_first_line_of_a_key_alone_is_no_finding(text: str) -> None:
    assert list(private_keys(text)) == []


@given(st.lists(st.text("ab/+9= \n-<>", max_size=30), max_size=4), st.sampled_from([RSA, UNENDED]))
def test_marks_of_a_thought_outlive_any_key(words: list[str], key: str) -> None:
    text = f"<think>{key}{''.join(words)}</think>{''.join(words)}"
    assert redacted(text, private_keys(text)).count("</think>") == text.count("</think>")


@given(st.lists(st.sampled_from([*SECRETS.values(), "word", " ", "\n", "é"]), max_size=5))
def test_redacted_text_has_nothing_left(words: list[str]) -> None:
    scanner, text = SecretScanner(), " | ".join(words)
    left = redacted(text, scanner.findings(text))
    assert list(scanner.findings(left)) == []
    assert not any(secret in left for secret in SECRETS.values())


def test_scanning_opens_no_socket_and_writes_nothing() -> None:
    script = (
        "import sys\n"
        "def refuse(event, args):\n"
        "    writes = event == 'open' and str(args[1])[:1] in ('w', 'a', 'x')\n"
        "    if writes or event.startswith('socket.'):\n"
        "        raise OSError(event)\n"
        "from teapot.secretscan import SecretScanner\n"
        "sys.addaudithook(refuse)\n"
        f"print(len(list(SecretScanner().findings({SECRETS['github-pat']!r}))))"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout == "1\n"


def test_a_text_full_of_first_lines_ends_soon() -> None:
    text = "X-Y: -----BEGIN PRIVATE KEY-----\n" * 3000  # which took as long as its square
    assert list(private_keys(text)) == []
