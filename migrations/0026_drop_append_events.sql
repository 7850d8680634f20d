-- Appends are statements of their own since 0010; nothing calls the function that they replaced.
DROP FUNCTION hsafa.append_events(uuid, uuid, bigint, integer, text[], text[], timestamptz);
