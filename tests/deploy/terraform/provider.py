"""Stands in for the google provider: serves its schema, and plans and applies as one whose every request succeeds.

It runs in the environment that `make .terraform-tests/ready` makes. Terraform attaches to it instead of starting a
provider (`TF_REATTACH_PROVIDERS`), and speaks plugin protocol 5 with it in plain gRPC. What is in the cloud is what
is in the state: a test that changes something behind Terraform's back changes the state. It does not refuse values that
only Google's own checks would, nor replace what no update reaches. tests/README.md says how to renew schema.json.
"""

import base64
import hashlib
import json
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import grpc
import msgpack

State = dict[str, Any] | None
Value = int | bytes | str
Fields = dict[int, list[int | bytes]]

UNKNOWN = msgpack.ExtType(0, b"\0")
NESTING = {"single": 1, "list": 2, "set": 3, "map": 4}
SCHEMA = json.loads(Path(__file__).with_name("schema.json").read_text())

# An IAM member takes a short name and plans it, then answers with the full one: another value than its readers planned.
FULL_NAMES = {
    "google_artifact_registry_repository_iam_member": (
        "repository",
        "projects/{project}/locations/{location}/repositories/{repository}",
    ),
    "google_cloud_run_v2_job_iam_member": ("name", "projects/{project}/locations/{location}/jobs/{name}"),
    "google_cloud_run_v2_service_iam_member": ("name", "projects/{project}/locations/{location}/services/{name}"),
    "google_secret_manager_secret_iam_member": ("secret_id", "projects/{project}/secrets/{secret_id}"),
    "google_storage_bucket_iam_member": ("bucket", "b/{bucket}"),
}
"""By the kind of the member: the attribute with the name, and the form of the full name."""


def main() -> None:
    """Serves on loopback until stdin ends; prints what `TF_REATTACH_PROVIDERS` has to say."""
    server = grpc.server(ThreadPoolExecutor(max_workers=10))
    handlers = {name: _handler(method) for name, method in _METHODS.items()}
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("tfplugin5.Provider", handlers)])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    address = {"Network": "tcp", "String": f"127.0.0.1:{port}"}
    attach = {"Protocol": "grpc", "ProtocolVersion": 5, "Pid": 1, "Test": True, "Addr": address}
    hosts = [(".").join(("registry", name, end)) for name, end in (("terraform", "io"), ("opentofu", "org"))]
    print(json.dumps({f"{host}/hashicorp/google": attach for host in hosts}), flush=True)
    sys.stdin.read()
    server.stop(None).wait()


def _handler(method: Callable[[Fields], bytes]) -> grpc.RpcMethodHandler:
    return grpc.unary_unary_rpc_method_handler(lambda request, _: method(decode(request)))


@cache
def _whole_schema() -> bytes:
    return encode(
        (1, _schema(SCHEMA["provider"])),
        (2, [encode((1, name), (2, _schema(schema))) for name, schema in SCHEMA["resource_schemas"].items()]),
        (3, [encode((1, name), (2, _schema(schema))) for name, schema in SCHEMA["data_source_schemas"].items()]),
    )


def _schema(schema: dict[str, Any]) -> bytes:
    return encode((1, schema.get("version", 0)), (2, _block(schema["block"])))


def _block(block: dict[str, Any]) -> bytes:
    attributes = [
        encode(
            (1, name),
            (2, json.dumps(attribute["type"])),
            *((number, attribute.get(flag, False)) for number, flag in _FLAGS),
        )
        for name, attribute in block.get("attributes", {}).items()
    ]
    blocks = [
        encode(
            (1, name),
            (2, _block(nested["block"])),
            (3, NESTING[nested["nesting_mode"]]),
            (4, nested.get("min_items", 0)),
            (5, nested.get("max_items", 0)),
        )
        for name, nested in block.get("block_types", {}).items()
    ]
    return encode((2, attributes), (3, blocks))


_FLAGS = ((4, "required"), (5, "optional"), (6, "computed"), (7, "sensitive"), (9, "deprecated"), (10, "write_only"))


def _read(request: Fields) -> bytes:
    kind, state = _bytes(request, 1).decode(), _state(request, 2)
    return encode((1, _value(state and _full(kind, state))))


def _plan(request: Fields) -> bytes:
    kind = _bytes(request, 1).decode()
    prior, proposed = _state(request, 2), _state(request, 3)
    if proposed is not None and prior is None:
        proposed = _computed(SCHEMA["resource_schemas"][kind]["block"], {**proposed, **_foreseen(kind, proposed)})
    elif proposed is not None and prior is not None:
        attribute, _ = FULL_NAMES.get(kind, ("id", ""))
        if kind in FULL_NAMES and prior[attribute].endswith(f"/{proposed[attribute]}"):
            proposed[attribute] = prior[attribute]
        if kind == "google_storage_bucket_object" and prior["md5hash"] != _md5(proposed["content"]):
            proposed |= dict.fromkeys(("crc32c", "generation", "md5hash"), UNKNOWN)
    return encode((1, _value(proposed)), (5, True))


def _apply(request: Fields) -> bytes:
    kind, prior, planned = _bytes(request, 1).decode(), _state(request, 2), _state(request, 3)
    if planned is not None:
        if kind == "google_storage_bucket_object":
            # An update writes an object only if its content is another: hashes that are unknown alone are read again.
            written = prior is None or prior["content"] != planned["content"]
            planned["md5hash"] = _md5(planned["content"]) if written or prior is None else prior["md5hash"]
        planned = _full(kind, _made(SCHEMA["resource_schemas"][kind]["block"], planned, kind))
    return encode((1, _value(planned)), (4, True))


