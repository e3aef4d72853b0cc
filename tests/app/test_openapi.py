"""The OpenAPI document: valid, complete, and true of what endpoints take and answer."""

import json
from typing import Annotated

import msgspec
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from pydantic import BaseModel
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from rtserver.app import App, Body, Depends, Given, Limits, Path, Request, Response, User
from rtserver.app.endpoint import Description, Endpoint, HTTPError
from rtserver.app.openapi import openapi
from rtserver.app.shapes import Invalid
from tests.app import shop


def document(*apps, **more):
    """A document that a validator of others has seen."""
    made = openapi(apps, title="Test", version="1", **more)
    validate(json.loads(json.dumps(made)))
    return made


def of(function, path="/x", method="POST", **options):
    """The operation of one endpoint, and the whole document."""
    app = App()
    app.route(method, path, **options)(function)
    made = document(app)
    (item,) = made["paths"].values()
    return item[method.lower()], made


def fits(value, schema, whole):
    """Whether a JSON value is what a schema of the document says."""
    resource = Resource(contents=whole, specification=DRAFT202012)
    registry = Registry().with_resource("urn:document", resource)
    local = json.loads(json.dumps(schema).replace('"#/', '"urn:document#/'))
    errors = Draft202012Validator(local, registry=registry).iter_errors(value)
    assert [error.message for error in errors] == []


@pytest.fixture(scope="module")
def whole():
    return document(shop.app)


def references(value):
    if isinstance(value, dict):
        yield from [each for key, each in value.items() if key == "$ref"]
        for each in value.values():
            yield from references(each)
    elif isinstance(value, list):
        for each in value:
            yield from references(each)


# The whole


def test_every_endpoint_that_is_not_hidden_is_described(whole):
    described = {(method.upper(), path) for path, item in whole["paths"].items() for method in item}
    declared = {
        (each.method, each.path.replace(":path", "")) for each in shop.app.endpoints if not each.description.hidden
    }
    assert described == declared
    assert "/shop/secret" not in whole["paths"]


def test_every_reference_leads_somewhere(whole):
    for reference in references(whole):
        found = whole
        for name in reference.removeprefix("#/").split("/"):
            found = found[name]


def test_the_words_of_the_application_head_the_document(whole):
    assert whole["info"] == {"title": "Test", "version": "1", "description": shop.app.description}


def test_without_an_address_the_document_is_about_where_it_was_fetched(whole):
    assert "servers" not in whole
    named = document(shop.app, servers=["https://example.org/v1"])
    assert named["servers"] == [{"url": "https://example.org/v1"}]


def test_summary_and_description_are_those_of_the_docstring(whole):
    operation = whole["paths"]["/shop/items"]["get"]
    assert (operation["summary"], operation["description"]) == (
        "Everything on the shelf.",
        "Newest *last*. Filters add up.",
    )
    assert whole["paths"]["/shop/legacy"]["get"]["summary"] == "Legacy"


def test_what_is_deprecated_is_said_to_be(whole):
    assert whole["paths"]["/shop/legacy"]["get"]["deprecated"] is True
    assert "deprecated" not in whole["paths"]["/shop/items"]["get"]


def test_several_applications_are_groups_with_their_descriptions():
    first, second = App("First", description="One."), App("Second", prefix="/b")
    first.get("/x")(one)
    second.get("/x", tags=["own"])(one)
    second.get("/y")(one)
    made = document(first, second)
    assert made["tags"] == [{"name": "First", "description": "One."}, {"name": "Second"}]
    assert made["paths"]["/x"]["get"]["tags"] == ["First"]
    assert made["paths"]["/b/x"]["get"]["tags"] == ["own"]


def test_an_application_without_endpoints_makes_a_valid_document():
    assert document(App())["paths"] == {}


def test_endpoints_of_no_application_stand_beside_the_others():
    other = App()
    other.get("/api")(one)
    assert list(document(shop.app, endpoints=other.endpoints)["paths"])[-1] == "/api"


def one() -> int:
    return 1


# Names


def test_an_operation_is_named_like_its_function(whole):
    assert whole["paths"]["/shop/items/{item_id}"]["delete"]["operationId"] == "remove_item"


