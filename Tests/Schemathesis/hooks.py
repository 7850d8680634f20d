"""What schemathesis must know of the gateway beyond its description.

Three kinds of things stand here, each with its reason: requests that would end the test itself, rules that depend on the moment or on what
the database holds, which no schema can say, and the check of an event stream's events. A failure is dropped only where the answer names
such a rule; everything else stays one.
"""

import json
import os
import re
import uuid
from pathlib import Path

import jsonschema_rs
import schemathesis
import yaml

# The keys that drive the test, and their tenants: who revokes, rotates or suspends them has locked himself out.
OWN_KEYS = set(os.environ.get("CONTRACT_OWN_KEY_IDS", "").split())
OWN_TENANTS = set(os.environ.get("CONTRACT_OWN_TENANT_IDS", "").split())
ENDS_KEY = {"revokeKey", "rotateKey", "revokeTenantKey", "rotateTenantKey"}
ENDS_TENANT = {"suspendTenant"}

DESCRIPTION = yaml.safe_load(Path("openapi.yaml").read_text())
IDEMPOTENCY_KEY = re.compile(DESCRIPTION["components"]["parameters"]["IdempotencyKey"]["schema"]["pattern"])


def operation_id(case):
    return case.operation.definition.raw.get("operationId")


@schemathesis.hook
def before_call(context, case, kwargs):
    parameters = case.path_parameters or {}
    operation = operation_id(case)
    # Links lead from the list of keys to its rows, and the driving key is one of them.
    if operation in ENDS_KEY and str(parameters.get("keyId", "")).lower() in OWN_KEYS:
        parameters["keyId"] = str(uuid.uuid4())
    if operation in ENDS_TENANT and str(parameters.get("tenantId", "")).lower() in OWN_TENANTS:
        parameters["tenantId"] = str(uuid.uuid4())
    # The same key with another request is refused, rightly: each request is a creation of its own here, and gets a key of its own. Keys that
    # are none stay as they are.
    headers = case.headers or {}
    for name in [name for name in headers if name.lower() == "idempotency-key"]:
        if IDEMPOTENCY_KEY.match(str(headers[name])):
            headers[name] = str(uuid.uuid4())


# What answers may say of requests that fit the schema: the operation (None: any), where, what, and why no schema says it.
SEMANTIC = [
    (None, "cursor", "is not a cursor of this list", "a cursor is an id of the page before"),
    ("listRunEvents", "cursor", "must be absent where after is given", "they are two names for one thing"),
    ("streamRun", "token", "must be absent where Authorization is given", "they are two places for one credential"),
    ("createRunToken", "/grants", "each at most once", "said by uniqueItems as well"),
    ("getUsage", "from", "must be at most 400 days before to", "a distance between two dates"),
    ("updateAgent", "/currentVersionId", "must be the id of a version of this agent", "it is stored or not"),
    ("createKey", "/expiresAt", "must be in the future", "the moment"),
    ("createTenantKey", "/expiresAt", "must be in the future", "the moment"),
    ("rotateKey", "/expiresAt", "must be in the future", "the moment"),
    ("rotateTenantKey", "/expiresAt", "must be in the future", "the moment"),
    ("publishAgentVersion", "/configHash", "", "a hash over the rest of the body"),
    ("publishAgentVersion", "/config/agent/name", "the agent's name, which is for life", "the path says whose version it is"),
    ("createAgent", "/config/agent/name", "", "the same name twice in one body"),
    ("createAgent", "/config/model/script", "", "the simulated model's own language, described in words"),
    ("publishAgentVersion", "/config/model/script", "", "the simulated model's own language, described in words"),
    (None, "/config/tools/", "belongs to tools with target device only", "a rule between the fields of a tool"),
    (None, "/config/tools/", "is required: name the device by id, key or labels", "a rule between the fields of a tool"),
    (None, "/config/tools/", "must name a device by id, key or labels", "a rule between the fields of a device"),
    (None, "/config/tools/", "must say where the tool runs", "a rule between the fields of a tool"),
    (None, "/config/tools/", "must be absent", "a rule between the fields of a tool"),
    (None, "/config/tools/", "is required for target server", "a rule between the fields of a tool"),
    (None, "/config/tools/", "which executionType and execution imply", "a rule between the fields of a tool"),
    (None, "/config/tools/", "is required for mode static", "a rule between the fields of a tool"),
    (None, "/config/tools/", "is the name of an earlier tool", "a rule between tools"),
    (None, "/execution/", "", "expressions, templates, URLs and names of headers have forms of their own, described in words"),
    (None, "/config/mcp/servers/", "must have a host", "the form of a URL"),
    (None, "/config/mcp/servers/", "must be the http(s) URL", "the form of a URL"),
    (None, "/config/mcp/servers/", "is the name of an earlier server", "a rule between servers"),
    (None, "/config/mcp/servers/", "begins the name of the tool", "a rule between servers and tools"),
    (None, "/headers/", "is no name of an HTTP header", "RFC 9110 says what a token is"),
    (None, "/headers/", "is a header that the gateway sets itself", "names without regard to case"),
    (None, "/headers/", "is there twice", "names without regard to case"),
    (None, "/headers/", "must be visible ASCII", "the bytes of a field's value"),
    (None, "/headers/", "has ", "the form of a template, described in words"),
    (None, "/config/", "names the secret", "it is stored or not"),
    (None, "/config/tools/", "is called with a signature", "a signing key is there or not"),
    (None, "/config/", "sends the secret", "it is stored with its hosts"),
    (None, "/config/", "can never be used", "policy says so, which is not the description's"),
    ("putSecret", "/hosts/", "", "the form of a host pattern, described in words"),
    ("putPolicy", "/egress/", "", "the form of a host pattern, described in words"),
    ("putPolicy", "/rules/", "is used twice", "a rule between rules"),
    ("putPolicy", "/devices", "never matches", "a rule between the fields of a rule"),
    ("putPolicy", "/when", "", "what a JSON Schema is, says the meta-schema of 2020-12"),
    (None, "/config/model/baseURL", "", "the form of a URL"),
    (None, "", "must hold no \\u0000", "said of all texts, in words"),
    (None, "", "percent-encoded UTF-8 without U+0000", "said of all texts, in words"),
    (None, "/inputSchema", "", "what a JSON Schema is, says the meta-schema of 2020-12"),
    (None, "", "The body is larger than", "the size of the whole body"),
]


