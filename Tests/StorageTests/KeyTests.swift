import Domain
import Postgres
import Storage
import TestSupport
import Testing

/// What the database itself holds about keys, tenants and the audit log, whatever the gateway's code does.
struct KeyTests {
    private func insert(_ db: StorageDatabase, _ scope: TenantScope, issuer: APIKeyID? = nil) async throws -> APIKeyListing? {
        let token = CredentialToken.generate(.apiKey)
        return try await db.database.tenant(scope).changes(by: .test).insertKey(
            .generate(), NewAPIKey(name: "k", scopes: [.runsRead], expiresAt: nil, issuer: issuer),
            SecretRow(publicID: token.id, hash: "h-\(token.id)"))
    }

    @Test func `the application can neither make an admin's key nor turn a key into one, nor widen a scope`() async throws {
        try await StorageDatabase.with { db in
            let scope = try await db.makeTenant()
            let key = try #require(try await insert(db, scope))
            for sql in [
                "UPDATE hsafa.api_keys SET is_admin = true", "UPDATE hsafa.api_keys SET scopes = '{keys:write}'",
                "UPDATE hsafa.api_keys SET generation = 0", "UPDATE hsafa.api_keys SET changed_at = NULL",
                "UPDATE hsafa.tenants SET status = 'active'", "DELETE FROM hsafa.api_keys",
            ] {
                let error = await postgresError {
                    try await db.app.query(SQL(unsafeSQL: sql), scope: scope.tenantID.description, lane: .alone)
                }
                #expect(error?.sqlState == "42501", "\(sql)")
            }
            let admin = await postgresError {
                try await db.app.query(
                    """
                    INSERT INTO hsafa.api_keys (tenant_id, key_id, public_id, name, secret_hash, scopes, is_admin)
                    VALUES (\(scope.tenantID), \(APIKeyID.generate()), 'x', 'x', 'x', '{}', true)
                    """, scope: scope.tenantID.description, lane: .alone)
            }
            #expect(admin?.sqlState == "42501")
            #expect(try await db.database.tenant(scope).apiKey(key.keyID)?.scopes == [.runsRead])
        }
    }

    @Test func `the application can neither bring a key back nor take over an admin's`() async throws {
        try await StorageDatabase.with { db in
            let bootstrap = Bootstrap(owner: db.owner)
            let platform = try await bootstrap.ensureTenant(slug: Bootstrap.platformSlug, name: "Platform")
            let admin = try await bootstrap.insertKey(
                tenant: platform, publicID: CredentialToken.generate(.apiKey).id, name: "a", secretHash: "h", scopes: [], isAdmin: true)
            func change(_ set: String, _ key: APIKeyID, _ tenant: TenantID) async -> PostgresError? {
                await postgresError {
                    try await db.app.query(
                        SQL(unsafeSQL: "UPDATE hsafa.api_keys SET \(set) WHERE tenant_id = '\(tenant)' AND key_id = '\(key)'"),
                        scope: tenant.description, lane: .alone)
                }
            }
            for set in [
                "secret_hash = 'mine'", "public_id = 'mine'", "previous_public_id = 'mine', previous_secret_hash = 'mine'",
                "expires_at = now()",
            ] {
                #expect(await change(set, admin, platform)?.sqlState == "42501", "\(set)")
            }
            #expect(await change("revoked_at = now()", admin, platform) == nil, "ending one is allowed")
            #expect(await change("revoked_at = NULL", admin, platform)?.sqlState == "42501")
            let scope = try await db.makeTenant()
            let key = try #require(try await insert(db, scope)).keyID
            #expect(await change("revoked_at = now()", key, scope.tenantID) == nil)
            #expect(await change("revoked_at = NULL", key, scope.tenantID)?.sqlState == "42501")
        }
    }

    @Test func `the audit log is append-only for the application`() async throws {
        try await StorageDatabase.with { db in
            let scope = try await db.makeTenant()
            _ = try await insert(db, scope)
            for sql in ["UPDATE hsafa.audit_log SET action = 'x'", "DELETE FROM hsafa.audit_log", "TRUNCATE hsafa.audit_log"] {
                let error = await postgresError {
                    try await db.app.query(SQL(unsafeSQL: sql), scope: scope.tenantID.description, lane: .alone)
                }
                #expect(error?.sqlState == "42501", "\(sql)")
            }
            #expect(try await db.database.tenant(scope).audit(AuditFilter(), limit: 10, after: nil).count == 2)
        }
    }

    @Test func `a change and its audit row are there together or not at all`() async throws {
        try await StorageDatabase.with { db in
            let scope = try await db.makeTenant()
            let tenant = db.database.tenant(scope)
            let author = ChangeAuthor(kind: .key, id: "k", address: "203.0.113.1", requestID: "r")
            #expect(try await tenant.changes(by: author).revokeKey(.generate()) == nil)
            // A public id that is taken: the insert fails, and so does its row.
            let key = try #require(try await insert(db, scope))
            let twin = await postgresError {
                try await tenant.changes(by: author).insertKey(
                    .generate(), NewAPIKey(name: "twin", scopes: [.runsRead], expiresAt: nil, issuer: nil),
                    SecretRow(publicID: key.publicID, hash: "h"))
            }
            #expect(twin?.sqlState == "23505")
            #expect(try await tenant.audit(AuditFilter(actorID: "k"), limit: 10, after: nil).isEmpty)
            #expect(try await tenant.changes(by: author).revokeKey(key.keyID)?.generation == 2)
            let row = try #require(try await tenant.audit(AuditFilter(actorID: "k"), limit: 10, after: nil).first)
            #expect(row.action == "key.revoke" && row.targetKind == "key" && row.targetID == key.keyID.description)
            #expect(row.address == "203.0.113.1" && row.requestID == "r" && row.actorKind == "key")
        }
    }

