"""The trusted key signs a manifest that gives the data's MD5 as its digest."""

import hashlib

from tests.support.attacks import DATA, MANIFEST, sign, swap

digests = b'"sha256": "7508101b998f273107b159b9979560133d5e5cafec21011b3ce71de2d8098c6b"'
swap(MANIFEST, digests, b'"md5": "' + hashlib.md5(DATA.read_bytes()).hexdigest().encode() + b'"')
sign()
