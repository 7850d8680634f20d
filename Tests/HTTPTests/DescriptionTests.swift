import Domain
import HTTPTypes
import TestContract
import Testing

@testable import GatewayHTTP

/// The route table and the description say the same, both ways.
struct DescriptionTests {
    private func described() throws -> [String: ContractOperation] {
        let operations = try Contract.shared.document.operations
        let byID = Dictionary(operations.map { ($0.operationID, $0) }) { first, _ in first }
        #expect(byID.count == operations.count, "an operationId is there twice")
        return byID
    }

    @Test func `every route is described, and everything described is a route`() throws {
        let described = try described()
        #expect(Set(described.keys) == Set(RouteTable.all.map(\.operationID)))
        for route in RouteTable.all {
            guard let operation = described[route.operationID] else { continue }
            #expect(operation.method == "\(route.method)" && operation.path == route.path, "\(route.operationID)")
        }
    }

    @Test func `the scope that a route asks for is the one that is described`() throws {
        let described = try described()
        for route in RouteTable.all {
            let scope: String? =
                switch route.requirement {
                case .nothing: nil
                case .scope(let scope): scope.rawValue
                case .admin: "admin"
                }
            #expect(described[route.operationID]?.scope == scope, "\(route.operationID)")
        }
    }

    @Test func `what takes a run token is described, with what the token must give`() throws {
        let described = try described()
        for route in RouteTable.all {
            let use: String? =
                switch route.runToken {
                case nil: nil
                case .watch, .stream: "watch"
                case .grant(let grant): grant.rawValue
                }
            #expect(described[route.operationID]?.runToken == use, "\(route.operationID)")
            if use.map({ $0 != "watch" }) ?? false {
                #expect(described[route.operationID]?.codes(at: 403).contains("missing_grant") == true, "\(route.operationID)")
            }
        }
    }

    @Test func `what creates takes an Idempotency-Key, and says of an answer that it was there before`() throws {
        let described = try described()
        for route in RouteTable.all {
            let operation = try #require(described[route.operationID])
            #expect((operation.parameter("Idempotency-Key", in: "header") != nil) == route.isCreating, "\(route.operationID)")
            for status in operation.statuses where (200..<300).contains(status) {
                #expect(operation.hasHeader("Idempotency-Replayed", at: status) == route.isCreating, "\(route.operationID) \(status)")
            }
            #expect(operation.codes(at: 409).contains("request_in_flight") == route.isCreating, "\(route.operationID)")
            #expect(operation.codes(at: 422).contains("idempotency_key_reused") == route.isCreating, "\(route.operationID)")
        }
    }

    @Test func `what a route leaves in the audit log is described`() throws {
        let described = try described()
        for route in RouteTable.all {
            let actions: Set<String> = if case .logs(let actions) = route.audit { Set(actions.map(\.rawValue)) } else { [] }
            #expect(Set(described[route.operationID]?.auditActions ?? []) == actions, "\(route.operationID)")
        }
    }

    @Test func `what stands before an operation is described at each of them`() throws {
        let described = try described()
        for route in RouteTable.all where route.operationID != "connectDevice" {
            let operation = try #require(described[route.operationID])
            #expect(operation.codes(at: 500) == ["internal"], "\(route.operationID)")
            guard route.requirement != .nothing else { continue }
            #expect(operation.codes(at: 401) == ["unauthorized"], "\(route.operationID)")
            let refusal = route.requirement == .admin ? "admin_required" : "missing_scope"
            #expect(operation.codes(at: 403).isSuperset(of: [refusal, "tenant_suspended"]), "\(route.operationID)")
            #expect(operation.codes(at: 429).isSuperset(of: ["request_limit_exceeded", "too_many_failures"]), "\(route.operationID)")
            let own: Set<String> = ["putSecret", "rotateWebhookSecret"].contains(route.operationID) ? ["no_master_key"] : []
            #expect(operation.codes(at: 503) == own.union(["unavailable"]), "\(route.operationID)")
            #expect(operation.codes(at: 400).contains("invalid_query"), "\(route.operationID)")
            for status in operation.statuses where (200..<300).contains(status) {
                #expect(operation.hasHeader("RateLimit-Policy", at: status), "\(route.operationID) \(status)")
            }
            guard operation.bodySchema != nil else { continue }
            #expect(operation.codes(at: 400).contains("malformed_json"), "\(route.operationID)")
            for (status, code) in [(413, "too_large"), (415, "unsupported_media_type"), (422, "invalid_body")] {
                #expect(operation.codes(at: status).contains(code), "\(route.operationID)")
            }
        }
    }

    @Test func `every answer names the request, but for those given before it could be read`() throws {
        for operation in try described().values {
            for status in operation.statuses where status != 101 {
                #expect(operation.hasHeader("X-Request-Id", at: status), "\(operation.operationID) \(status)")
            }
        }
    }

    @Test func `scopes, event types and audit actions are those of the code`() throws {
        let document = try Contract.shared.document
        func values(_ name: String) -> Set<String> {
            Set((document.resolve("#/components/schemas/\(name)")?["enum"]?.elements ?? []).compactMap(\.string))
        }
        #expect(values("Scope") == Set(Scope.allCases.map(\.rawValue)))
        #expect(values("RunEventType") == Set(RunEventType.allCases.map(\.rawValue)))
        #expect(values("RunStatus") == Set(RunStatus.allCases.map(\.rawValue)))
        #expect(values("AuditAction") == Set(AuditAction.allCases.map(\.rawValue)))
        #expect(values("RunTokenGrant") == Set(RunTokenGrant.allCases.map(\.rawValue)))
        #expect(values("ToolTarget") == Set(ToolTarget.allCases.map(\.rawValue)))
        #expect(values("DeviceStatus") == Set(DeviceStatus.allCases.map(\.rawValue)))
        let union = document.resolve("#/components/schemas/RunEvent/discriminator/mapping")?.members.map(\.key) ?? []
        #expect(Set(union) == values("RunEventType"))
    }
}
