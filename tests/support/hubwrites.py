"""The loopback Hub with the calls that write: repositories, branches, uploads, commits, cards.

What it promises beside what `tests/support/hub.py` does:

- The real client pushes to it over HTTP: create, preupload, LFS batch with PUT and verify, commit.
- Only tokens that a test has named are known. Each may write to repositories of its owners, and
  sees the private ones that it made.
- A commit is made whole or not at all; one on another parent than the branch's head is refused
  with 412, as the Hub does.
- An upload must have the SHA-256 that it was announced with.

Where it differs: nothing goes to Xet, whose storage has a protocol of its own; an upload has one
part; of a card's head only its form and its licence are looked at.
"""

import base64
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import yaml

from tests.support.hub import Answer, Blob, Call, Hub, Json, Refusal, Repo
from tests.support.hub import _json as json_answer

ATTRIBUTES = {".gitattributes": b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n"}
_WRITE = re.compile(r"/api/models/([^/]+/[^/]+)/(preupload|commit|branch)/(.+)")
_BATCH = re.compile(r"/([^/]+/[^/]+)\.git/info/lfs/objects/batch")
_STORE = re.compile(r"/lfs/([^/]+/[^/]+)/([0-9a-f]{64})(/verify)?")
_HEAD = re.compile(r"---\n(.*?)\n---\n", re.DOTALL)


class WritableHub(Hub):
    """A Hub that is written to with the tokens that `admit` names."""

    def __init__(self) -> None:
        self._owners: dict[str, set[str]] = {}
        self._stored: dict[str, bytes] = {}
        self._renamed: dict[str, str] = {}
        self._hooks: list[tuple[re.Pattern[str], Callable[[], object]]] = []
        super().__init__()

    def admit(self, token: str, *owners: str) -> None:
        """Let a token write to the repositories of these owners."""
        self._owners[token] = set(owners)

    def before(self, path: str, action: Callable[[], object]) -> None:
        """Do something once, before the next request whose whole path matches is answered."""
        self._hooks.append((re.compile(path), action))

    def make(self, repo: str, files: dict[str, bytes], *, token: str | None = None) -> str:
        """Make a repository beside the client: private for a token, else public."""
        commit = self.commit(repo, ATTRIBUTES | files)
        self._repos[repo].token = token
        return commit

    def rename(self, old: str, new: str) -> None:
        """Give a repository another name; the old one leads to it, as on the Hub."""
        self._repos[new] = self._repos.pop(old)
        self._renamed[old] = new

    def files(self, repo: str, branch: str = "main") -> dict[str, bytes]:
        """Return what lies at a branch, without what the Hub makes itself."""
        home = self._repos[repo]
        held = home.commits[home.branches[branch]]
        return {path: blob.content for path, blob in held.items() if path not in ATTRIBUTES}

    def has(self, repo: str) -> bool:
        """Tell whether a repository is there."""
        return repo in self._repos

    def is_private(self, repo: str) -> bool:
        """Tell whether a repository needs a token."""
        return self._repos[repo].token is not None

    def wrote(self) -> list[str]:
        """Return the paths of all requests that could have changed something."""
        asked = [request for request in self.requests if request.method in {"POST", "PUT"}]
        return [one.path for one in asked if not one.path.endswith(("/validate-yaml", "/batch"))]

    def answer(self, call: Call) -> Answer:
        """Answer a request, after what a test wants done before it."""
        hook = next((hook for hook in self._hooks if hook[0].fullmatch(call.path)), None)
        if hook is not None:
            self._hooks.remove(hook)
            hook[1]()
        return super().answer(call)

    def _find(self, call: Call) -> Answer:
        if call.path == "/api/validate-yaml":
            return _validated(json.loads(call.body))
        if call.token is not None and call.token not in self._owners:
            told = "Invalid credentials in Authorization header"
            raise Refusal(401, None, told, X_Error_Message=told)
        if call.path == "/api/repos/create":
            return self._create(call, json.loads(call.body))
        if found := _BATCH.fullmatch(call.path):
            self._admit_writer(call, found[1])
            return self._batch(found[1], json.loads(call.body))
        if found := _STORE.fullmatch(call.path):
            return self._store(found[2], call.body, is_check=found[3] is not None)
        if found := _WRITE.fullmatch(call.path):
            repo = self._admit_writer(call, found[1])
            kinds = {"preupload": _preupload, "commit": self._commit, "branch": self._branch}
            return kinds[found[2]](repo, found[1], found[3], call.body)
        return super()._find(replace(call, repo=self._renamed.get(call.repo, call.repo)))

    def _admit_writer(self, call: Call, name: str) -> Repo:
        owners = self._owners.get(call.token or "")
        if owners is None:
            raise Refusal(401, "RepoNotFound", "Invalid username or password.")
        if name.partition("/")[0] not in owners:
            raise Refusal(403, None, "Forbidden: pass a write token to this repository")
        if name not in self._repos:
            raise Refusal(404, "RepoNotFound", "Repository not found")
        return self._repos[name]

    def _create(self, call: Call, asked: Any) -> Answer:
        owners = self._owners.get(call.token or "")
        if owners is None:
            raise Refusal(401, None, "Invalid username or password.")
        name = f"{asked['organization']}/{asked['name']}"
        url = {"url": f"{self.endpoint}/{name}", "name": name}
        if asked["organization"] not in owners:
            raise Refusal(403, None, f"You don't have the rights to create a model under {name}")
        if name in self._repos:
            return json_answer(url | {"error": "You already created this model repo"}, 409)
        private = asked.get("visibility") == "private" or asked.get("private") is True
        self.make(name, {}, token=call.token if private else None)
        return json_answer(url)

    def _batch(self, name: str, asked: Any) -> Answer:
        objects: list[Json] = []
        for wanted in asked["objects"]:
            place = f"{self.endpoint}/lfs/{name}/{wanted['oid']}"
            todo = {"upload": {"href": place}, "verify": {"href": f"{place}/verify"}}
            is_here = wanted["oid"] in self._stored
            objects.append(wanted | ({} if is_here else {"actions": todo}))
        return json_answer({"transfer": "basic", "objects": objects})

    def _store(self, oid: str, body: bytes, *, is_check: bool) -> Answer:
        if is_check:
            asked = json.loads(body)
            if len(self._stored.get(oid, b"")) != asked["size"]:
                raise Refusal(404, None, "The upload is not here, or has another size")
        elif hashlib.sha256(body).hexdigest() != oid:
            raise Refusal(400, None, "The upload has another SHA-256 than its name")
        else:
            self._stored[oid] = body
        return json_answer({})

    def _branch(self, repo: Repo, name: str, branch: str, body: bytes) -> Answer:
        if branch in repo.branches:
            raise Refusal(409, None, f"Reference already exists: {branch}")
        start = json.loads(body).get("startingPoint", "main")
        repo.branches[branch] = repo.resolve(start)
        return json_answer({})

    def _commit(self, repo: Repo, name: str, branch: str, body: bytes) -> Answer:
        if branch not in repo.branches:
            raise Refusal(404, "RevisionNotFound", f"Invalid rev id: {branch}")
        head = repo.branches[branch]
        files = {path: blob.content for path, blob in repo.commits[head].items()}
        for line in body.splitlines():
            item = json.loads(line)
            kind, value = item["key"], item["value"]
            if kind == "header" and value.get("parentCommit", head) != head:
                told = "A commit has happened since. Please refresh and try again."
                raise Refusal(412, None, told)
            if kind == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif kind == "lfsFile" and value["oid"] not in self._stored:
                raise Refusal(400, None, f"LFS object of {value['path']} is not uploaded")
            elif kind == "lfsFile":
                files[value["path"]] = self._stored[value["oid"]]
            elif kind == "deletedFile" and files.pop(value["path"], None) is None:
                raise Refusal(404, "EntryNotFound", "A file with this name doesn't exist")
        made = self.commit(name, files, branch)
        url = f"{self.endpoint}/{name}/commit/{made}"
        return json_answer({"success": True, "commitOid": made, "commitUrl": url})


def _preupload(repo: Repo, name: str, branch: str, body: bytes) -> Answer:
    held = repo.commits[repo.resolve(branch)]
    asked = json.loads(body)
    ignored = asked.get("gitIgnore", _text_of(held.get(".gitignore"))).splitlines()
    files: list[Json] = []
    for file in asked["files"]:
        path, here = file["path"], held.get(file["path"])
        mode = "regular" if Blob.at(path, bytes(file["size"])).sha256 is None else "lfs"
        oid = {} if here is None else {"oid": here.sha256 or here.oid}
        files.append({"path": path, "uploadMode": mode, "shouldIgnore": path in ignored, **oid})
    return json_answer({"files": files})


def _text_of(blob: Blob | None) -> str:
    return "" if blob is None else blob.content.decode()


def _validated(asked: Any) -> Answer:
    head = _HEAD.match(asked["content"])
    try:
        found = yaml.safe_load(head[1]) if head else None
    except yaml.YAMLError as error:
        return _bad_card(f"YAML Metadata Error: {error}")
    if not isinstance(found, dict):
        return _bad_card("YAML Metadata Error: empty or missing yaml metadata in repo card")
    if found.get("license") == "other" and not found.get("license_name"):
        return _bad_card('"license_name" is required where "license" is "other"')
    return json_answer({"errors": [], "warnings": []})


def _bad_card(told: str) -> Answer:
    return json_answer({"error": "Invalid metadata", "errors": [{"message": told}]}, 400)
