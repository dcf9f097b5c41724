import unittest
from types import SimpleNamespace

from compare import table
from compare.trial import Column

TRIAL = SimpleNamespace(NAME="T1", TITLE="Start", COLUMNS=[Column("ms", "median", 1), Column("left", "left")])
OTHER = SimpleNamespace(NAME="T2", TITLE="Burst", COLUMNS=[])


def record(system, number, **more):
    return {"test": "T1", "system": system, "profile": "no-loss", "round": number, "size": "", **more}


class Table(unittest.TestCase):
    def test_cell_has_the_median_and_the_range_of_the_rounds(self):
        for values, digits, wanted in [
            ([3.14], 1, "3.1"),
            ([5, 1, 3], 0, "3 (1 to 5)"),
            ([1234.5, None, 1235.5], 1, "1,235.0 (1,234.5 to 1,235.5)"),
            ([None, None], 1, "–"),
            ([], 1, "–"),
        ]:
            self.assertEqual(table.cell(values, digits), wanted)

    def test_rounds_of_a_system_are_one_row(self):
        records = [
            record("a", 1, values={"ms": 2.0, "left": 0}),
            record("b", 1, failed="it did not start"),
            record("a", 2, values={"ms": 4.0, "left": None}),
        ]
        lines = table.test_table(TRIAL.COLUMNS, records).splitlines()
        rows = ["| a | no-loss | 2 | 3.0 (2.0 to 4.0) | 0 |", "| b | no-loss | 0 | failed: see the notes | – |"]
        self.assertEqual(lines[2:], rows)

    def test_notes_are_shown_once_and_name_failures(self):
        records = [
            record("a", 1, values={}, notes=["x"]),
            record("a", 2, values={}, notes=["x"]),
            record("b", 1, failed="y"),
        ]
        self.assertEqual(table.notes(records), ["x", "b (no-loss), round 1 failed: y"])

    def test_report_says_what_was_not_measured_and_where_the_rest_was(self):
        run = {
            "machine": {"processor": "a processor, 2 cores"},
            "date": "2026-01-01 00:00 UTC",
            "load": "0.00",
            "sizes": "slots 4",
            "systems": [{"system": "a", "profile": "no-loss", "versions": {"a": "1.0"}, "settings": ["all", "safe"]}],
            "records": [record("a", 1, values={"ms": 2.0, "left": 0}, notes=["x", "y"])],
        }
        text = table.report(run, [TRIAL, OTHER])
        self.assertIn("### T1: Start\n\na processor, 2 cores, 2026-01-01 00:00 UTC; versions", text)
        self.assertIn("\n\n- x\n- y\n\n### T2: Burst\n\nNot measured yet.\n", text)
        self.assertIn("| a | no-loss | a 1.0 | all; safe |", text)

    def test_results_replace_what_is_between_the_marks(self):
        document = f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n"
        self.assertEqual(table.replace(document, "new\n"), f"before\n{table.BEGIN}\n\nnew\n\n{table.END}\nafter\n")
        with self.assertRaises(ValueError):
            table.replace("no marks", "new")


if __name__ == "__main__":
    unittest.main()
