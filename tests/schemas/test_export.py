"""The exported JSON Schemas are those of the models."""

from pathlib import Path

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from schemas import export


def test_the_files_are_what_the_models_say() -> None:
    assert export.differences() == [], "run: python -m schemas.export"


def test_every_schema_is_one_and_says_its_name() -> None:
    schemas = export.json_schemas()
    for schema in schemas.values():
        Draft202012Validator.check_schema(schema)
        assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert len({schema["$id"] for schema in schemas.values()}) == len(schemas) == 10


def test_export_writes_all_and_removes_what_is_too_many(tmp_path: Path) -> None:
    (tmp_path / "old.json").write_text("{}")
    assert "old.json" in export.differences(tmp_path)
    export.export(tmp_path)
    assert export.differences(tmp_path) == []
    assert not (tmp_path / "old.json").exists()


def test_check_names_what_differs_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    export.export(tmp_path)
    changed = tmp_path / "dead-letter.json"
    changed.write_text("{}")
    monkeypatch.setattr(export, "differences", lambda: real(tmp_path))
    assert export.main(["--check"]) == 1
    assert "dead-letter.json" in capsys.readouterr().err
    assert changed.read_text() == "{}"
    export.export(tmp_path)
    assert export.main(["--check"]) == 0


real = export.differences
