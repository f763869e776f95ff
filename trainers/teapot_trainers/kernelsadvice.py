"""Keeps an advice of bitsandbytes from users: to install `kernels`, which no run of ours would use.

On a processor with AVX512-BF16, bitsandbytes asks the Hub for a kernel as soon as it is imported,
and warns where it gets none: without that package, without a network, or with torch for CUDA. Only
inference on weights that it has packed anew calls the kernel, and those we train are never packed
(`loading`). All else that bitsandbytes logs is let through.
"""

from __future__ import annotations

import logging

LOGGER = "bitsandbytes.backends.cpu.ops"
_ADVICE = "Failed to load CPU gemm_4bit_forward from kernels-community"


def hide_kernels_advice() -> None:
    """Keep the advice out of every log; to be called before anything imports bitsandbytes."""
    logging.getLogger(LOGGER).addFilter(_is_other)


def _is_other(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith(_ADVICE)
