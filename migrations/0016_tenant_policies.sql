-- A tenant's own layer of policies: it can only narrow what the operator's folder allows.
CREATE TABLE hsafa.tenant_policies (
    tenant_id uuid NOT NULL REFERENCES hsafa.tenants,
    name text NOT NULL,
    -- json, not jsonb: the hash is over these bytes.
    document json NOT NULL,
    hash text NOT NULL,
    -- Counts the changes of this name, from 1.
    revision integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, name)
);
CALL hsafa.guard_tenant_table('tenant_policies');
GRANT SELECT, INSERT, UPDATE, DELETE ON hsafa.tenant_policies TO hsafa_app;
