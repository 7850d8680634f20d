"""Verifies one message, given as JSON {secret, headers, body} on standard input, with the reference library. Exit status 1: refused."""
import json
import sys

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

message = json.load(sys.stdin)
try:
    Webhook(message["secret"]).verify(message["body"], message["headers"])
except WebhookVerificationError as error:
    print(error, file=sys.stderr)
    sys.exit(1)