def _read_data(request: Fields) -> bytes:
    config = _state(request, 2)
    assert config is not None
    uri = f"https://{config['name']}-123456789012.{config['location']}.run.app"
    return encode((1, _value({**config, "id": config["name"], "uri": uri})))


def _import(request: Fields) -> bytes:
    """A bucket by its name, without what no test reads: the first apply sets everything."""
    kind, name = _bytes(request, 1).decode(), _bytes(request, 2).decode()
    block = SCHEMA["resource_schemas"][kind]["block"]
    state: dict[str, Any] = dict.fromkeys(block["attributes"]) | {"id": name, "name": name, "force_destroy": False}
    state |= {name: [] for name in block["block_types"]} | {"timeouts": None}
    return encode((1, [encode((1, kind), (2, _value(state)))]))


def _md5(content: str) -> str:
    return base64.b64encode(hashlib.md5(content.encode(), usedforsecurity=False).digest()).decode()


def _full(kind: str, state: dict[str, Any]) -> dict[str, Any]:
    """The state as it is after a creation and at every read: with the full name of what an IAM member grants on."""
    attribute, form = FULL_NAMES.get(kind, ("", ""))
    if not attribute or "/" in state[attribute]:
        return state
    return {**state, attribute: form.format_map(state)}


def _foreseen(kind: str, state: dict[str, Any]) -> dict[str, Any]:
    """The values that the real provider knows before it makes a resource, as far as other resources use them."""
    if kind == "google_service_account":
        email = f"{state['account_id']}@{state['project']}.iam.gserviceaccount.com"
        return {"email": email, "member": f"serviceAccount:{email}"}
    return {}


def _computed(block: dict[str, Any], state: dict[str, Any]) -> dict[str, Any]:
    """The state, in which the values that the provider sets are unknown."""
    filled = dict(state)
    for name, attribute in block.get("attributes", {}).items():
        if attribute.get("computed") and filled[name] is None:
            filled[name] = UNKNOWN
    return _nested(block, filled, _computed)


def _made(block: dict[str, Any], state: dict[str, Any], kind: str) -> dict[str, Any]:
    """The state, in which unknown values are replaced by values of the right type."""
    made = dict(state)
    for name, attribute in block.get("attributes", {}).items():
        if made[name] == UNKNOWN:
            made[name] = {"string": f"{kind}.{name}", "number": 1, "bool": False}.get(str(attribute["type"]))
    return _nested(block, made, lambda inner, value: _made(inner, value, kind))


def _nested(
    block: dict[str, Any], state: dict[str, Any], change: Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]]
) -> dict[str, Any]:
    for name, nested in block.get("block_types", {}).items():
        value = state[name]
        if isinstance(value, list):
            state[name] = [change(nested["block"], item) for item in value]
        elif isinstance(value, dict):
            state[name] = change(nested["block"], value)
    return state


def _bytes(fields: Fields, number: int) -> bytes:
    value = fields.get(number, [b""])[-1]
    assert isinstance(value, bytes)
    return value


def _state(request: Fields, number: int) -> State:
    value = decode(_bytes(request, number))
    state: State = msgpack.unpackb(_bytes(value, 1), strict_map_key=False) if value.get(1) else None
    return state


def _value(state: State) -> bytes:
    return encode((1, msgpack.packb(state)))


# --- protocol buffers, as far as the plugin protocol needs them ---


def encode(*fields: tuple[int, Value | Iterable[bytes]]) -> bytes:
    """A message of numbered fields: numbers and bools, bytes and text, or several of a repeated field."""
    return b"".join(_field(number, value) for number, value in fields)


def decode(message: bytes) -> Fields:
    """The values of every field by its number; varints and fields with a length only, as no others occur."""
    fields: Fields = {}
    position = 0
    while position < len(message):
        tag, position = _read_varint(message, position)
        value: int | bytes
        length, position = _read_varint(message, position)
        if tag & 7 == 2:
            value = message[position : position + length]
            position += length
        elif tag & 7 == 0:
            value = length
        else:
            raise ValueError(f"wire type {tag & 7} of field {tag >> 3}")
        fields.setdefault(tag >> 3, []).append(value)
    return fields


def _field(number: int, value: Value | Iterable[bytes]) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value) if value else b""
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, bytes):
        value = (value,)  # an empty one, too: a message without fields is not the same as none
    return b"".join(_varint(number << 3 | 2) + _varint(len(item)) + item for item in value)


def _varint(number: int) -> bytes:
    digits = bytearray()
    while number > 0x7F:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    digits.append(number)
    return bytes(digits)


def _read_varint(message: bytes, position: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        digit = message[position]
        position += 1
        number |= (digit & 0x7F) << shift
        shift += 7
        if digit < 0x80:
            return number, position


_METHODS: dict[str, Callable[[Fields], bytes]] = {
    "GetSchema": lambda _: _whole_schema(),
    "PrepareProviderConfig": lambda request: encode((1, _bytes(request, 1))),
    "ValidateResourceTypeConfig": lambda _: b"",
    "ValidateDataSourceConfig": lambda _: b"",
    "Configure": lambda _: b"",
    "UpgradeResourceState": lambda request: encode((1, encode((2, _bytes(decode(_bytes(request, 3)), 1))))),
    "ImportResourceState": _import,
    "ReadResource": _read,
    "PlanResourceChange": _plan,
    "ApplyResourceChange": _apply,
    "ReadDataSource": _read_data,
    "Stop": lambda _: b"",
}

if __name__ == "__main__":
    main()
