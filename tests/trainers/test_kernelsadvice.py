"""Users are not told to install `kernels`, on any processor; other warnings reach them."""

from __future__ import annotations

import logging
import sys
from importlib.util import find_spec, module_from_spec
from typing import Any

import pytest

from teapot_trainers.kernelsadvice import LOGGER, hide_kernels_advice


def load_as_with_avx512_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the module of bitsandbytes that advises, as on such a processor without `kernels`."""
    import bitsandbytes

    def register(*_: str) -> Any:
        return lambda kernel: kernel  # the kernels of this processor stay registered

    monkeypatch.setattr(bitsandbytes._ops, "register_kernel", register)
    monkeypatch.setattr(bitsandbytes.functional, "has_avx512bf16", lambda: True)
    monkeypatch.setitem(sys.modules, "kernels", None)
    spec = find_spec(LOGGER)
    assert spec is not None and spec.loader is not None
    spec.loader.exec_module(module_from_spec(spec))


def test_no_processor_makes_bitsandbytes_advise(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    load_as_with_avx512_bf16(monkeypatch)
    assert not caplog.records
    monkeypatch.setattr(logging.getLogger(LOGGER), "filters", [])
    load_as_with_avx512_bf16(monkeypatch)  # what is hidden is still what the library says
    (advice,) = caplog.messages
    assert "pip install kernels" in advice


def test_other_warnings_of_bitsandbytes_are_let_through(caplog: pytest.LogCaptureFixture) -> None:
    hide_kernels_advice()
    logging.getLogger(LOGGER).warning("no AVX512: %s is slow", "int8")
    logging.getLogger("bitsandbytes.cextension").warning("No prebuilt binary for CUDA 13.1")
    assert caplog.messages == ["no AVX512: int8 is slow", "No prebuilt binary for CUDA 13.1"]
