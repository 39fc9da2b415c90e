import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fastapi.testclient import TestClient

INT4_MAX = 2_147_483_647


def add(client: TestClient, title: str = "Buy milk", **fields: object) -> dict[str, Any]:
    answer = client.post("/todos/", json={"title": title, **fields})
    assert answer.status_code == 200, answer.text
    todo: dict[str, Any] = answer.json()
    return todo


@pytest.mark.core
def test_create_answers_the_whole_todo(client: TestClient) -> None:
    todo = add(client, "Buy milk", description="Two litres")
    assert todo == {"id": todo["id"], "title": "Buy milk", "description": "Two litres", "completed": False}
    assert client.get(f"/todos/{todo['id']}").json() == todo


def test_description_is_optional(client: TestClient) -> None:
    assert add(client)["description"] is None


def test_title_is_trimmed(client: TestClient) -> None:
    assert add(client, "  Buy milk\n")["title"] == "Buy milk"


@pytest.mark.parametrize(
    ("title", "description"),
    (("x" * 200, "y" * 2_000), ("買い物 🛒" * 20, "\t\n'\"; DROP TABLE todo --"), ("x", "")),
)
def test_text_comes_back_as_sent(client: TestClient, title: str, description: str) -> None:
    todo = add(client, title, description=description)
    assert (todo["title"], todo["description"]) == (title, description)


def test_title_of_full_length_may_have_space_around_it(client: TestClient) -> None:
    assert add(client, f" {'x' * 200} ")["title"] == "x" * 200


@pytest.mark.core
def test_list_is_ordered_by_id_even_after_updates(client: TestClient) -> None:
    identifiers = [add(client, f"Todo {number}")["id"] for number in range(5)]
    client.put(f"/todos/{identifiers[0]}", json={"completed": True})
    assert [todo["id"] for todo in client.get("/todos/").json()] == identifiers
    page = client.get("/todos/", params={"skip": 1, "limit": 2}).json()
    assert [todo["id"] for todo in page] == identifiers[1:3]


def test_list_is_empty_at_first_and_beyond_the_end(client: TestClient) -> None:
    assert client.get("/todos/").json() == []
    add(client)
    assert client.get("/todos/", params={"skip": INT4_MAX}).json() == []


def test_list_gives_100_by_default_and_up_to_500(client: TestClient) -> None:
    for number in range(101):
        add(client, f"Todo {number}")
    assert len(client.get("/todos/").json()) == 100
    assert len(client.get("/todos/", params={"limit": 500}).json()) == 101


@pytest.mark.core
@pytest.mark.parametrize(
    "change", ({"title": "New"}, {"description": "New"}, {"description": None}, {"completed": True}, {})
)
def test_update_changes_only_what_is_sent(client: TestClient, change: dict[str, Any]) -> None:
    before = add(client, description="Old")
    answer = client.put(f"/todos/{before['id']}", json=change)
    assert answer.status_code == 200
    assert answer.json() == before | change
    assert client.get(f"/todos/{before['id']}").json() == before | change


def test_update_trims_the_title(client: TestClient) -> None:
    assert client.put(f"/todos/{add(client)['id']}", json={"title": " New "}).json()["title"] == "New"


@pytest.mark.core
def test_delete_answers_the_todo_which_is_then_gone(client: TestClient) -> None:
    todo = add(client)
    answer = client.delete(f"/todos/{todo['id']}")
    assert (answer.status_code, answer.json()) == (200, todo)
    assert client.get("/todos/").json() == []


@pytest.mark.parametrize("todo_id", (1, 0, -1, INT4_MAX, -INT4_MAX - 1))
def test_missing_todo_is_not_found(client: TestClient, todo_id: int) -> None:
    for answer in (
        client.get(f"/todos/{todo_id}"),
        client.put(f"/todos/{todo_id}", json={"title": "New"}),
        client.delete(f"/todos/{todo_id}"),
    ):
        assert (answer.status_code, answer.json()) == (404, {"detail": "Todo not found"})


