import Domain
import HTTPTypes
import HsafaClient
import JSON
import TestContract
import TestSupport
import Testing

@testable import GatewayHTTP

/// What the description does not allow is refused, with its place, and nothing is written: bodies and queries made from the schemas of
/// every route, so that a new one is under test as soon as it is described.
@Suite(.serialized, .timeLimit(.minutes(15)))
struct StrictnessTests {
    /// Everything in the paths is there, so that nothing but the body is wrong.
    private struct Ground {
        let tenant: TestTenant
        let things: TenantThings
        let admin: HsafaClient
        /// A call of an external system, which it may answer with its token.
        let external: (callID: String, token: String)

        static func make() async throws -> Ground {
            let tenant = try await TestTenant.make(on: try await StrictnessTests.gateway.value)
            let run = try await tenant.run("outside", steps: [Config.calls("outside")], tools: [ToolTarget.external.tool("outside")])
            let call = try #require(try await tenant.pendingCalls(run).first?["callId"]?.string)
            let token = ResultToken.make(
                tenant.scope.tenantID, try #require(RunID(run)), try #require(CallID(call)), try #require(TestGateway.masterKeys))
            SuiteLog.noteSecret(String(token.dropFirst(4)))
            return Ground(
                tenant: tenant, things: try await TenantThings.make(tenant), admin: try await AdminTests.admin(tenant.gateway).client,
                external: (call, token))
        }

        func path(_ route: Route) throws -> String {
            if route.operationID == "submitExternalResult" { return try #require(TenantThings.path(route.path) { _ in external.callID }) }
            return try #require(TenantThings.path(route.path) { things.ids[$0] }, "TenantThings makes nothing for \(route.path)")
        }

        func client(_ route: Route) -> HsafaClient {
            if route.operationID == "submitExternalResult" { return tenant.gateway.client(key: external.token) }
            return route.requirement == .admin ? admin : tenant.client
        }
        var fingerprint: [String: String] { get async throws { try await tenant.gateway.environment.fingerprint() } }
    }

    /// The suite's own, as is its database: what is written anywhere in it, these tests wrote.
    private static let gateway = Task { try await TestGateway.running(in: try await .fresh()) }

    private func send(_ ground: Ground, _ route: Route, _ path: String, _ body: [UInt8]?) async throws -> Answer {
        let answer = try await ground.client(route).raw("\(route.method)", path, headers: [("Connection", "keep-alive")], body: body)
        return Answer(status: answer.status, headers: answer.headers, bytes: answer.body)
    }

    @Test func `every body that its schema does not allow is refused with its place, and nothing is written`() async throws {
        let contract = try Contract.shared
        let ground = try await Ground.make()
        let before = try await ground.fingerprint
        var count = 0
        for route in RouteTable.all {
            guard let operation = contract.document.operations.first(where: { $0.operationID == route.operationID }),
                let schema = operation.bodySchema
            else { continue }
            let component = try #require(schema["$ref"]?.string.flatMap { contract.document.resolve($0) })
            let base = try #require(component["examples"]?.elements.first, "\(route.operationID): its body has no example")
            let path = try ground.path(route)
            for bad in try BadBodies.of(schema, base: base, contract) {
                let answer = try await send(ground, route, path, bad.bytes)
                expectRefusal(answer, bad, route)
                count += 1
            }
        }
        #expect(count > 500, "\(count) bodies")
        #expect(try await ground.fingerprint == before)
    }

    /// Who has no token of this gateway is told nothing about the rest of the request.
    private static let tokenFirst: Set<String> = ["enrollDevice"]

    private func expectRefusal(_ answer: Answer, _ bad: BadBody, _ route: Route) {
        let what =
            "\(route.operationID): \(bad.name): \(String(decoding: bad.bytes.prefix(300), as: UTF8.self)) → \(answer.status) \(answer.text)"
        if Self.tokenFirst.contains(route.operationID), answer.status == 401 { return }
        let told = (try? answer.pointers()) ?? []
        guard !bad.isMalformed else {
            #expect(answer.status == 400, Comment(rawValue: what))
            #expect(answer.text.contains(#""malformed_json""#), Comment(rawValue: what))
            #expect(answer.text.contains(" at byte "), Comment(rawValue: what))
            #expect(told == [bad.pointer], Comment(rawValue: what))
            return
        }
        #expect(answer.status == 422, Comment(rawValue: what))
        #expect(told.contains { isNear($0, bad.pointer) }, Comment(rawValue: what))
    }

    /// The fault itself, what it is part of, or a field that must go with it.
    private func isNear(_ told: String, _ pointer: String) -> Bool {
        let parent = pointer.split(separator: "/").dropLast().map { "/" + $0 }.joined()
        return told.hasPrefix(pointer) || pointer.hasPrefix(told) || told.hasPrefix(parent)
    }

    @Test func `every query that is not described is refused by name, and nothing is written`() async throws {
        let contract = try Contract.shared
        let ground = try await Ground.make()
        let before = try await ground.fingerprint
        var count = 0
        for route in RouteTable.all {
            let operation = try #require(contract.document.operations.first { $0.operationID == route.operationID })
            guard operation.codes(at: 400).contains("invalid_query") else { continue }
            let path = try ground.path(route)
            let body = operation.bodySchema == nil ? nil : Array("{}".utf8)
            for query in queries(operation) {
                let answer = try await send(ground, route, "\(path)?\(query)", body)
                if Self.tokenFirst.contains(route.operationID), answer.status == 401 { continue }
                #expect(answer.status == 400, "\(route.operationID)?\(query): \(answer.status) \(answer.text)")
                #expect(answer.text.contains(#""invalid_query""#), "\(route.operationID)?\(query): \(answer.text)")
                count += 1
            }
        }
        #expect(count > 200, "\(count) queries")
        #expect(try await ground.fingerprint == before)
    }

    /// Unknown ones, repeated ones, broken ones, and for each parameter values that its schema does not allow.
    private func queries(_ operation: ContractOperation) -> [String] {
        var queries = ["surprise=1", "surprise", "=1", "%FF=1", "surprise=%FF", "surprise=%zz", "surprise=%", "surprise=1&surprise=1"]
        for parameter in operation.parameters where parameter["in"]?.string == "query" {
            guard let name = parameter["name"]?.string, let schema = parameter["schema"] else { continue }
            queries += ["\(name)=%FF", "\(name)=1&\(name)=1"]
            let bare = schema["$ref"]?.string.flatMap { try? Contract.shared.document.resolve($0) } ?? schema
            let isFree = bare["type"]?.string == "string" && bare["enum"] == nil && bare["format"] == nil && bare["pattern"] == nil
            if !isFree || name == "cursor" {
                queries += ["", "no-such-value", "-1", "1.5", "%00", "a%00b", "☃"].map { "\(name)=\(encoded($0))" }
            }
            for (bound, step) in [("minimum", -1), ("maximum", 1)] {
                if let value = bare[bound]?.int, value < .max { queries.append("\(name)=\(value + step)") }
            }
            if bare["type"]?.string == "integer" {
                queries += ["99999999999999999999", "0x1", "+1", "1e2"].map { "\(name)=\(encoded($0))" }
            }
        }
        return queries
    }

    private func encoded(_ text: String) -> String { text.contains("%") ? text : HsafaClient.percentEncode(text) }

    @Test func `a path with anything in the place of an id is 404, and text with U+0000 is never a failure of the gateway`() async throws {
        let contract = try Contract.shared
        let ground = try await Ground.make()
        for route in RouteTable.all where route.path.contains("{") && route.requirement != .nothing {
            for garbage in ["x", "%00", "%FF", "a%00b", "..%2F..", "%2e%2e", "'%20OR%201=1--", String(repeating: "a", count: 4000), "☃"] {
                let path = route.path.split(separator: "/").map { $0.hasPrefix("{") ? "/" + encoded(garbage) : "/\($0)" }.joined()
                let answer = try await send(ground, route, path, nil)
                // What a tenant names itself may not be there yet: then it is the body that is missing, or the name that is none.
                let expected: Set = CrossTenantTests.ownNames.contains(route.operationID) ? [400, 404, 415, 422] : [404]
                #expect(expected.contains(answer.status), "\(route.operationID) \(path.prefix(200)): \(answer.status) \(answer.text)")
            }
        }
        for route in RouteTable.all {
            let operation = try #require(contract.document.operations.first { $0.operationID == route.operationID })
            for parameter in operation.parameters where parameter["in"]?.string == "query" {
                let name = parameter["name"]?.string ?? ""
                let answer = try await send(ground, route, "\(try ground.path(route))?\(name)=a%00b", nil)
                #expect((200..<500).contains(answer.status), "\(route.operationID) \(name): \(answer.status) \(answer.text)")
            }
        }
    }

    /// Postgres keeps no U+0000 in text: whoever sends one is told so, or it is kept as JSON, but nothing breaks.
    @Test func `U+0000 in any text of a body is never a failure of the gateway`() async throws {
        let contract = try Contract.shared
        let ground = try await Ground.make()
        var count = 0
        for route in RouteTable.all {
            let operation = contract.document.operations.first { $0.operationID == route.operationID }
            guard let reference = operation?.bodySchema?["$ref"]?.string, let component = contract.document.resolve(reference) else {
                continue
            }
            for example in component["examples"]?.elements ?? [] {
                for (pointer, body) in Self.withNUL(example) {
                    // Nothing of these is to be kept: the tenant of the admin's operations is the one that makes them.
                    let answer = try await send(ground, route, try ground.path(route), body.json.bytes)
                    #expect((200..<500).contains(answer.status), "\(route.operationID) \(pointer): \(answer.status) \(answer.text)")
                    count += 1
                }
            }
        }
        #expect(count > 50)
    }

    /// The value with U+0000 in one of its texts, and in one of its keys, for each of them.
    private static func withNUL(_ value: SpecValue, _ pointer: String = "") -> [(pointer: String, body: SpecValue)] {
        switch value {
        case .string(let text): [(pointer, .string(text + "\u{0}"))]
        case .array(let elements):
            elements.indices.flatMap { index in
                withNUL(elements[index], "\(pointer)/\(index)").map { found in
                    var changed = elements
                    changed[index] = found.body
                    return (found.pointer, .array(changed))
                }
            }
        case .object(let members):
            members.flatMap { member in
                withNUL(member.value, "\(pointer)/\(member.key)").map { ($0.pointer, value.with(member.key, $0.body)) }
                    + [(pointer, value.with(member.key, nil).with(member.key + "\u{0}", member.value))]
            }
        default: []
        }
    }
}
