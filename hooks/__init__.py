"""Decide: which call deserves an answer, what the policy says, what the card says. No I/O, no torch, no flask."""

from __future__ import annotations

from hooks import order_select, order_sign, patient_view
from hooks.service import Service

# Each under an id of its own: some clients keep only one service for an id.
SERVICES: tuple[Service, ...] = (order_select.SERVICE, order_sign.SERVICE, patient_view.SERVICE)
