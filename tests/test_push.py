"""What of a model folder is sent, and how the Hub's refusals are told; no Hub is asked here."""

from __future__ import annotations

from pathlib import Path

import httpx2
import pytest

import teapot
from teapot import VerifyOptions
from teapot.digest import sha256_hex
from teapot.errors import DataError, DigestError, OutputError, TeapotError, UsageError
from teapot.huberrors import Stage, explained
from teapot.hubfiles import LoadedFile, SentFile
from teapot.hubrepo import check_name
from teapot.signed_folder import sign_folder
from teapot.usecases.push import plan_push
from tests.support.compositions import make
from tests.support.environment import own_key
from tests.support.modelfolders import finish

MODEL = Path("model")
TOKEN = "hf_Secret"


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> teapot.Composition:
    """A finished model folder in the working folder, signed."""
    monkeypatch.chdir(tmp_path)
    made = make(Path())
    finish(MODEL, made)
    return made


def test_what_is_sent_is_what_the_signature_covers_and_itself(made: teapot.Composition) -> None:
    (MODEL / ".gitignore").write_text("model.sig")
    verification, plan = plan_push(MODEL)
    assert verification.is_ok and plan is not None and not plan.is_allowed_unsigned
    digests = {file.name: file.sha256 for file in plan.files}
    here = {path.name: sha256_hex(path.read_bytes()) for path in MODEL.iterdir()}
    assert digests.items() == here.items() - {(".gitignore", sha256_hex(b"model.sig"))}
    assert plan.left_out == (".gitignore",)
    assert plan.bytes == sum((MODEL / name).stat().st_size for name in digests)


def test_unsigned_every_file_is_sent_but_no_link(made: teapot.Composition) -> None:
    finish(MODEL, made, signed=False)
    (MODEL / "notes.txt").write_text("mine")
    assert plan_push(MODEL)[1] is None
    options = VerifyOptions(allow_unsigned=True)
    plan = plan_push(MODEL, options)[1]
    assert plan is not None and plan.is_allowed_unsigned
    assert {file.name for file in plan.files} == {path.name for path in MODEL.iterdir()}
    (MODEL / "link").symlink_to("notes.txt")
    with pytest.raises(DataError, match="model/link: is a symbolic link, expected a file"):
        plan_push(MODEL, options)


def test_a_run_that_has_not_ended_is_not_sent(made: teapot.Composition) -> None:
    (MODEL / ".work").mkdir()
    with pytest.raises(UsageError, match="model: holds a run that has not ended; say teapot train"):
        plan_push(MODEL)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("training_args.bin", b"anything"),
        ("OPTIMIZER.PT", b"anything"),
        ("harmless.txt", b"\x80\x04\x95"),
        ("weights.dat", b"PK\x03\x04data.pkl"),
    ],
)
def test_a_pickle_is_not_sent_though_it_was_signed(
    name: str, data: bytes, made: teapot.Composition
) -> None:
    (MODEL / name).write_bytes(data)
    sign_folder(MODEL, own_key())
    with pytest.raises(DataError, match=f"model/{name}: is a pickle, which can run code"):
        plan_push(MODEL)


def test_a_small_file_is_compared_when_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"other")
    file = SentFile(name="a", path=path, bytes=5, sha256=sha256_hex(b"bytes"))
    with pytest.raises(DigestError, match="has changed since it was verified"):
        LoadedFile.of(file)
    path.unlink()
    with pytest.raises(DataError, match="cannot be read: No such file or directory; nothing was"):
        LoadedFile.of(file)


@pytest.mark.parametrize(
    "name",
    ["", "tea", "a/b/c", "a b/c", "-a/b", "a/b-", "a/.b", "a/b--c", "a/b..c", "a/b.git", "ä/b"],
)
def test_a_name_of_no_repository_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="expected OWNER/NAME"):
        check_name(name)


@pytest.mark.parametrize("name", ["a/b", "alice/tea-1.2_b", "a/" + "b" * 96, "3/4"])
def test_a_name_of_a_repository_is_taken(name: str) -> None:
    check_name(name)


def answered(status: int) -> Exception:
    request = httpx2.Request("POST", "http://127.0.0.1/")
    response = httpx2.Response(status, request=request)
    return httpx2.HTTPStatusError(f"{TOKEN} was refused", request=request, response=response)


@pytest.mark.parametrize(
    ("error", "kind", "told"),
    [
        (httpx2.ReadTimeout("slow"), OutputError, "the Hub does not answer in time"),
        (httpx2.RemoteProtocolError("gone"), OutputError, "the Hub is not reached"),
        (PermissionError(13, "Permission denied", "a"), DataError, "a cannot be read: Permission"),
        (RuntimeError(f"odd {TOKEN}"), OutputError, "cannot be pushed: RuntimeError: odd (token)"),
        (answered(401), UsageError, "the Hub does not accept the token in HF_TOKEN"),
        (answered(412), OutputError, "somebody else has committed meanwhile"),
        (answered(418), OutputError, "the Hub has refused (status 418)"),
        (answered(503), OutputError, "the Hub has failed (status 503)"),
    ],
)
def test_errors_of_the_client_say_what_to_do(
    error: Exception, kind: type[TeapotError], told: str
) -> None:
    found = explained(error, "a/b", TOKEN, "before")
    assert type(found) is kind
    text = str(found)
    assert text.startswith(f"a/b: {told}") and "nothing was committed" in text
    assert TOKEN not in text


def test_what_an_upload_failed_of_is_looked_for_behind_the_error() -> None:
    wrapped = RuntimeError("while uploading")
    wrapped.__cause__ = answered(403)
    assert "the token may not write here" in str(explained(wrapped, "a/b", TOKEN, "before"))


@pytest.mark.parametrize(
    ("error", "stage", "told"),
    [
        (answered(403), "commit", "nothing was committed"),
        (answered(500), "commit", "whether the commit was made is not known"),
        (httpx2.ReadError("cut"), "commit", "whether the commit was made is not known"),
        (httpx2.ReadError("cut"), "after", "the commit was made, but not compared"),
        (answered(404), "after", "the commit was made, but not compared"),
    ],
)
def test_an_error_says_whether_a_commit_was_made(error: Exception, stage: Stage, told: str) -> None:
    assert told in str(explained(error, "a/b", TOKEN, stage))


def test_an_error_of_our_own_stays_as_it_is() -> None:
    own = DataError("mine")
    assert explained(own, "a/b", TOKEN, "commit") is own
