"""The checks that a manifest alone allows, and what stands for those that are not made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from teapot.authenticity import Signatures
from teapot.errors import Problem, counted
from teapot.manifestfile import number_faults, recipe_faults
from teapot.model.manifest import Manifest
from teapot.model.verification import CheckResult, Status

MANIFEST_FORM = "https://w3id.org/teapot/schemas/manifest/v1"
ALLOWED = " (allowed by --allow-unsigned)"
"""How what was found ends where a lack of trust was waived."""


def allowed_unsigned(found: Signatures) -> Signatures:
    """Turn a lack of trust into notes, as --allow-unsigned asks; a fault stays one."""
    results = [
        replace(result, status=Status.NOTE, found=f"{result.found}{ALLOWED}")
        if result.status == Status.UNTRUSTED
        else result
        for result in found.results
    ]
    return replace(found, results=tuple(results))


def not_looked_at() -> CheckResult:
    """Return the result that stands for all checks of what nobody vouches for."""
    return CheckResult(
        name="contents", status=Status.SKIPPED,
        compared="everything else: what nobody trusted vouches for is not read",
    )  # fmt: skip


def check_schema(where: str, problems: Sequence[Problem]) -> CheckResult:
    """Return whether a manifest has its form, given what is wrong with it."""
    details = [str(problem) for problem in problems]
    return CheckResult.compare(
        "schema", f"the form of {where}: strict JSON, its schema, safe names, one way to say it",
        expected=MANIFEST_FORM, found=counted(len(details), "fault") if details else MANIFEST_FORM,
        details=details,
    )  # fmt: skip


def check_sums(manifest: Manifest) -> CheckResult:
    """Return whether a manifest's own numbers add up."""
    faults = list(number_faults(manifest))
    return CheckResult.compare(
        "sums", "the manifest's own numbers: fates with rows read, parts with the whole",
        expected="all add up", found=f"{len(faults)} do not add up" if faults else "all add up",
        details=faults,
    )  # fmt: skip


def check_recipe(manifest: Manifest, stated: str) -> CheckResult:
    """Return whether the recipe has the digest stated, and fits what was read."""
    return CheckResult.compare(
        "recipe", "SHA-256 of the recipe's canonical JSON, and the recipe with what was read",
        expected=stated, found=manifest.recipe.sha256(), details=list(recipe_faults(manifest)),
    )  # fmt: skip
