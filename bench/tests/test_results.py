"""Rows are on the disk at once, and stay there."""

from pathlib import Path

from bench.results import Results

COLUMNS = ("name", "value")


def test_each_row_is_on_the_disk_at_once(tmp_path: Path) -> None:
    path = tmp_path / "new" / "results.csv"
    results = Results(path, COLUMNS)
    assert path.read_text() == "name,value\n"
    results.add({"name": "a", "value": 1})
    assert path.read_text() == "name,value\na,1\n"
    assert results.rows() == [{"name": "a", "value": "1"}]


def test_an_earlier_run_is_gone_on_with_only_on_request(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    Results(path, COLUMNS).add({"name": "a", "value": 1})
    Results(path, COLUMNS, append=True).add({"name": "b", "value": 2})
    assert [row["name"] for row in Results(path, COLUMNS, append=True).rows()] == ["a", "b"]
    assert Results(path, COLUMNS).rows() == []
