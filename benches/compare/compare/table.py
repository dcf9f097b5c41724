"""Writes the results as Markdown tables."""

from __future__ import annotations

from collections.abc import Iterable

from .statistics import median

NOT_MEASURED = "not measured yet"
BEGIN = "<!-- results: written by `make bench-compare` -->"
END = "<!-- end of the results -->"


def number(value: float, digits: int) -> str:
    """Writes a number with commas between groups of three digits."""
    return f"{value:,.{digits}f}"


def cell(values: Iterable[float | None], digits: int) -> str:
    """Writes the median of the rounds, and their range if there is more than one."""
    known = [value for value in values if value is not None]
    if not known:
        return "–"
    middle = number(median(known), digits)
    if len(known) == 1:
        return middle
    return f"{middle} ({number(min(known), digits)} to {number(max(known), digits)})"


def markdown(heads: list[str], rows: Iterable[list[str]]) -> str:
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


def test_table(columns: list, records: list[dict]) -> str:
    """Writes the table of one test: a row for each system and profile, in the order of the records."""
    rounds: dict[tuple[str, str], list[dict]] = {}
    for record in records:
        rounds.setdefault((record["system"], record["profile"]), []).append(record)
    rows = []
    for (system, profile), found in rounds.items():
        good = [record["values"] for record in found if "values" in record]
        failed = [record["failed"] for record in found if "failed" in record]
        cells = [cell((values[column.key] for values in good), column.digits) for column in columns]
        if failed and not good:
            cells = ["failed: see the notes"] + ["–"] * (len(columns) - 1)
        rows.append([system, profile, str(len(good)), *cells])
    return markdown(["system", "settings", "rounds", *(column.title for column in columns)], rows)


def notes(records: Iterable[dict]) -> list[str]:
    """Returns the notes of the rounds, each once, in order."""
    found: dict[str, None] = {}
    for record in records:
        for note in record.get("notes", []):
            found[note] = None
        if "failed" in record:
            found[f"{record['system']} ({record['profile']}), round {record['round']} failed: {record['failed']}"] = (
                None
            )
    return list(found)


def run_table(run: dict) -> str:
    """Writes where, when and with what the numbers were measured."""
    rows = [[name, value] for name, value in run["machine"].items()]
    rows += [["date", run["date"]], ["load average at the start", run["load"]], ["sizes", run["sizes"]]]
    return markdown(["", ""], rows)


def systems_table(systems: list[dict]) -> str:
    rows = []
    for system in systems:
        versions = ", ".join(f"{name} {version}" for name, version in system["versions"].items())
        rows.append([system["system"], system["profile"], versions, "; ".join(system["settings"])])
    return markdown(["system", "settings", "versions", "in words"], rows)


def report(run: dict, trials: list) -> str:
    """Writes the complete part of the document that is generated."""
    caption = f"{run['machine']['processor']}, {run['date']}; versions and settings: the table at the end."
    parts = ["### Where and when", run_table(run)]
    for trial in trials:
        parts.append(f"### {trial.NAME}: {trial.TITLE}")
        records = [record for record in run["records"] if record["test"] == trial.NAME]
        sizes: dict[str, list[dict]] = {}
        for record in records:
            sizes.setdefault(record.get("size", ""), []).append(record)
        if not records:
            parts.append(NOT_MEASURED[0].upper() + NOT_MEASURED[1:] + ".")
            continue
        for size, found in sizes.items():
            parts.append(f"{size}{'. ' if size else ''}{caption}")
            parts.append(test_table(trial.COLUMNS, found))
            parts += [f"- {note}" for note in notes(found)]
    parts += ["### Versions and settings", systems_table(run["systems"])]
    text = ""
    for part in parts:
        # Notes are one list.
        text += (
            "\n" if part.startswith("- ") and text.rstrip("\n").split("\n")[-1].startswith("- ") else "\n\n"
        ) + part
    return text.strip() + "\n"


def replace(document: str, text: str) -> str:
    """Puts the results between their marks."""
    before, mark, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not mark or not end:
        raise ValueError("the document has no marks for the results")
    return f"{before}{BEGIN}\n\n{text}\n{END}{after}"
