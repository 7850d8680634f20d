"""What schemathesis must know of the gateway beyond its description.

Two kinds of things stand here, each with its reason: requests that would end the test itself, and rules that depend on the moment or on
what the database holds, which no schema can say. A failure is dropped only where the answer names such a rule; everything else stays one.
"""

import os
import re
import uuid

import schemathesis

# The keys that drive the test: who revokes or rotates them has locked himself out.
OWN_KEYS = set(os.environ.get("CONTRACT_OWN_KEY_IDS", "").split())
OWN_TENANTS = set(os.environ.get("CONTRACT_OWN_TENANT_IDS", "").split())
ENDING = {"revokeKey", "rotateKey", "revokeTenantKey", "rotateTenantKey"}
SUSPENDING = {"suspendTenant"}


def operation_id(case):
    return case.operation.definition.raw.get("operationId")


@schemathesis.hook
def before_call(context, case, kwargs):
    parameters = case.path_parameters or {}
    operation = operation_id(case)
    # Links lead from the list of keys to its rows, and the driving key is one of them.
    if operation in ENDING and str(parameters.get("keyId", "")).lower() in OWN_KEYS:
        parameters["keyId"] = str(uuid.uuid4())
    if operation in SUSPENDING and str(parameters.get("tenantId", "")).lower() in OWN_TENANTS:
        parameters["tenantId"] = str(uuid.uuid4())


# Of requests that fit the schema: operation (None: any), pointer or parameter, and what the answer says. Each is a rule about the moment,
# about other fields or about what is stored.
SEMANTIC = [
    (None, "cursor", r"is not a cursor of this list", "a cursor is an id of the list before, which a pattern cannot know"),
]


def is_semantic(operation, response):
    try:
        problem = response.json()
    except ValueError:
        return False
    said = [(e["pointer"], e["message"]) for e in problem.get("errors", [])]
    said.append(("", problem.get("detail", "")))
    return any(
        (known in (None, operation)) and re.search(place, pointer + " " + message) and re.search(rule, message)
        for known, place, rule, _ in SEMANTIC
        for pointer, message in said
    )


@schemathesis.hook
def filter_failure(context, failure, case, response):
    if type(failure).__name__ != "RejectedPositiveData":
        return True
    return not is_semantic(operation_id(case), response)


# The description of the API is served as YAML, and described as text: it is not to be read into an object before it is judged.
@schemathesis.deserializer("application/yaml")
def yaml_is_text(context, response):
    return response.content.decode("utf-8")
