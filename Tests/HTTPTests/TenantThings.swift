import Domain
import HsafaClient
import JSON
import Postgres
import Storage
import TestSupport
import Testing

/// One thing of each kind that a tenant can have, by the name of its path parameter.
struct TenantThings: Sendable {
    let ids: [String: String]

    subscript(_ kind: String) -> String { ids[kind] ?? "nothing-of-kind-\(kind)" }

    static func make(_ tenant: TestTenant) async throws -> TenantThings {
        var ids: [String: String] = [:]
        ids["deviceId"] = try await tenant.device().id
        ids["tenantId"] = tenant.scope.tenantID.description
        ids["keyId"] = try #require(try await tenant.send("GET", "/api/keys").json()["data"]?[0]?["keyId"]?.string)
        let policyName = "policy-of-\(tenant.scope.slug)"
        // Asks a person about one tool, so that there is an approval.
        let policy = #"{"version":1,"rules":[{"id":"ask","effect":"require_approval","tools":["ask"],"targets":["browser"]}]}"#
        let written = try await tenant.send("PUT", "/api/policies/\(policyName)", policy)
        try #require(written.status == 201, "\(written.text)")
        let run = try await tenant.run(steps: [Config.calls("ask")], tools: [Config.browser("ask")])
        ids["runId"] = run
        ids["callId"] = try await tenant.approval(of: run).call
        let token = try await tenant.runToken(run, ["tools", "approvals"])
        (ids["tokenId"], ids["runToken"]) = (token.id, token.text)
        let secret = "THEIRS_\(tenant.scope.slug.replacing("-", with: "_"))".prefix(60)
        #expect(try await tenant.send("PUT", "/api/secrets/\(secret)", SecretTests.body(SecretTests.value, ["a.test"])).status == 201)
        ids["secretName"] = String(secret)
        ids["policyName"] = policyName
        let snapshot = try await tenant.snapshot(run)
        ids["agentId"] = try #require(snapshot["agentId"]?.string)
        ids["versionId"] = try #require(snapshot["agentVersionId"]?.string)
        return TenantThings(ids: ids)
    }

    /// nil for a template that names a kind of thing which nobody made here.
    static func path(_ template: String, _ value: (String) -> String?) -> String? {
        var parts: [String] = []
        for part in template.split(separator: "/") {
            guard part.first == "{" else {
                parts.append(String(part))
                continue
            }
            guard let value = value(String(part.dropFirst().dropLast())) else { return nil }
            parts.append(value)
        }
        return "/" + parts.joined(separator: "/")
    }

    static func parameters(_ template: String) -> [String] {
        template.split(separator: "/").filter { $0.first == "{" }.map { String($0.dropFirst().dropLast()) }
    }
}

extension TestEnvironment {
    /// Of every row of the tenant in every table that has one, from the catalogue, so that a new table counts by itself.
    /// When a key was last used is no change of what the tenant has.
    func fingerprint(of tenant: TestTenant) async throws -> [String: String] {
        let tables = try await owner.query(
            """
            SELECT c.relname::text FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname = 'hsafa' AND a.attname = 'tenant_id' AND NOT a.attisdropped AND c.relkind IN ('r', 'p') AND NOT c.relispartition
            """
        ).map { try $0.decode(0, as: String.self) }
        var found: [String: String] = [:]
        for table in tables {
            found[table] = try await owner.query(
                Self.fingerprint(table, of: tenant.scope.tenantID), scope: tenant.scope.tenantID.description, lane: .alone
            ).first?.decode(0, as: String.self)
        }
        return found
    }

    /// Of every row of every table, whoever's it is, and of those that belong to no tenant. For a database of the test's own.
    func fingerprint() async throws -> [String: String] {
        try await asSuperuser { superuser in
            let tables = try await superuser.query(
                """
                SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                WHERE n.nspname = 'hsafa' AND c.relkind IN ('r', 'p') AND NOT c.relispartition
                """
            ).map { try $0.decode(0, as: String.self) }
            var found: [String: String] = [:]
            for table in tables {
                found[table] = try await superuser.query(Self.fingerprint(table, of: nil), lane: .slow).first?.decode(0, as: String.self)
            }
            return found
        }
    }

    private static func fingerprint(_ table: String, of tenant: TenantID?) -> SQL {
        SQL(
            unsafeSQL: """
                SELECT count(*) || ' rows, ' || coalesce(md5(string_agg(row, '|' ORDER BY row)), '')
                FROM (SELECT (to_jsonb(t) - 'last_used_at')::text AS row FROM hsafa.\(table) t
                      \(tenant == nil ? "" : "WHERE tenant_id = $1")) rows
                """, parameters: tenant.map { [PostgresValue($0)] } ?? [])
    }
}
