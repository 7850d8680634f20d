import Postgres
import Cryptography
import Domain
import FoundationEssentials
import JSON
import Storage
import TestSupport
import Testing

@testable import Runtime

@Suite("Enrolment")
struct EnrollmentTests {
    static let audience = "https://gateway.test"

    static func request(
        _ token: EnrollmentTokenIssued, _ key: Ed25519.PrivateKey, deviceKey: String, audience: String = EnrollmentTests.audience,
        signedBy other: Ed25519.PrivateKey? = nil
    ) throws -> EnrollmentRequest {
        let publicKey = Base64URL.encode(key.publicKey.rawRepresentation)
        let proof = DeviceProof.enrollment(audience: audience, tokenID: token.tokenID, publicKey: publicKey, deviceKey: deviceKey)
        return EnrollmentRequest(
            token: token.token, publicKey: publicKey, deviceKey: deviceKey, displayName: "Bench", platform: "linux",
            capabilities: try JSONDocument(parsing: Array("{\"tools\":[{\"name\":\"echo\",\"inputSchema\":{}}]}".utf8)).root,
            signature: Base64URL.encode(try (other ?? key).sign(proof)))
    }

    static func enrolled(
        _ replica: DeviceReplica, _ scope: TenantScope, autoApprove: Bool
    ) async throws -> (TestDevice, DeviceRecord) {
        let token = try await token(replica, scope, autoApprove: autoApprove)
        let key = try Ed25519.PrivateKey()
        let (record, _) = try await replica.devices.enroll(request(token, key, deviceKey: "device-\(UUID().uuidString)"))
        return (TestDevice(id: record.deviceID, key: key, tools: ["echo"]), record)
    }

    static func token(
        _ replica: DeviceReplica, _ scope: TenantScope, autoApprove: Bool = true, deviceKey: String? = nil, expiresSeconds: Int? = nil
    ) async throws -> EnrollmentTokenIssued {
        try await replica.devices.createEnrollmentToken(
            in: replica.environment.database.tenant(scope), labels: ["zone": "lab"], allowedTools: ["echo"], autoApprove: autoApprove,
            deviceKey: deviceKey, expiresSeconds: expiresSeconds, by: .test)
    }

    private func refusal(_ replica: DeviceReplica, _ request: EnrollmentRequest) async -> String {
        do {
            _ = try await replica.devices.enroll(request)
            return "enrolled"
        } catch let error as GatewayError {
            return "\(error.status) \(error.code)"
        } catch {
            return "\(error)"
        }
    }

    @Test("A device gets labels and tools from its token, not from itself, and asking again gives the same answer")
    func enrols() async throws {
        let environment = try await TestEnvironment.start()
        let scope = try await environment.makeTenant()
        let replica = try DeviceReplica(environment)
        let token = try await Self.token(replica, scope)
        #expect(token.audience == Self.audience)
        let request = try Self.request(token, try Ed25519.PrivateKey(), deviceKey: "bench-1")
        let (device, isNew) = try await replica.devices.enroll(request)
        #expect(isNew)
        #expect(device.status == .active)
        #expect(device.labels == ["zone": "lab"])
        #expect(device.allowedTools == ["echo"])
        #expect(device.displayName == "Bench")
        let (again, isNewAgain) = try await replica.devices.enroll(request)
        #expect(!isNewAgain)
        #expect(again.deviceID == device.deviceID)
        #expect(try await replica.devices.list(scope, PageRequest()).items.map(\.deviceID) == [device.deviceID])
    }