# DELETE ends these, and keeps them: the description of each says so.
REVOCATIONS = {
    f"DELETE {path}" for path, item in DESCRIPTION["paths"].items() if "stays to be seen" in item.get("delete", {}).get("description", "")
}


def is_semantic(operation, response):
    try:
        problem = response.json()
    except ValueError:
        return False
    said = [e["pointer"] + " " + e["message"] for e in problem.get("errors", [])] or [problem.get("detail", "")]
    return all(
        any(known in (None, operation) and where in text and what in text for known, where, what, _ in SEMANTIC) for text in said
    )


def is_beyond_ascii(value):
    """maxLength counts characters, the gateway bytes of UTF-8; the description says so."""
    return not json.dumps(value, ensure_ascii=False, default=str).isascii()


def has_written_out_integer(value):
    """1.0 is an integer to JSON Schema. The description says that the gateway takes integers that are written as such."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return any(has_written_out_integer(item) for item in value)
    return isinstance(value, float) and value.is_integer()


EVENT = jsonschema_rs.validator_for(
    {"$ref": "#/components/schemas/RunEvent", "components": DESCRIPTION["components"]}, validate_formats=True
)


@schemathesis.check
def stream_events_fit(ctx, response, case):
    """Each event of a stream has the schema of its type, an id that is its seq, and follows the one before."""
    if operation_id(case) != "streamRun" or response.status_code != 200:
        return
    last = None
    for block in response.content.decode("utf-8").split("\n\n")[:-1]:
        fields = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line and not line.startswith(":"))
        if fields.get("event") != "hsafa":
            continue
        event = json.loads(fields["data"])
        EVENT.validate(event)
        assert fields["id"] == f"{event['seq']}-0", f"id {fields['id']} of event {event['seq']}"
        assert last is None or event["seq"] == last + 1, f"event {event['seq']} follows {last}"
        last = event["seq"]


# A key where another one belongs (`drive` of contract.sh says whose): refused everywhere, whatever else the request is. What was refused
# is written down, so that doors.py can say which operation was never tried.
DOOR = os.environ.get("CONTRACT_DOOR")
DOOR_KEY, DOOR_LOG = os.environ.get("CONTRACT_DOOR_KEY"), os.environ.get("CONTRACT_DOOR_LOG")


def refusals(operation):
    """The answers that the operation may give whoever stands at the wrong door: statuses with their codes."""
    # None: what holds for all operations, which is a key.
    schemes = {name for scheme in operation.get("security") or [{"apiKey": []}] for name in scheme}
    if "resultToken" in schemes:
        return {(401, "invalid_result_token")}
    if DOOR == "page":
        # A page's token is good for its own run, which nobody here names, and no credential anywhere else.
        return {(404, "run_not_found")} if "runToken" in schemes else {(401, "unauthorized")}
    return {(403, "admin_required" if "Admin" in operation["tags"] else "missing_scope")}


@schemathesis.check
def wrong_door_is_closed(ctx, response, case):
    """A tenant's key opens nothing of the admins, an admin's key nothing of a tenant, a page's token nothing but its run."""
    operation = case.operation.definition.raw
    if not DOOR or operation.get("security") == [] or case.method.upper() != case.operation.method.upper():
        return
    if response.request.headers.get("Authorization") != f"Bearer {DOOR_KEY}":
        return
    try:
        code = response.json().get("code")
    except ValueError:
        code = None
    # A path that leads to no operation has no door.
    if (response.status_code, code) == (404, "route_not_found"):
        return
    allowed = refusals(operation)
    assert (response.status_code, code) in allowed, f"{response.status_code} {code} at the wrong door, where {allowed} belongs"
    with open(DOOR_LOG, "a") as log:
        log.write(f"{operation['operationId']} {response.status_code} {code}\n")


@schemathesis.hook
def filter_failure(context, failure, case, response):
    kind, operation = type(failure).__name__, operation_id(case)
    if kind == "JsonSchemaError" and operation == "streamRun":
        # Judged as one text, a stream is no text; its events are judged above, each by its own schema.
        return False
    if kind == "JsonSchemaError" and operation == "getOpenAPI":
        # Read as YAML it is no text, as which it is described: it must be the file.
        return response.content != Path("openapi.yaml").read_bytes()
    if kind == "UseAfterFree" and failure.operation in REVOCATIONS:
        # What is revoked is not gone: it stays to be seen, and says so wherever it is shown itself.
        return operation in ("getDevice", "getKey") and response.json()["status"] != "revoked"
    if kind != "RejectedPositiveData":
        return True
    if "must be an integer" in response.text and has_written_out_integer(case.body):
        return False
    if "bytes" in response.text and is_beyond_ascii(case.body):
        return False
    return not is_semantic(operation, response)


# Files are described as text, and are not read into anything else before they are judged.
@schemathesis.deserializer("text/html", "text/css", "text/javascript", "text/plain", "image/svg+xml")
def file_is_text(context, response):
    return response.content.decode("utf-8")
