"""Teapot mixes licensed datasets into one training file and proves what went in.

    import teapot

    made = teapot.compose("configs/demo.config", signer=teapot.key_signer())
    print(made.data.sha256, made.report.total.lines)
    for verification in teapot.verify("demo.jsonl"):
        print(verification.is_ok, *verification.results)

The functions take paths and options, and return frozen values; every error is a `TeapotError`.
Nothing heavy is imported before it is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from teapot.version import __version__

if TYPE_CHECKING:
    from teapot.configfile import ConfigFile, load_config
    from teapot.errors import TeapotError
    from teapot.model.difference import Difference
    from teapot.model.verification import Verification
    from teapot.resolve import MixOptions
    from teapot.usecases.audit import AuditOptions, audit
    from teapot.usecases.checkfile import CheckReport, check_file
    from teapot.usecases.compose import compose, plan
    from teapot.usecases.composed import Composition, Plan
    from teapot.usecases.diff import DiffOptions, diff
    from teapot.usecases.explain import Explanation, explain
    from teapot.usecases.prove import prove
    from teapot.usecases.signing import key_signer
    from teapot.usecases.trace import trace
    from teapot.usecases.verify import Verified, VerifyOptions, verified, verify
    from teapot.usecases.verifyfolder import verify_folder
    from teapot.usecases.verifymodel import verify_model
    from teapot.usecases.verifyproof import verify_proof

__all__ = [
    "AuditOptions",
    "CheckReport",
    "Composition",
    "ConfigFile",
    "DiffOptions",
    "Difference",
    "Explanation",
    "MixOptions",
    "Plan",
    "TeapotError",
    "Verification",
    "Verified",
    "VerifyOptions",
    "__version__",
    "audit",
    "check_file",
    "compose",
    "diff",
    "explain",
    "key_signer",
    "load_config",
    "plan",
    "prove",
    "trace",
    "verified",
    "verify",
    "verify_folder",
    "verify_model",
    "verify_proof",
]

_HOMES = {
    "AuditOptions": "teapot.usecases.audit",
    "audit": "teapot.usecases.audit",
    "trace": "teapot.usecases.trace",
    "verify_model": "teapot.usecases.verifymodel",
    "CheckReport": "teapot.usecases.checkfile",
    "check_file": "teapot.usecases.checkfile",
    "Composition": "teapot.usecases.composed",
    "Plan": "teapot.usecases.composed",
    "compose": "teapot.usecases.compose",
    "plan": "teapot.usecases.compose",
    "ConfigFile": "teapot.configfile",
    "load_config": "teapot.configfile",
    "TeapotError": "teapot.errors",
    "DiffOptions": "teapot.usecases.diff",
    "diff": "teapot.usecases.diff",
    "Difference": "teapot.model.difference",
    "Explanation": "teapot.usecases.explain",
    "explain": "teapot.usecases.explain",
    "MixOptions": "teapot.resolve",
    "Verification": "teapot.model.verification",
    "Verified": "teapot.usecases.verify",
    "VerifyOptions": "teapot.usecases.verify",
    "verified": "teapot.usecases.verify",
    "verify": "teapot.usecases.verify",
    "verify_folder": "teapot.usecases.verifyfolder",
    "verify_proof": "teapot.usecases.verifyproof",
    "key_signer": "teapot.usecases.signing",
    "prove": "teapot.usecases.prove",
}


def __getattr__(name: str) -> Any:
    """Import a public name from its home when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module 'teapot' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