def test_functions_of_one_name_are_told_by_method_and_path():
    app = App()
    app.get("/a")(one)
    app.post("/a")(one)
    app.get("/b/c")(one)
    operations = [each["operationId"] for item in document(app)["paths"].values() for each in item.values()]
    assert operations == ["one_get_a", "one_post_a", "one_get_b_c"]


def test_paths_that_differ_in_the_names_of_their_parts_only_are_one():
    app = App()

    @app.get("/a/{x}")
    async def read(x: int) -> int: ...

    @app.put("/a/{y}")
    async def write(y: int) -> int: ...

    item = document(app)["paths"]["/a/{x}"]
    assert [each["parameters"][0]["name"] for each in item.values()] == ["x", "x"]


def test_the_rest_of_a_path_has_no_words_of_its_own_but_is_not_lost_either():
    app = App()

    @app.get("/a/{x}")
    async def part(x: str) -> int: ...

    @app.get("/a/{x:path}")
    async def rest(x: str) -> int: ...

    assert list(document(app)["paths"]) == ["/a/{x}", "/a/{x_}"]


# What goes in


def parameter(operation, name):
    (found,) = [each for each in operation["parameters"] if each["name"] == name]
    return found


def test_a_parameter_has_its_type_its_bounds_and_its_default(whole):
    found = parameter(whole["paths"]["/shop/items"]["get"], "limit")
    assert found == {
        "name": "limit",
        "in": "query",
        "required": False,
        "schema": {"type": "integer", "minimum": 1, "maximum": 100, "default": 20},
    }


def test_markers_describe_and_show_an_example(whole):
    found = parameter(whole["paths"]["/shop/items"]["get"], "tag")
    assert found["description"] == "Only items with all of these tags."
    assert found["example"] == ["old", "nice"]
    assert found["schema"] == {"type": "array", "items": {"type": "string"}, "default": []}


def test_what_providers_take_counts(whole):
    found = parameter(whole["paths"]["/shop/items/{item_id}"]["get"], "item_id")
    assert (found["in"], found["required"], found["example"]) == ("path", True, 7)


def test_headers_and_cookies_are_parameters(whole):
    operation = whole["paths"]["/shop/checkout"]["post"]
    assert parameter(operation, "x-request-id")["in"] == "header"
    assert parameter(operation, "session")["in"] == "cookie"


def test_a_parameter_that_function_and_provider_take_stands_once_and_is_required_when_one_needs_it():
    def provider(limit: int) -> int:
        return limit

    async def function(made: Annotated[int, Depends(provider)], limit: int = 1) -> int: ...

    (found,) = of(function)[0]["parameters"]
    assert (found["name"], found["required"]) == ("limit", True)


def test_one_model_is_the_body(whole):
    body = whole["paths"]["/shop/items"]["post"]["requestBody"]
    assert body == {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/NewItem"}}},
    }


def test_several_models_are_the_keys_of_the_body(whole):
    body = whole["paths"]["/shop/checkout"]["post"]["requestBody"]
    schema = body["content"]["application/json"]["schema"]
    assert schema["required"] == ["payment"]
    assert schema["properties"]["note"]["description"] == "For the courier."
    assert schema["properties"]["payment"]["discriminator"]["propertyName"] == "kind"
    fits({"payment": {"kind": "cash"}, "note": "ring twice"}, schema, whole)


def test_a_body_that_may_be_left_out_is_not_required():
    class Filter(BaseModel):
        word: str = ""

    async def function(
        wanted: Annotated[Filter, Body(description="Which.", example=Filter(word="a"))] = Filter(),  # noqa: B008
    ) -> int: ...

    body = of(function)[0]["requestBody"]
    assert (body["required"], body["description"]) == (False, "Which.")
    assert body["content"]["application/json"]["example"] == {"word": "a"}


def test_examples_of_models_are_in_the_document(whole):
    assert whole["components"]["schemas"]["NewItem"]["examples"][0]["name"] == "Teapot"


# What comes out


def test_the_declared_status_has_the_schema_of_the_result(whole):
    created = whole["paths"]["/shop/items"]["post"]["responses"]["201"]
    assert created["description"] == "Created"
    assert created["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Item"}


def test_what_has_no_content_says_so(whole):
    assert whole["paths"]["/shop/items/{item_id}"]["delete"]["responses"]["204"] == {"description": "No Content"}


