"""Invented secrets and personal data, put together here so that no scanner trips on this file."""

from __future__ import annotations

import random
import string

_LETTERS, _DIGITS = string.ascii_letters, string.digits
_BASE32 = string.ascii_uppercase + "234567"
_DRAWN = random.Random(7)  # the same in every run


def _drawn(count: int, signs: str = _LETTERS + _DIGITS) -> str:
    return "".join(_DRAWN.choice(signs) for _ in range(count))


def _armour(kind: str, lines: int) -> str:
    body = "\n".join(_drawn(64) for _ in range(lines))
    return f"-----BEGIN {kind}-----\n{body}\n{_drawn(20)}==\n-----END {kind}-----"


RSA = _armour("RSA " + "PRIVATE KEY", 6)

SECRETS = {
    "github-pat": "ghp_" + _drawn(36),
    "gitlab-pat": "glpat-" + _drawn(20),
    "openai-api-key": "sk-proj-" + _drawn(74) + "T3Blbk" + "FJ" + _drawn(74),
    "anthropic-api-key": "sk-ant-" + "api03-" + _drawn(93) + "AA",
    "huggingface-access-token": "hf_" + _drawn(34, _LETTERS),
    "gcp-api-key": "AI" + "za" + _drawn(35),
    "slack-bot-token": "xoxb-" + _drawn(12, _DIGITS) + "-" + _drawn(13, _DIGITS) + "-" + _drawn(24),
    "slack-webhook-url": "https://hooks.slack.com/" + "services/T" + _drawn(8, _BASE32)
    + "/B" + _drawn(10, _BASE32) + "/" + _drawn(24),
    "stripe-access-token": "sk_" + "live_" + _drawn(24),
    "npmjsaccesstoken": "npm_" + _drawn(36),
    "sendgrid": "SG." + _drawn(22) + "." + _drawn(43),
    "private-key": RSA,
}  # fmt: skip

PERSONAL = {
    "email": "jana.novakova" + "@" + "dilna-u-mostu.cz",
    "phone": "+420 777 " + "123 456",
    "card": "4539 1488 " + "0343 6467",
    "iban": "CZ65 0800 0000 " + "1920 0014 5399",
}

PLANTED = SECRETS | PERSONAL

LOOK_ALIKES = (
    "write to jane@example.com, root@localhost.localdomain or admin@shop.example",
    "user@domain.com is how an address looks; git@github.com is no person",
    "noreply@dilna-u-mostu.cz sends and never reads",
    "the icon is logo@2x.png, the unit getty@tty1.service, the decorator @app.route",
    "a @ b, @nobody, x@y",
    "4111 1111 1111 1111 and 4242424242424242 are published for tests",
    "4539 1488 0343 6468 has another last digit",
    "the order 1234567890123456 and the time 1700000000000000",
    "DE89 3704 0044 0532 0130 00 stands in every manual",
    "CZ66 0800 0000 1920 0014 5399 has the wrong sum",
    "+1 212 555 0123 is a number of films; 1 + 2 = 3; +12 34",
    "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "commit 5f3c1e9a7b2d4c6e8f0a1b3c5d7e9f1a2b4c6d8e",
    "550e8400-e29b-41d4-a716-446655440000",
    "AKIAIOSFODNN7" + "EXAMPLE is in the vendor's own manual",
    "export API_KEY=your-api-key-here; token: <YOUR_TOKEN>; password: hunter2",
    "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx stands for a token",
    "a file that begins with -----BEGIN RSA " + "PRIVATE KEY----- is a key",
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ",
)
