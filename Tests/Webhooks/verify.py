"""Verifies one message, given as JSON {secret, headers, body} in MESSAGE, with the reference library. Exit status 3: refused."""
import json
import os
import sys

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

message = json.loads(os.environ["MESSAGE"])
try:
    Webhook(message["secret"]).verify(message["body"], message["headers"])
except WebhookVerificationError as error:
    print(error, file=sys.stderr)
    sys.exit(3)