def test_bytes_of_any_type_are_promised_nothing(whole):
    assert whole["paths"]["/shop/files/{name}"]["get"]["responses"]["200"] == {"description": "OK"}


def test_a_result_or_bytes_is_described_by_the_result():
    async def function() -> shop.Tick | Response: ...

    ok = of(function)[0]["responses"]["200"]
    assert ok["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Tick"}


def test_nothing_is_null_and_anything_is_anything():
    async def nothing() -> None: ...

    async def anything(): ...

    for function, schema in ((nothing, {"type": "null"}), (anything, {})):
        assert of(function)[0]["responses"]["200"]["content"]["application/json"]["schema"] == schema


@pytest.mark.parametrize("method, path", [("get", "/shop/items"), ("post", "/shop/items"), ("post", "/shop/checkout")])
def test_every_answer_can_be_read_from_the_document(whole, method, path):
    """What the endpoint sends for a result fits the schema of that result."""
    item = shop.Item(id=1, name="Pot", price="1.50", added="2026-01-02T03:04:05Z", tags=["a"])
    results = {"list_items": [item], "add_item": item, "checkout": shop.Tick(1, 2.0, 3.0)}
    operation = whole["paths"][path][method]
    (endpoint,) = [each for each in shop.app.endpoints if each.function.__name__ == operation["operationId"]]
    answer = endpoint.answer(results[operation["operationId"]])
    schema = operation["responses"][str(answer.status)]["content"]["application/json"]["schema"]
    fits(json.loads(answer.content), schema, whole)


# Errors


def test_what_can_be_wrong_is_answered_with_every_mistake(whole):
    assert whole["paths"]["/shop/items"]["get"]["responses"]["422"] == {"$ref": "#/components/responses/422"}
    assert "422" not in whole["paths"]["/shop/legacy"]["get"]["responses"]


def test_mistakes_look_as_the_document_says(whole):
    (endpoint,) = [each for each in shop.app.endpoints if each.function.__name__ == "list_items"]
    (limit,) = [each for each in endpoint.signature.all_parameters() if each.name == "limit"]
    with pytest.raises(Invalid) as caught:
        limit.shape.parse("1000", ("query", "limit"))
    answer = json.loads(msgspec.json.encode({"detail": caught.value.mistakes}))
    fits(answer, {"$ref": "#/components/schemas/HTTPValidationError"}, whole)
    assert answer["detail"][0]["ctx"] == {"le": 100}


def test_the_example_of_mistakes_is_one():
    made = document(shop.app)
    schema = made["components"]["schemas"]["HTTPValidationError"]
    fits(schema["examples"][0], schema, made)


def test_bodies_have_three_errors_of_their_own(whole):
    with_body, without = (whole["paths"]["/shop/items"][method]["responses"] for method in ("post", "get"))
    assert {"400", "413", "415"} <= set(with_body)
    assert not {"400", "413", "415"} & set(without)


def test_an_endpoint_that_takes_bodies_of_any_type_does_not_refuse_them():
    async def function(body: shop.Card) -> int: ...

    assert "415" not in of(function, limits=Limits(checks_type=False))[0]["responses"]


def test_what_browsers_are_answered_stands_beside_the_json():
    async def function(card: shop.Card) -> int: ...

    said = Description(responses={303: "Go on", 409: "Taken"}, examples={409: {"detail": "taken"}}, pages=True)
    app = App()
    app.endpoints.append(Endpoint("POST", "/x", function, description=said))
    responses = document(app)["paths"]["/x"]["post"]["responses"]
    both = {"application/json", "text/html"}
    assert all(set(responses[status]["content"]) == both for status in ("200", "409", "422", "500"))
    assert responses["409"]["content"]["application/json"]["example"] == {"detail": "taken"}
    assert responses["303"]["headers"]["Location"]["required"] and "content" not in responses["303"]
    assert responses["413"] == {"$ref": "#/components/responses/413"}, "it does not come from the endpoint"


def test_every_endpoint_may_fail_or_take_too_long(whole):
    for item in whole["paths"].values():
        for operation in item.values():
            assert {"500", "504"} <= set(operation["responses"])


