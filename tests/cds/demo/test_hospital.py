"""What the embedded hospital has on record of those whom it admits."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from cds.demo.hospital import open_hospital
from cds.demo.patients import MRI_CODE, DemoPatient


def test_an_order_that_was_drafted_has_its_day(tmp_path: Path) -> None:
    woman = DemoPatient("frida", "Frida Drafted", "", date(1968, 1, 1), drafted_codes=(MRI_CODE,))

    with open_hospital(tmp_path) as hospital:
        hospital.admit(woman, date(2026, 5, 20))

        (order,) = hospital.charts.all("ServiceRequest")
        assert (order["status"], order["authoredOn"]) == ("draft", "2026-05-20")
