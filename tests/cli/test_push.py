"""`teapot push` by the command line: the real client, over HTTP, to a Hub on loopback."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from teapot.digest import sha256_hex
from teapot.signed_folder import sign_folder
from tests.support.compositions import make
from tests.support.environment import own_key
from tests.support.finetunes import WEIGHTS
from tests.support.hubwrites import WritableHub
from tests.support.keys import key
from tests.support.modelfolders import finish

REPO, TOKEN = "alice/tea", "hf_SecretOfAlice"
COMMIT = "/api/models/alice/tea/commit/main"
# The client waits 23 seconds and more before it believes that a Hub is gone.
SHORT_WAITS = "import time\n_s = time.sleep\ntime.sleep = lambda s: _s(min(s, 0.01))\n"
DOWNLOAD = (
    "import sys; from huggingface_hub import snapshot_download\n"
    "snapshot_download(sys.argv[1], revision=sys.argv[2], local_dir=sys.argv[3])\n"
)


@dataclass(frozen=True)
class Ran:
    """What a command said, and how it ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Site:
    """A Hub, and a signed model folder `model` in the working folder."""

    hub: WritableHub
    folder: Path

    def teapot(self, *arguments: str, token: str | None = TOKEN, **variables: str) -> Ran:
        return self.python("-m", "teapot", *arguments, token=token, **variables)

    def python(self, *arguments: str, token: str | None = TOKEN, **variables: str) -> Ran:
        environment = self.hub.environment(self.folder / "cache", token)
        ran = subprocess.run(
            [sys.executable, *arguments], encoding="utf-8", check=False, capture_output=True,
            env=environment | {"PYTHONPATH": str(self.folder / "waits")} | variables,
        )  # fmt: skip
        assert TOKEN not in ran.stdout + ran.stderr and "Traceback" not in ran.stderr, ran.stderr
        return Ran(ran.returncode, ran.stdout, ran.stderr)

    def push(self, *options: str, token: str | None = TOKEN, **variables: str) -> Ran:
        return self.teapot("push", "model", REPO, *options, token=token, **variables)

    def pushed(self, *options: str) -> dict[str, Any]:
        ran = self.push(*options, "--json")
        assert (ran.code, ran.err) == (0, ""), ran.out + ran.err
        told: dict[str, Any] = json.loads(ran.out)["pushed"]
        return told

    def refused(self, code: int, *told: str, options: tuple[str, ...] = ()) -> str:
        """Push, which must fail with this exit code and commit nothing; return what it said."""
        ran = self.push(*options)
        assert ran.code == code, ran.out + ran.err
        for part in told:
            assert part in ran.err, ran.err
        assert ran.out == ""
        return ran.err

    def ours(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in Path("model").iterdir()}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    (tmp_path / "waits").mkdir()
    (tmp_path / "waits" / "sitecustomize.py").write_text(SHORT_WAITS)
    monkeypatch.chdir(tmp_path)
    finish(Path("model"), make(Path()))
    with WritableHub() as hub:
        hub.admit(TOKEN, "alice")
        yield Site(hub, tmp_path)


# What is pushed.


def test_a_pushed_model_verifies_after_a_download(site: Site) -> None:
    ran = site.push()
    assert (ran.code, ran.err) == (0, ""), ran.out + ran.err
    assert site.hub.files(REPO) == site.ours() and site.hub.is_private(REPO)
    said = dict(line.split(maxsplit=1) for line in ran.out.splitlines())
    assert said["pushed"] == f"{site.hub.endpoint}/{REPO}" and said["private,"] == "branch main"
    size = sum(map(len, site.ours().values()))
    assert said["files"] == f"16, {size:,} bytes, each as it was verified"
    download, clean, verify = said["verify"].split(" && ")
    assert download == f"hf download {REPO} --revision {said['commit']} --local-dir tea"
    assert site.python("-c", DOWNLOAD, REPO, said["commit"], "tea").code == 0
    assert clean == "rm -r tea/.cache"
    shutil.rmtree("tea/.cache")
    assert site.teapot(*verify.split()[1:]).code == 0
    assert verify == "teapot verify tea"


def test_the_same_push_twice_makes_one_commit(site: Site) -> None:
    first = site.pushed()
    before = site.hub.wrote()
    again = site.push()
    assert f"commit    {first['commit']} (it held these files already)" in again.out
    assert (again.code, again.err, site.hub.wrote()) == (0, "", before)


