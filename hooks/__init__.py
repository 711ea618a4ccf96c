"""Decide: which call deserves an answer, what the policy says, what the card says. No I/O, no torch, no flask."""

from __future__ import annotations

from hooks import order_select
from hooks.contract import Service

SERVICES: tuple[Service, ...] = (order_select.SERVICE,)
