"""What holds for every test: nothing of the developer's own set-up, no deadline on properties."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

from tests.support.environment import environment

# the same examples in every run, so that a failure is the change's own; `make fuzz` draws others
_COMMON = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("teapot", settings(derandomize=True, **_COMMON))
settings.register_profile("fuzz", settings(max_examples=2000, print_blob=True, **_COMMON))
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "teapot"))


@pytest.fixture(autouse=True)
def own_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Hide what the developer has set for Teapot: keys, trust and caches are those of the tests."""
    for name in [name for name in os.environ if name.startswith("TEAPOT_")]:
        monkeypatch.delenv(name)
    for name, value in environment(tmp_path_factory.getbasetemp()).items():
        monkeypatch.setenv(name, value)