def test_json_tells_every_file_with_its_digest(site: Site) -> None:
    ran = site.push("--json", "--public")
    told = json.loads(ran.out)
    assert told["pushed"]["repository"] == REPO and not told["pushed"]["is_private"]
    digests = {file["name"]: file["sha256"] for file in told["sent"]["files"]}
    assert digests == {name: sha256_hex(data) for name, data in site.ours().items()}
    assert not site.hub.is_private(REPO)


def test_a_dry_run_needs_neither_network_nor_token(site: Site) -> None:
    ran = site.push("--dry-run", token=None)
    assert (ran.code, ran.err) == (0, "")
    line = next(line for line in ran.out.splitlines() if line.endswith(WEIGHTS))
    data = (Path("model") / WEIGHTS).read_bytes()
    assert line.split() == [sha256_hex(data), f"{len(data):,}", WEIGHTS]
    assert f"to {REPO}, branch main; private where it is new" in ran.out
    told = json.loads(site.push("--dry-run", "--json", token=None).out)
    assert told["pushed"] is None and len(told["would_push"]["files"]) == 16
    assert site.hub.requests == []


def test_a_missing_branch_is_made_from_main(site: Site) -> None:
    site.pushed()
    Path("model/notes.txt").write_text("second")
    sign_folder(Path("model"), own_key())
    told = site.pushed("--revision", "trial/2", "--message", "A second try")
    assert told["branch"] == "trial/2"
    assert site.hub.files(REPO, "trial/2") == site.ours()
    assert "notes.txt" not in site.hub.files(REPO)


def test_a_page_that_the_hub_made_is_replaced(site: Site) -> None:
    site.hub.make(REPO, {"README.md": b"---\nlicense: mit\n---\n"}, token=TOKEN)
    assert site.pushed()["removed"] == []
    assert site.hub.files(REPO) == site.ours()


def test_an_existing_private_repository_stays_private(site: Site) -> None:
    site.hub.make(REPO, {}, token=TOKEN)
    ran = site.push("--public")
    assert ran.code == 0 and "          private, branch main" in ran.out
    assert ran.err == "warning: it was there, and stays private; make it public on the Hub\n"


def test_replace_removes_what_is_not_in_the_folder(site: Site) -> None:
    files = {"config.json": b"{}", ".gitignore": b"model.sig\n"}
    site.hub.make(REPO, files, token=TOKEN)
    told = "holds 2 files (.gitignore, config.json), and no train.statement.json"
    site.refused(6, told, "say --replace")
    assert site.hub.files(REPO) == files
    assert site.pushed("--replace")["removed"] == [".gitignore", "config.json"]
    assert site.hub.files(REPO) == site.ours()


def test_what_stands_beside_an_earlier_push_is_not_removed_unasked(site: Site) -> None:
    site.pushed()
    site.hub.commit(REPO, site.hub.files(REPO) | {"model.gguf": b"GGUF"})
    site.refused(6, "holds 1 file (model.gguf) beside an earlier push", "--replace removes it")
    assert site.pushed("--replace")["removed"] == ["model.gguf"]


def test_git_files_are_left_out_and_told(site: Site) -> None:
    Path("model/.git").mkdir()
    for name in (".git/HEAD", ".git/config", ".gitattributes"):
        Path("model", name).write_text("x")
    ran = site.push()
    assert ran.code == 0 and not any(name.startswith(".git") for name in site.hub.files(REPO))
    told = [line for line in ran.out.splitlines() if line.startswith("left out")]
    assert [line.split()[2] for line in told] == [".git:", ".gitattributes:"]


def test_an_unsigned_model_goes_only_with_allow_unsigned(site: Site) -> None:
    for name in ("model.sig", "train.statement.sigstore.json"):
        Path("model", name).unlink()
    edited = Path("model/README.md").read_text().replace("signed: true", "signed: false")
    Path("model/README.md").write_text(edited)
    ran = site.push()
    assert ran.code == 4 and "NOT VERIFIED: unsigned in folder signature" in ran.out
    assert ran.err == "nothing was sent\n" and site.hub.requests == []
    told = site.pushed("--allow-unsigned")
    assert told["verify"].endswith("teapot verify --allow-unsigned tea")
    assert site.hub.files(REPO) == site.ours()


# What is refused before anything is sent.


def flip() -> None:
    data = bytearray(Path("model", WEIGHTS).read_bytes())
    data[-1] ^= 1
    Path("model", WEIGHTS).write_bytes(data)