def test_further_answers_are_those_of_the_application(whole):
    missing = whole["paths"]["/shop/items/{item_id}"]["get"]["responses"]["404"]
    assert missing["description"] == "There is no such item"
    fits({"detail": "there is no item 1"}, missing["content"]["application/json"]["schema"], whole)


def test_the_application_may_say_what_an_error_means():
    async def function(x: int) -> int: ...

    responses = of(function, responses={422: "Not even", 202: "Later"})[0]["responses"]
    assert responses["422"]["description"] == "Not even"
    assert responses["202"] == {"description": "Later"}


def test_answers_are_in_the_order_of_their_status(whole):
    for item in whole["paths"].values():
        for operation in item.values():
            assert list(operation["responses"]) == sorted(operation["responses"])


# Who calls


def test_who_must_sign_in_is_told_how(whole):
    operation = whole["paths"]["/shop/items"]["post"]
    assert operation["security"] == [{"bearer": []}]
    assert operation["responses"]["401"] == {"$ref": "#/components/responses/401"}
    assert whole["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"


def test_who_may_sign_in_may_also_not(whole):
    assert whole["paths"]["/shop/checkout"]["post"]["security"] == [{"bearer": []}, {}]


def test_an_open_endpoint_asks_for_nothing(whole):
    operation = whole["paths"]["/shop/items"]["get"]
    assert "security" not in operation
    assert "401" not in operation["responses"]


def test_a_user_that_a_provider_wants_counts():
    async def provider(user: User) -> int: ...

    async def function(made: Annotated[int, Depends(provider)]) -> int: ...

    assert of(function)[0]["security"] == [{"bearer": []}]


def test_a_kind_of_thing_that_is_given_may_bring_its_own_scheme():
    class Key(Given):
        security = ("key", {"type": "apiKey", "in": "header", "name": "X-Key"})

        @staticmethod
        def absent() -> HTTPError:
            return HTTPError(401)

    async def function(key: Key, user: User | None, request: Request) -> int: ...

    operation, made = of(function)
    assert operation["security"] == [{"key": [], "bearer": []}, {"key": []}]
    assert set(made["components"]["securitySchemes"]) == {"key", "bearer"}


def test_one_of_several_proofs_will_do():
    class Person(Given):
        security = (User.security, ("session", {"type": "apiKey", "in": "cookie", "name": "s"}))

    class Staff(Person): ...

    async def function(person: Person, staff: Staff) -> int: ...

    async def either(person: Person | None, user: User) -> int: ...

    operation, made = of(function)
    assert operation["security"] == [{"bearer": []}, {"session": []}]
    assert set(made["components"]["securitySchemes"]) == {"bearer", "session"}
    assert of(either)[0]["security"] == [{"bearer": []}, {"session": [], "bearer": []}]


def test_a_server_may_know_further_proofs():
    async def function(user: User) -> int: ...

    async def open_to_all(user: User | None) -> int: ...

    app = App()
    app.get("/x")(function)
    app.get("/y")(open_to_all)
    session = ("session", {"type": "apiKey", "in": "cookie", "name": "s"})
    made = document(app, proofs={User: (User.security, session)})
    assert made["paths"]["/x"]["get"]["security"] == [{"bearer": []}, {"session": []}]
    assert made["paths"]["/y"]["get"]["security"] == [{"bearer": []}, {"session": []}, {}]
    assert set(made["components"]["securitySchemes"]) == {"bearer", "session"}


# Names of models, see also test_schemas.py


def test_a_model_of_the_name_of_an_error_is_kept_apart():
    class ValidationError(BaseModel):
        mine: int

    async def function(body: ValidationError) -> ValidationError: ...

    operation, made = of(function)
    own = operation["requestBody"]["content"]["application/json"]["schema"]
    fits({"mine": 1}, own, made)
    error = made["components"]["responses"]["422"]["content"]["application/json"]["schema"]
    fits({"detail": [{"loc": ["body"], "msg": "m", "type": "t"}]}, error, made)


def test_a_part_of_the_path_is_required_whatever_its_default():
    async def function(x: Annotated[int, Path(description="Which.")] = 1) -> int: ...

    operation, _ = of(function, "/x/{x}", "GET")
    assert parameter(operation, "x")["required"] is True
