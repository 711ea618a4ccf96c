"""Tables from CSV or Parquet, in batches, column by column checked; what cannot be read is named by row and column."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv
from pyarrow import parquet

from cds.errors import StudyNotPossible
from cds.study.telling.summaries import is_plain

MOST_NAMED: Final = 5
"""So many rows of a kind are named: enough to find what is wrong with them."""
_BLOCK_BYTES: Final = 1 << 23
_BATCH_ROWS: Final = 1 << 17
_NOTHING: Final = ["", "NA", "N/A", "NaN", "nan", "NULL", "null", "None"]
_DAY: Final = r"^\d{4}-\d{1,2}-\d{1,2}$"
_EARLIEST, _LATEST = pd.Timestamp("1900-01-02"), pd.Timestamp("2100-01-01")


class Kind(Enum):
    """What the values of a column are."""

    TEXT = pa.dictionary(pa.int32(), pa.string())
    DAY = pa.date32()
    NUMBER = pa.float64()


def read_table(path: Path, kinds: Mapping[str, Kind], required: tuple[str, ...]) -> pd.DataFrame:
    """Those of the columns that the file has, the others empty; the index is the number of the row less one.

    Texts become categories. Only these columns are read, and of them one batch at a time as it stands in the file.
    """
    batches = []
    rows = 0
    for batch in _batches(path, kinds, required):
        batches.append(pa.record_batch([_column(batch, name, kind, rows) for name, kind in kinds.items()], list(kinds)))
        rows += len(batch)
    if not rows:
        raise StudyNotPossible(f"{path.name!r} has no rows")
    table = pa.Table.from_batches(batches).unify_dictionaries()
    del batches
    frame: pd.DataFrame = table.to_pandas(date_as_object=False, split_blocks=True, self_destruct=True)
    for name in (name for name, kind in kinds.items() if kind is Kind.TEXT):
        _refuse_unseen(frame[name])
    return frame


def blank_table(kinds: Mapping[str, Kind], rows: int) -> pd.DataFrame:
    """As a file gives it that has so many rows and says nothing."""
    table = pa.table({name: pa.nulls(rows, kind.value) for name, kind in kinds.items()})
    frame: pd.DataFrame = table.to_pandas(date_as_object=False)
    return frame


def rows_named(is_meant: pd.Series | np.ndarray[Any, Any], first: int = 0) -> str:
    """The first of the rows that are meant, as a person counts them: the first after the header is row 1."""
    numbers = np.flatnonzero(np.asarray(is_meant)) + first + 1
    named = ", ".join(map(str, numbers[:MOST_NAMED]))
    return f"row{'s' if len(numbers) > 1 else ''} {named}{' and more' if len(numbers) > MOST_NAMED else ''}"


def refuse_rows(is_wrong: pd.Series, name: str, words: str, first: int = 0) -> None:
    """Raise StudyNotPossible where there are rows whose value in this column is wrong."""
    if is_wrong.any():
        raise StudyNotPossible(f"column {name}, {rows_named(is_wrong, first)}: {words}")


def _refuse_unseen(texts: pd.Series) -> None:
    """Groups and units stand in reports, where a mark of direction would change what is read."""
    strange = [text for text in texts.cat.categories if not is_plain(text)]
    refuse_rows(texts.isin(strange), str(texts.name), "a line break, or a mark of control or direction, is in the text")


def _batches(path: Path, kinds: Mapping[str, Kind], required: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
    if not path.is_file():
        raise StudyNotPossible(f"{path.name!r} is not a file")
    try:
        if path.suffix.lower() in (".parquet", ".pq"):
            with parquet.ParquetFile(path) as file:
                wanted = _wanted(file.schema_arrow.names, path, kinds, required)
                yield from file.iter_batches(_BATCH_ROWS, columns=wanted)
        else:
            yield from _csv_batches(path, kinds, required)
    except (pa.ArrowException, OSError, UnicodeDecodeError, csv.Error):
        # What these say may quote a row.
        raise StudyNotPossible(
            f"{path.name!r} cannot be read: it must be CSV in UTF-8 with commas, or Parquet named .parquet"
        ) from None


def _csv_batches(path: Path, kinds: Mapping[str, Kind], required: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
    broken: list[int] = []

    def skip(row: arrow_csv.InvalidRow) -> str:
        broken.append(row.number - 1)  # the header is a row of theirs
        return "skip"

    with path.open(encoding="utf-8-sig", newline="") as file:
        wanted = _wanted(next(csv.reader(file), []), path, kinds, required)
    convert = arrow_csv.ConvertOptions(
        column_types=dict.fromkeys(wanted, pa.string()),
        include_columns=wanted,
        null_values=_NOTHING,
        strings_can_be_null=True,
    )
    with arrow_csv.open_csv(
        path,
        # Only one thread tells the numbers of rows.
        arrow_csv.ReadOptions(use_threads=False, block_size=_BLOCK_BYTES),
        arrow_csv.ParseOptions(invalid_row_handler=skip, newlines_in_values=True),
        convert,
    ) as batches:
        rows = 0
        for batch in batches:
            if broken:
                break
            rows += len(batch)
            yield batch
    if broken:
        raise StudyNotPossible(f"{path.name!r}: row {broken[0]} has not as many columns as the header")
    _refuse_lost_rows(path, rows)


def _refuse_lost_rows(path: Path, rows: int) -> None:
    """A quotation mark that is not closed makes one value of all that follows, in a column that nobody may read."""
    with path.open(encoding="utf-8-sig") as file:
        lines = sum(not line.isspace() for line in file) - 1
    if lines > rows:
        raise StudyNotPossible(
            f"{path.name!r} has {lines} lines after the header and only {rows} rows in them: a quotation mark is not "
            "closed, or a value has a line break; correct that, or rows would be lost"
        )


def _wanted(found: list[str], path: Path, kinds: Mapping[str, Kind], required: tuple[str, ...]) -> list[str]:
    missing = [name for name in required if name not in found]
    if missing:
        raise StudyNotPossible(
            f"{path.name!r} lacks the columns: {', '.join(missing)}; it must have {', '.join(required)}"
        )
    twice = [name for name in kinds if found.count(name) > 1]
    if twice:
        raise StudyNotPossible(f"{path.name!r} has several columns of one name: {', '.join(twice)}")
    return [name for name in kinds if name in found]


def _column(batch: pa.RecordBatch, name: str, kind: Kind, first: int) -> pa.Array:
    if name not in batch.schema.names:
        return pa.nulls(len(batch), kind.value)
    values = batch.column(name)
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        values = _text(values)
    read = {Kind.TEXT: _texts, Kind.DAY: _days, Kind.NUMBER: _numbers}[kind]
    return read(values, name, first)


def _text(values: pa.Array) -> pa.Array:
    trimmed = pc.utf8_trim_whitespace(values)
    return pc.if_else(pc.is_in(trimmed, pa.array(_NOTHING, trimmed.type)), pa.scalar(None, trimmed.type), trimmed)


def _texts(values: pa.Array, name: str, _first: int) -> pa.Array:
    try:
        return values.cast(pa.string()).dictionary_encode()
    except pa.ArrowException:
        raise StudyNotPossible(f"column {name}: not texts or whole numbers") from None


def _days(values: pa.Array, name: str, first: int) -> pa.Array:
    if pa.types.is_date(values.type) or (pa.types.is_timestamp(values.type) and values.type.tz is None):
        days = values.cast(pa.timestamp("s"), safe=False).to_pandas()
    elif pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        # pandas takes "today" for a day.
        dated = pc.if_else(pc.match_substring_regex(values, _DAY), values, pa.scalar(None, values.type))
        days = pd.to_datetime(dated.to_pandas(), format="%Y-%m-%d", errors="coerce")
    elif pa.types.is_null(values.type):
        return pa.nulls(len(values), pa.date32())
    else:
        raise StudyNotPossible(f"column {name}: not days; give them as YYYY-MM-DD")
    is_told = ~np.asarray(values.is_null())
    refuse_rows(is_told & days.isna(), name, "not a day as YYYY-MM-DD", first)
    refuse_rows(
        days.le(_EARLIEST) | days.ge(_LATEST),
        name,
        "not a day between 1900 and 2099; leave empty what is not known",
        first,
    )
    return pa.array(days.dt.floor("D"), from_pandas=True).cast(pa.date32())


def _numbers(values: pa.Array, name: str, first: int) -> pa.Array:
    if pa.types.is_boolean(values.type) or pa.types.is_temporal(values.type):
        # pandas takes them for 0 and 1, and for nanoseconds.
        raise StudyNotPossible(f"column {name}: not numbers")
    try:
        numbers = pd.to_numeric(values.to_pandas(), errors="coerce").astype(np.float64)
    except (TypeError, ValueError):
        raise StudyNotPossible(f"column {name}: not numbers") from None
    is_told = ~np.asarray(values.is_null())
    if pa.types.is_floating(values.type):
        is_told &= ~np.asarray(pc.fill_null(pc.is_nan(values), False))
    refuse_rows(is_told & ~np.isfinite(numbers), name, "not a number", first)
    return pa.array(numbers, from_pandas=True)