FAULTS: dict[str, tuple[Callable[[], object], int, str]] = {
    "tampered weights": (flip, 1, "NOT VERIFIED: fault in folder files, weights (exit code 1)"),
    "stray file": (lambda: Path("model/thesis.txt").write_text("x"), 1, "thesis.txt is not in"),
    "stray pickle": (lambda: Path("model/a.pkl").write_text("x"), 1, "a.pkl is not in the sig"),
    "symbolic link": (lambda: Path("model/a").symlink_to("plan.json"), 1, "a is a symbolic link"),
    "missing file": (Path("model/tokenizer.json").unlink, 1, "tokenizer.json is missing"),
    "no signature": (Path("model/model.sig").unlink, 4, "unsigned in folder signature"),
    "a stranger's": (lambda: sign_folder(Path("model"), key(77)), 5, "untrusted in folder sig"),
}


@pytest.mark.parametrize("what", FAULTS)
def test_nothing_is_sent_of_a_folder_that_does_not_verify(what: str, site: Site) -> None:
    change, code, told = FAULTS[what]
    change()
    ran = site.push()
    assert (ran.code, ran.err) == (code, "nothing was sent\n") and told in ran.out, ran.out
    found = json.loads(site.push("--json").out)
    assert found["pushed"] is None and found["verification"]["exit_code"] == code
    assert site.hub.requests == []


def test_wrong_usage_is_told_before_the_folder_is_looked_at(site: Site) -> None:
    flip()
    for options, token, told in (
        ((REPO,), None, "HF_TOKEN: is not set, and a push needs a token that may write"),
        ((REPO,), "two words", "HF_TOKEN: holds what no token has"),
        (("tea",), TOKEN, "tea: is no name of a repository, expected OWNER/NAME"),
        (("alice/tea.git",), TOKEN, "is no name of a repository"),
        ((REPO, "--revision", "a" * 40), TOKEN, "is no branch; a push goes to a branch"),
        ((REPO, "--message", " "), TOKEN, "--message: is empty"),
        ((REPO, "--expect", "12"), TOKEN, "'12' is no SHA-256"),
        ((REPO, "--token", TOKEN), TOKEN, "No such option"),
    ):
        ran = site.teapot("push", "model", *options, token=token)
        assert (ran.code, ran.out) == (2, "") and told in ran.err, ran.err
    assert site.hub.requests == []


# What the Hub refuses, and what happens meanwhile.


def test_a_public_repository_is_not_pushed_to_unasked(site: Site) -> None:
    site.hub.make(REPO, {})
    site.refused(2, "is public on the Hub, so everyone would see the model", "say --public")
    assert site.hub.files(REPO) == {}
    assert not site.pushed("--public")["is_private"]
    assert site.hub.files(REPO) == site.ours()


def test_the_old_name_of_a_repository_is_not_followed(site: Site) -> None:
    site.hub.make(REPO, {}, token=TOKEN)
    site.hub.rename(REPO, "alice/coffee")
    site.refused(2, f"error: {REPO}: is called alice/coffee on the Hub; push to that name")
    assert site.hub.files("alice/coffee") == {}


def test_an_unknown_token_is_told_without_it(site: Site) -> None:
    ran = site.push(token="hf_Wrong")
    told = f"error: {REPO}: the Hub does not accept the token in HF_TOKEN: it is wrong or has"
    assert (ran.code, ran.out) == (2, "") and ran.err.startswith(told)
    assert "hf_Wrong" not in ran.err


def test_another_owner_is_out_of_reach(site: Site) -> None:
    ran = site.teapot("push", "model", "bob/tea")
    told = "You don't have the rights to create a model under bob/tea"
    assert (ran.code, ran.out) == (6, "") and told in ran.err
    assert "the token may not write here (status 403)" in ran.err
    assert "nothing was committed" in ran.err and not site.hub.has("bob/tea")


def test_a_commit_of_somebody_else_is_not_overwritten(site: Site) -> None:
    site.hub.before(COMMIT, lambda: site.hub.commit(REPO, {"theirs.txt": b"hi"}))
    site.refused(6, "somebody else has committed meanwhile (status 412)", "nothing was committed")
    assert site.hub.files(REPO) == {"theirs.txt": b"hi"}


