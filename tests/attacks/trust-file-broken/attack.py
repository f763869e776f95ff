"""A line of the trust file is damaged."""

from tests.support.attacks import TRUST, swap

swap(TRUST, b"AAAAE2Vj", b"AAAAE2Vk")