TITLES: tuple[object, ...] = (None, 1, True, [], {}, "", "   ", "x" * 201, "nul \0 inside", "lone \ud800 surrogate")
DESCRIPTIONS: tuple[object, ...] = (1, False, [], {}, "y" * 2_001, "nul \0 inside", "lone \udfff surrogate")
COMPLETED: tuple[object, ...] = (None, 0, 1, "true", [], "nul \0 inside")


@pytest.mark.parametrize(
    ("field", "value"),
    [("title", value) for value in TITLES]
    + [("description", value) for value in DESCRIPTIONS]
    + [("completed", value) for value in COMPLETED],
)
def test_bad_field_is_refused_and_changes_nothing(client: TestClient, field: str, value: object) -> None:
    before = add(client, description="Old")
    body = json.dumps({field: value})
    answer = client.put(f"/todos/{before['id']}", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422, answer.text
    problem = answer.json()["detail"][0]
    assert problem["loc"] == ["body", field]
    assert problem["msg"]
    assert client.get("/todos/").json() == [before]


@pytest.mark.parametrize("title", TITLES)
def test_bad_title_creates_nothing(client: TestClient, title: object) -> None:
    body = json.dumps({"title": title})
    answer = client.post("/todos/", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422, answer.text
    assert client.get("/todos/").json() == []


@pytest.mark.parametrize(
    ("body", "status"),
    (
        (b"", 422),
        (b"{", 422),
        (b"null", 422),
        (b"[]", 422),
        (b'"title"', 422),
        (b"{}", 422),
        (b'{"title": NaN}', 422),
        (b'{"title": "\xff"}', 400),
        (b'{"title": "x", "description": ' + b"1" * 5_000 + b"}", 400),
        (b"[" * 50_000, 400),
    ),
    ids=lambda value: str(value)[:30],
)
def test_body_that_is_no_todo_is_refused(client: TestClient, body: bytes, status: int) -> None:
    answer = client.post("/todos/", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == status, answer.text
    assert answer.json()["detail"]


@pytest.mark.parametrize("content_type", ("text/plain", "application/x-www-form-urlencoded", "image/png", ""))
def test_body_of_another_type_is_refused(client: TestClient, content_type: str) -> None:
    answer = client.post("/todos/", content=b'{"title": "x"}', headers={"Content-Type": content_type})
    assert answer.status_code == 422


@pytest.mark.parametrize("todo_id", (INT4_MAX + 1, -INT4_MAX - 2, 10**30, "abc", "1.5", "1%00", "%ff", "%ED%A0%80"))
def test_bad_id_is_refused(client: TestClient, todo_id: object) -> None:
    assert client.get(f"/todos/{todo_id}").status_code == 422
    assert client.put(f"/todos/{todo_id}", json={}).status_code == 422
    assert client.delete(f"/todos/{todo_id}").status_code == 422


@pytest.mark.parametrize(
    "query", ("limit=0", "limit=501", "limit=-1", "limit=x", "limit=", "skip=-1", "skip=2147483648", "skip=%00")
)
def test_bad_page_is_refused(client: TestClient, query: str) -> None:
    assert client.get(f"/todos/?{query}").status_code == 422


def test_unknown_path_and_method(client: TestClient) -> None:
    assert client.get("/nothing").status_code == 404
    assert client.patch("/todos/").status_code == 405


def test_one_of_many_simultaneous_deletions_wins(client: TestClient) -> None:
    todo_id = add(client)["id"]
    with ThreadPoolExecutor(8) as threads:
        statuses = list(threads.map(lambda _: client.delete(f"/todos/{todo_id}").status_code, range(8)))
    assert sorted(statuses) == [200] + [404] * 7


def test_updates_that_race_with_a_deletion_are_answered(client: TestClient) -> None:
    for round_number in range(5):
        path = f"/todos/{add(client)['id']}"

        def change(number: int, path: str = path, round_number: int = round_number) -> int:
            if number == round_number:
                return int(client.delete(path).status_code)
            return int(client.put(path, json={"title": str(number)}).status_code)

        with ThreadPoolExecutor(6) as threads:
            assert set(threads.map(change, range(6))) <= {200, 404}
