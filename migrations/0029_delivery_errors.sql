-- What the last failed attempt to deliver a call came to, as its tenant is shown it; stays when the call ends.
ALTER TABLE hsafa.tool_calls
    ADD COLUMN failed_attempts integer,
    ADD COLUMN delivery_error text;
-- Not looked up in the rows that are there, which have neither: that would take the table from everybody for as long.
ALTER TABLE hsafa.tool_calls
    ADD CONSTRAINT failed_attempts_with_their_error
        CHECK ((failed_attempts > 0 AND delivery_error IS NOT NULL) OR (failed_attempts IS NULL AND delivery_error IS NULL)) NOT VALID;
