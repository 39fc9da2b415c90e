import re

import pytest
from fastapi.testclient import TestClient


def test_page_loads_only_files_of_its_own(client: TestClient) -> None:
    page = client.get("/docs")
    assert page.headers["Content-Type"].startswith("text/html")
    references = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    loaded = [reference for reference in references if not reference.startswith("data:")]
    assert len(loaded) == 3
    for reference in loaded:
        # Relative to the page, so that it holds behind a proxy's prefix too.
        assert not re.match(r"/|[a-z]+:", reference)
        assert client.get(f"/{reference}").status_code == 200


def test_page_has_no_inline_script_or_style(client: TestClient) -> None:
    page = client.get("/docs").text
    assert re.findall(r"<script[^>]*>([^<]*)</script>", page) == ["", ""]
    assert not re.search(r"<style|style=|\son\w+=", page)


@pytest.mark.parametrize(
    ("asset", "content_type"),
    (
        ("initialize.js", "text/javascript"),
        ("swagger-ui-bundle.js", "text/javascript"),
        ("swagger-ui.css", "text/css"),
    ),
)
def test_assets_have_their_type(client: TestClient, asset: str, content_type: str) -> None:
    assert client.get(f"/docs/{asset}").headers["Content-Type"].startswith(content_type)


@pytest.mark.parametrize("asset", ("page.html", "__init__.py", "..%2F__init__.py", "nothing"))
def test_nothing_else_is_served(client: TestClient, asset: str) -> None:
    assert client.get(f"/docs/{asset}").status_code == 404


@pytest.mark.core
def test_description_tells_of_every_refusal(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    statuses = {
        (method, path): set(operation["responses"])
        for path, operations in paths.items()
        for method, operation in operations.items()
        if path.startswith("/todos")
    }
    assert statuses == {
        ("post", "/todos/"): {"200", "400", "413", "422", "503"},
        ("get", "/todos/"): {"200", "422", "503"},
        ("get", "/todos/{todo_id}"): {"200", "404", "422", "503"},
        ("put", "/todos/{todo_id}"): {"200", "400", "404", "413", "422", "503"},
        ("delete", "/todos/{todo_id}"): {"200", "404", "422", "503"},
    }
