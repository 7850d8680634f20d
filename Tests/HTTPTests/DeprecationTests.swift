import Domain
import Foundation
import HTTPTypes
import HsafaClient
import NIOHTTP1
import Hummingbird
import JSON
import Runtime
import TestSupport
import Testing

@testable import GatewayHTTP

/// An operation that will go says so on every answer, and in the description.
struct DeprecationTests {
    private static let deprecation = Deprecation(
        since: Timestamp(millisecondsSinceUnixEpoch: 1_688_169_599_000), sunset: Timestamp(millisecondsSinceUnixEpoch: 1_541_980_799_500),
        notice: "/docs#/Agents/listAgents")

    /// What no route of the API is yet.
    private struct OldHealth: OpenOperation {
        static let deprecation: Deprecation? = DeprecationTests.deprecation
        init(gateway: Gateway) {}

        func handle(_ request: Request, _ context: OpenContext) async throws -> Response {
            guard request.uri.query == nil else { throw GatewayError.invalidQuery("x", "must be absent") }
            return GatewayHTTP.Answer.object { $0.field("status", string: "ok") }
        }
    }

    private static let old = Route(open: .get, "/old/{name}", "getOldHealth", OldHealth.self)
    private static let current = Route(open: .get, "/health", "getHealth", GetHealth.self)

    /// The examples of RFC 9745 §2.1 and RFC 8594 §3.
    @Test func `the fields have the form of their RFCs`() {
        var headers = HTTPFields()
        Self.deprecation.add(to: &headers)
        #expect(headers[.deprecation] == "@1688169599")
        #expect(headers[.sunset] == "Sun, 11 Nov 2018 23:59:59 GMT")
        #expect(headers[.link] == "</docs#/Agents/listAgents>; rel=\"deprecation\"; type=\"text/html\"")
        var open = HTTPFields()
        Deprecation(since: Timestamp(millisecondsSinceUnixEpoch: 0), sunset: nil, notice: "/n").add(to: &open)
        #expect(open[.deprecation] == "@0" && open[.sunset] == nil)
    }

    @Test(arguments: [
        (0, "Thu, 01 Jan 1970 00:00:00 GMT"), (784_111_777_000, "Sun, 06 Nov 1994 08:49:37 GMT"),
        (-1, "Wed, 31 Dec 1969 23:59:59 GMT"), (1_709_164_800_000, "Thu, 29 Feb 2024 00:00:00 GMT"),
    ]) func `a moment is an HTTP date`(milliseconds: Int64, text: String) {
        #expect(Timestamp(millisecondsSinceUnixEpoch: milliseconds).httpDate == text)
    }

    @Test func `good and bad answers of a deprecated operation carry them, and no other's`() async throws {
        let gateway = try await TestGateway.running(in: try await .fresh(), routes: [Self.old, Self.current])
        let client = gateway.undescribedClient()
        for (method, path, status) in [("GET", "/old/a", 200), ("HEAD", "/old/a", 200), ("GET", "/old/a?x=1", 400)] {
            let answer = try await client.send(method, path)
            #expect(answer.status == status)
            #expect(answer.headers["Deprecation"] == ["@1688169599"], "\(method) \(path)")
            #expect(answer.headers["Sunset"] == ["Sun, 11 Nov 2018 23:59:59 GMT"], "\(method) \(path)")
            #expect(answer.headers["Link"].count == 1, "\(method) \(path)")
        }
        for path in ["/health", "/nowhere"] {
            let answer = try await client.send("GET", path)
            #expect(answer.header("Deprecation") == nil && answer.header("Sunset") == nil && answer.header("Link") == nil, "\(path)")
        }
    }

    @Test func `the middleware is not there while nothing is deprecated`() {
        #expect(DeprecationNotices([Self.current]).isEmpty)
        #expect(!DeprecationNotices([Self.current, Self.old]).isEmpty)
    }

    /// `operationId`s that the description calls deprecated.
    private func deprecatedInDescription(_ yaml: String) -> Set<String> {
        var found: Set<String> = []
        var operation = ""
        for line in yaml.split(separator: "\n") {
            let text = line.drop { $0 == " " }
            if text.hasPrefix("operationId: ") { operation = String(text.dropFirst(13)) }
            // At an operation's own level: properties may be deprecated as well.
            if line == "      deprecated: true" { found.insert(operation) }
        }
        return found
    }

    @Test func `the description and the route table call the same operations deprecated`() throws {
        let yaml = try String(contentsOfFile: TestEnvironment.repository + "/openapi.yaml", encoding: .utf8)
        #expect(deprecatedInDescription(yaml) == Set(RouteTable.all.filter { $0.deprecation != nil }.map(\.operationID)))
        let sample = "paths:\n  /a:\n    get:\n      operationId: getA\n      deprecated: true\n    put:\n      operationId: putA\n"
        #expect(deprecatedInDescription(sample) == ["getA"])
    }

    // MARK: Methods of a path, which deprecation and 405 look up

    @Test func `where a path fits two templates, Allow names the methods of the one that the router takes`() async throws {
        let client = try await TestGateway.shared.value.client(key: nil)
        for (path, allow) in [
            ("/api/devices/enroll", "POST"), ("/api/devices/enrollment-tokens", "POST"),
            ("/api/devices/0198c1f0-5d6e-7a31-9c0b-2f64d1a7e001", "GET, HEAD, PATCH, DELETE"), ("/docs/page.js", "GET, HEAD"),
            ("/api/runs/0198c1f0-5d6e-7a31-9c0b-2f64d1a7e001/stream", "GET"),
        ] {
            let answer = try await client.send("PUT", path)
            try answer.expectProblem(405, "method_not_allowed")
            #expect(answer.header("Allow") == allow, "\(path)")
        }
    }
}
