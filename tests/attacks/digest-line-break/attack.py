"""The trusted key signs a manifest whose digests of the data end in a line break."""

from tests.support.attacks import MANIFEST, sign, swap

swap(
    MANIFEST,
    b"7508101b998f273107b159b9979560133d5e5cafec21011b3ce71de2d8098c6b",
    b"7508101b998f273107b159b9979560133d5e5cafec21011b3ce71de2d8098c6b\\n",
)
sign()