    @Test("Too many wrong tokens and proofs from one address hold it back, and no other")
    func guessing() async throws {
        let environment = try await TestEnvironment.start()
        let scope = try await environment.makeTenant()
        let replica = try DeviceReplica(environment)
        let (token, key) = (try await Self.token(replica, scope), try Ed25519.PrivateKey())
        let right = try Self.request(token, key, deviceKey: "bench-guess")
        let wrongProof = try Self.request(token, key, deviceKey: "bench-guess", signedBy: try Ed25519.PrivateKey())
        let strange = EnrollmentTokenIssued(
            tokenID: "x", token: CredentialToken.generate(.enrollment).text, audience: Self.audience, expiresAt: .now())
        let wrongToken = try Self.request(strange, key, deviceKey: "bench-guess")
        let (attacker, other) = (try #require(IPAddress("203.0.113.7")), try #require(IPAddress("203.0.113.8")))
        func status(_ request: EnrollmentRequest, _ address: IPAddress) async throws -> Int {
            do {
                _ = try await replica.devices.enroll(request, address: address)
                return 200
            } catch let error as GatewayError { return error.status }
        }
        var refused: Int?
        for index in 0..<10_000 where refused == nil {
            let status = try await status(index % 2 == 0 ? wrongToken : wrongProof, attacker)
            if status != 401 { refused = status }
        }
        #expect(refused == 429)
        #expect(replica.devices.failures.wait(other) == nil)
        #expect(try await status(right, other) == 200)
    }

    @Test("A token is spent by its first success, also when many devices come at once")
    func spentOnce() async throws {
        let environment = try await TestEnvironment.start()
        let scope = try await environment.makeTenant()
        let replica = try DeviceReplica(environment)
        let token = try await Self.token(replica, scope)
        let answers = try await withThrowingTaskGroup(of: String.self) { group in
            for number in 0..<8 {
                let request = try Self.request(token, try Ed25519.PrivateKey(), deviceKey: "racer-\(number)")
                group.addTask { await refusal(replica, request) }
            }
            return try await group.reduce(into: [:]) { $0[$1, default: 0] += 1 }
        }
        #expect(answers == ["enrolled": 1, "409 token_spent": 7])
    }

    @Test("Wrong tokens, proofs, keys and times are told apart, and none of them spends the token")
    func refusals() async throws {
        let environment = try await TestEnvironment.start()
        let scope = try await environment.makeTenant()
        let replica = try DeviceReplica(environment)
        let (key, other) = (try Ed25519.PrivateKey(), try Ed25519.PrivateKey())
        let token = try await Self.token(replica, scope, deviceKey: "pinned")
        let strange = EnrollmentTokenIssued(
            tokenID: "x", token: CredentialToken.generate(.enrollment).text, audience: Self.audience, expiresAt: .now())
        #expect(await refusal(replica, try Self.request(strange, key, deviceKey: "pinned")) == "401 invalid_token")
        #expect(await refusal(replica, try Self.request(token, key, deviceKey: "pinned", signedBy: other)) == "401 invalid_signature")
        #expect(
            await refusal(replica, try Self.request(token, key, deviceKey: "pinned", audience: "https://relay.test"))
                == "401 invalid_signature")
        #expect(await refusal(replica, try Self.request(token, key, deviceKey: "another")) == "403 device_key_mismatch")
        #expect(await refusal(replica, try Self.request(token, key, deviceKey: "with space")) == "422 invalid_body")
        #expect(await refusal(replica, try Self.request(token, key, deviceKey: "pinned")) == "enrolled")

        let second = try await Self.token(replica, scope)
        #expect(await refusal(replica, try Self.request(second, other, deviceKey: "pinned")) == "409 device_key_taken")
        #expect(await refusal(replica, try Self.request(second, other, deviceKey: "free")) == "enrolled")

        let old = try await Self.token(replica, scope)
        _ = try await environment.app.query(
            "UPDATE hsafa.enrollment_tokens SET expires_at = now() WHERE tenant_id = \(scope.tenantID) AND used_at IS NULL",
            scope: scope.tenantID.description)
        #expect(await refusal(replica, try Self.request(old, other, deviceKey: "late")) == "410 token_expired")
    }

    @Test("A revoked device's key is free again, under a new id, and its old token is of no more use")
    func revokedKey() async throws {
        let environment = try await TestEnvironment.start()
        let scope = try await environment.makeTenant()
        let replica = try DeviceReplica(environment)
        let key = try Ed25519.PrivateKey()
        let token = try await Self.token(replica, scope)
        let request = try Self.request(token, key, deviceKey: "bench")
        let (first, _) = try await replica.devices.enroll(request)
        try await replica.devices.revoke(scope, first.deviceID, by: .test)
        #expect(await refusal(replica, request) == "409 token_spent")
        let fresh = try await Self.token(replica, scope)
        let (second, isNew) = try await replica.devices.enroll(Self.request(fresh, key, deviceKey: "bench"))
        #expect(isNew)
        #expect(second.deviceID != first.deviceID)
    }

    @Test("Another tenant's devices are not there")
    func tenants() async throws {
        let environment = try await TestEnvironment.start()
        let (scope, stranger) = (try await environment.makeTenant(), try await environment.makeTenant())
        let replica = try DeviceReplica(environment)
        let device = try await replica.makeDevice(scope)
        await #expect { try await replica.devices.get(stranger, device.id) } throws: { ($0 as? GatewayError)?.code == "device_not_found" }
        await #expect { try await replica.devices.revoke(stranger, device.id, by: .test) } throws: { ($0 as? GatewayError)?.status == 404 }
        await #expect {
            try await replica.devices.update(stranger, device.id, displayName: "x", labels: nil, allowedTools: nil, by: .test)
        } throws: {
            ($0 as? GatewayError)?.status == 404
        }
        #expect(try await replica.devices.list(stranger, PageRequest()).items.isEmpty)
    }

    @Test("Devices are listed newest first, page by page, and changed field by field")
    func listsAndUpdates() async throws {
        let environment = try await TestEnvironment.start()
        let scope = try await environment.makeTenant()
        let replica = try DeviceReplica(environment)
        var made: [DeviceID] = []
        for _ in 0..<3 { made.append(try await replica.makeDevice(scope).id) }
        let first = try await replica.devices.list(scope, PageRequest(limit: 2))
        let rest = try await replica.devices.list(scope, PageRequest(limit: 2, cursor: first.next))
        #expect(Set((first.items + rest.items).map(\.deviceID)) == Set(made))
        #expect(rest.next == nil)
        let changed = try await replica.devices.update(
            scope, made[0], displayName: "Bench", labels: ["room": "7"], allowedTools: ["a*"], by: .test)
        #expect(changed.displayName == "Bench")
        #expect(changed.labels == ["room": "7"])
        let cleared = try await replica.devices.update(
            scope, made[0], displayName: .some(nil), labels: nil, allowedTools: .some(nil), by: .test)
        #expect(cleared.displayName == nil)
        #expect(cleared.labels == ["room": "7"])
        #expect(cleared.allowedTools == nil)
    }
}
