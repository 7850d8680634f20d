-- What the last failed attempt to deliver a call came to, as its tenant is shown it; stays when the call ends.
ALTER TABLE hsafa.tool_calls
    ADD COLUMN failed_attempts integer CHECK (failed_attempts > 0),
    ADD COLUMN delivery_error text,
    ADD CHECK ((failed_attempts IS NULL) = (delivery_error IS NULL));
