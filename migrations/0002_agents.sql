CREATE TABLE hsafa.agents (
    tenant_id uuid NOT NULL REFERENCES hsafa.tenants,
    agent_id uuid NOT NULL,
    name text NOT NULL,
    description text,
    -- The version that a run takes when it names none.
    current_version_id uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    -- Deleted agents stay for the runs that name them; their name is free again.
    deleted_at timestamptz,
    PRIMARY KEY (tenant_id, agent_id)
);
CREATE UNIQUE INDEX agents_by_name ON hsafa.agents (tenant_id, name) WHERE deleted_at IS NULL;
CALL hsafa.guard_tenant_table('agents');
GRANT SELECT, INSERT, UPDATE ON hsafa.agents TO hsafa_app;
GRANT SELECT ON hsafa.agents TO hsafa_system;

CREATE TABLE hsafa.agent_versions (
    tenant_id uuid NOT NULL,
    agent_id uuid NOT NULL,
    version_id uuid NOT NULL,
    version text NOT NULL,
    config_hash text NOT NULL,
    config jsonb NOT NULL,
    metadata jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, version_id),
    FOREIGN KEY (tenant_id, agent_id) REFERENCES hsafa.agents,
    UNIQUE (tenant_id, agent_id, version),
    UNIQUE (tenant_id, agent_id, config_hash)
);
CALL hsafa.guard_tenant_table('agent_versions');
-- Immutable: the application may add versions, never change or drop one.
GRANT SELECT, INSERT ON hsafa.agent_versions TO hsafa_app;

ALTER TABLE hsafa.agents
    ADD FOREIGN KEY (tenant_id, current_version_id) REFERENCES hsafa.agent_versions (tenant_id, version_id);