@pytest.mark.parametrize(
    ("path", "status", "told"),
    [
        ("/api/models/alice/tea/preupload/main", 503, "the Hub has failed (status 503)"),
        ("/api/repos/create", 500, "nothing was committed, so the repository holds what it held"),
        (COMMIT, 500, "whether the commit was made is not known: say the same command again"),
        (COMMIT, 507, "the Hub has no room for it (status 507)"),
        (COMMIT, 413, "the Hub finds it too large (status 413); the Hub says: This failure was "
                      "asked for by a test; nothing was committed"),
        ("/api/validate-yaml", 502, "the Hub has failed (status 502)"),
    ],
)  # fmt: skip
def test_a_failing_hub_is_told_and_holds_no_half(
    path: str, status: int, told: str, site: Site
) -> None:
    site.hub.fail(path, status, times=6)
    site.refused(6, f"error: {REPO}", told, options=("--quiet",))
    assert not site.hub.has(REPO) or site.hub.files(REPO) == {}


def test_a_hub_that_recovers_is_waited_for_and_its_pauses_told_once(site: Site) -> None:
    path = "/api/models/alice/tea/preupload/main"
    site.hub.fail(path, 503)
    ran = site.push()
    assert ran.code == 0 and ran.err.count("Retrying in 1s [Retry 1/5]") == 1, ran.err
    assert site.hub.files(REPO) == site.ours()
    site.hub.fail(path, 503)
    Path("model/notes.txt").write_text("second")
    sign_folder(Path("model"), own_key())
    ran = site.push("--quiet")
    assert (ran.code, ran.err) == (0, "")


def test_a_failed_upload_leaves_nothing_and_the_next_push_succeeds(site: Site) -> None:
    weights = sha256_hex(Path("model", WEIGHTS).read_bytes())
    site.hub.fail(f"/lfs/{REPO}/{weights}", 403, method="PUT")
    site.refused(6, "the token may not write here (status 403)", "nothing was committed")
    assert site.hub.files(REPO) == {}
    assert site.pushed()["is_new"] and site.hub.files(REPO) == site.ours()


def test_a_hub_that_is_not_there_is_told(site: Site) -> None:
    site.hub.offline()
    site.refused(6, "the Hub is not reached; look at the network, then push again")
    ran = site.push(HF_HUB_OFFLINE="1")
    assert ran.code == 2 and "HF_HUB_OFFLINE is set, and a push needs the Hub" in ran.err


def test_a_card_that_the_hub_does_not_take_makes_no_repository(site: Site) -> None:
    card = Path("model/README.md")
    card.write_text(card.read_text().replace("license_name:", "licence_name:"))
    card.write_text(card.read_text().replace("license: apache-2.0", "license: other"))
    sign_folder(Path("model"), own_key())
    err = site.refused(1, "README.md: the Hub does not take its head")
    assert '"license_name" is required' in err and not site.hub.has(REPO)


@pytest.mark.parametrize("name", [WEIGHTS, "plan.json"])
def test_a_small_file_that_changes_meanwhile_goes_as_it_was_verified(name: str, site: Site) -> None:
    """A small file was read and compared before the Hub was asked anything; that is what goes."""
    path = Path("model", name)
    good = path.read_bytes()
    site.hub.before("/api/repos/create", lambda: path.write_bytes(good[:-1] + b"!"))
    assert site.pushed()["is_new"]
    assert site.hub.files(REPO)[name] == good


def test_a_large_file_that_changes_meanwhile_is_never_committed(site: Site) -> None:
    large = Path("model/large.safetensors.json")
    large.write_bytes(b"a" * (11 << 20))
    sign_folder(Path("model"), own_key())
    site.hub.before("/api/repos/create", lambda: large.write_bytes(b"b" * (11 << 20)))
    site.refused(1, "large.safetensors.json: has changed since it was verified: found sha256")
    assert site.hub.files(REPO) == {}
    large.write_bytes(b"a" * (11 << 20))
    assert site.pushed()["is_new"] and site.hub.files(REPO) == site.ours()


def test_other_bytes_on_the_hub_are_noticed_after_the_commit(site: Site) -> None:
    def tamper() -> None:
        home = site.hub._repos[REPO]
        head = home.branches["main"]
        spoiled = {**site.hub.files(REPO), "plan.json": b"{}"}
        site.hub.commit(REPO, spoiled, sha=head)

    site.hub.before("/api/models/alice/tea/tree/[0-9a-f]{40}", lambda: None)
    site.hub.before("/api/models/alice/tea/tree/[0-9a-f]{40}", tamper)
    site.refused(1, "is not what was verified, in 1 file (plan.json); do not use it")