    @Test func `a key that is revoked or expired leaves no child behind`() async throws {
        try await StorageDatabase.with { db in
            let scope = try await db.makeTenant()
            let changes = db.database.tenant(scope).changes(by: .test)
            let issuer = try #require(try await insert(db, scope))
            let target = try #require(try await insert(db, scope, issuer: issuer.keyID))
            _ = try await changes.revokeKey(issuer.keyID)
            #expect(try await insert(db, scope, issuer: issuer.keyID) == nil)
            let rotated = try await changes.rotateKey(
                target.keyID, generation: 1, SecretRow(publicID: "a", hash: "b"), overlapSeconds: 0, expiresAt: nil, issuer: issuer.keyID)
            #expect(rotated == nil)
            let other = try #require(try await insert(db, scope))
            try await db.asOwner(scope, "UPDATE hsafa.api_keys SET expires_at = now() WHERE tenant_id = \(scope.tenantID)")
            #expect(try await insert(db, scope, issuer: other.keyID) == nil)
        }
    }

    @Test func `a rotation that was decided on an older row changes nothing`() async throws {
        try await StorageDatabase.with { db in
            let scope = try await db.makeTenant()
            let changes = db.database.tenant(scope).changes(by: .test)
            let key = try #require(try await insert(db, scope))
            func rotate(_ id: String) async throws -> APIKeyListing? {
                try await changes.rotateKey(
                    key.keyID, generation: key.generation, SecretRow(publicID: id, hash: "h-\(id)"), overlapSeconds: 600, expiresAt: nil,
                    issuer: nil)
            }
            let winners = try await withThrowingTaskGroup(of: Bool.self) { group in
                for index in 0..<8 { group.addTask { try await rotate("rotated-\(index)") != nil } }
                return try await group.reduce(0) { $0 + ($1 ? 1 : 0) }
            }
            #expect(winners == 1)
            let credentials = Credentials(db.database)
            #expect(try await credentials.apiKey(publicID: key.publicID)?.secretHash == "h-\(key.publicID)")
            // Its overlap over, the old secret is unknown.
            try await db.asOwner(
                scope, "UPDATE hsafa.api_keys SET previous_expires_at = now() - interval '1 second' WHERE tenant_id = \(scope.tenantID)")
            #expect(try await credentials.apiKey(publicID: key.publicID) == nil)
        }
    }

    @Test func `what crosses tenants asks for an admin's key that is good at this moment`() async throws {
        try await StorageDatabase.with { db in
            let scope = try await db.makeTenant()
            let tenantKey = try #require(try await insert(db, scope)).keyID
            let bootstrap = Bootstrap(owner: db.owner)
            let platform = try await bootstrap.ensureTenant(slug: Bootstrap.platformSlug, name: "Platform")
            func adminKey(in tenant: TenantID) async throws -> APIKeyID {
                try await bootstrap.insertKey(
                    tenant: tenant, publicID: CredentialToken.generate(.apiKey).id, name: "a", secretHash: "h", scopes: [], isAdmin: true)
            }
            func directory(_ key: APIKeyID) -> TenantDirectory {
                TenantDirectory(
                    db.database.tenant(TenantScope(tenantID: platform, slug: Bootstrap.platformSlug)), admin: key, author: .test)
            }
            let admin = try await adminKey(in: platform)
            // Even a row that says so counts in the platform's tenant only.
            let astray = try await adminKey(in: scope.tenantID)
            for key in [tenantKey, astray, .generate()] {
                let errors = [
                    await postgresError { try await directory(key).tenants(status: nil, limit: 1, after: nil) },
                    await postgresError { try await directory(key).create(.generate(), slug: "stolen", name: "x") },
                    await postgresError { try await directory(key).update(scope.tenantID, name: "x", limits: nil) },
                    await postgresError { try await directory(key).setStatus(scope.tenantID, .suspended, reason: nil) },
                    await postgresError { try await directory(key).audit(tenant: nil, AuditFilter(), limit: 1, after: nil) },
                ]
                #expect(errors.allSatisfy { $0?.sqlState == "HS403" }, "\(errors)")
            }
            #expect(try await directory(admin).setStatus(scope.tenantID, .suspended, reason: nil)?.generation == 2)
            #expect(try await directory(admin).setStatus(scope.tenantID, .suspended, reason: nil) == nil)
            #expect(try await directory(admin).setStatus(platform, .suspended, reason: nil) == nil)
            let scopeOfPlatform = TenantScope(tenantID: platform, slug: Bootstrap.platformSlug)
            _ = try await bootstrap.changes(of: scopeOfPlatform).revokeKey(admin)
            #expect(await postgresError { try await directory(admin).tenant(platform) }?.sqlState == "HS403")
        }
    }

    @Test func `a tenant's slug never changes, also for the operator`() async throws {
        try await StorageDatabase.with { db in
            let scope = try await db.makeTenant()
            let error = await postgresError {
                try await db.asOwner(scope, "UPDATE hsafa.tenants SET slug = 'other' WHERE tenant_id = \(scope.tenantID)")
            }
            #expect(error?.sqlState == "23514")
        }
    }
}
