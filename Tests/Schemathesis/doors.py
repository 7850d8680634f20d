"""Whether every operation was tried with a key that does not belong there: doors.py DOOR LOG

DOOR is tenant-as-admin, admin-as-tenant or page; LOG is what hooks.py wrote down of the refusals. A wall that nobody ran against is no wall.
"""

import sys
from collections import Counter
from pathlib import Path

import yaml

door, log = sys.argv[1], Path(sys.argv[2])
lines = [line.split() for line in log.read_text().splitlines()] if log.exists() else []
operations = [
    operation
    for item in yaml.safe_load(Path("openapi.yaml").read_text())["paths"].values()
    for operation in item.values()
    if isinstance(operation, dict) and operation.get("security") != []
]
wanted = {
    operation["operationId"]
    for operation in operations
    if door == "page" or ("Admin" in operation["tags"]) == (door == "tenant-as-admin")
}
assert wanted, f"no operation belongs to {door}"
missed = wanted - {line[0] for line in lines}
if missed:
    sys.exit(f"{door}: never tried: {', '.join(sorted(missed))}")
answers = Counter(f"{status} {code}" for _, status, code in lines)
print(f"  {len(lines)} refusals by all of {len(wanted)} operations: " + ", ".join(f"{count} {what}" for what, count in answers.most_common()))
