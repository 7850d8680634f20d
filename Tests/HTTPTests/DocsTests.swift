import Cryptography
import Domain
import Foundation
import HsafaClient
import NIOHTTP1
import Runtime
import TestSupport
import Testing

@testable import GatewayHTTP

/// The page at `/docs`: it is whole, it comes from here alone, and it is kept by whoever has it.
struct DocsTests {
    private func client() async throws -> HsafaClient { try await TestGateway.shared.value.client(key: nil) }

    @Test func `the page and each of its files are served with their type, without a key, under GET and HEAD`() async throws {
        let client = try await client()
        for (path, type) in [
            ("/docs", "text/html; charset=utf-8"), ("/docs/page.js", "text/javascript; charset=utf-8"),
            ("/docs/page.css", "text/css; charset=utf-8"), ("/docs/icon.svg", "image/svg+xml"),
            ("/docs/swagger-ui-bundle.js", "text/javascript; charset=utf-8"), ("/docs/swagger-ui.css", "text/css; charset=utf-8"),
            ("/docs/LICENSE", "text/plain; charset=utf-8"),
        ] {
            let answer = try await client.send("GET", path)
            #expect(answer.status == 200 && answer.header("Content-Type") == type, "\(path)")
            #expect(answer.header("X-Content-Type-Options") == "nosniff", "\(path)")
            #expect(answer.bytes.count > 100, "\(path)")
            let head = try await client.send("HEAD", path)
            #expect(head.status == 200 && head.bytes.isEmpty && head.header("Content-Type") == type, "\(path)")
            #expect(head.header("ETag") == answer.header("ETag"), "\(path)")
        }
    }

    @Test func `who has a file is told so, and who has another gets it`() async throws {
        let client = try await client()
        for path in ["/docs", "/docs/swagger-ui-bundle.js"] {
            let answer = try await client.send("GET", path)
            let tag = try #require(answer.header("ETag"))
            #expect(answer.header("Cache-Control") == "no-cache")
            for condition in [tag, "W/" + tag, "\"other\", " + tag, "*"] {
                let again = try await client.send("GET", path, headers: [("If-None-Match", condition)])
                #expect(again.status == 304 && again.bytes.isEmpty && again.header("ETag") == tag, "\(path) \(condition)")
            }
            for condition in ["\"other\"", "", tag.replacing("\"", with: "")] {
                #expect(try await client.send("GET", path, headers: [("If-None-Match", condition)]).status == 200, "\(path) \(condition)")
            }
        }
    }

    @Test func `no name reaches a file that is not the page's`() async throws {
        let client = try await client()
        for name in ["README.md", "index.html", "..%2Fopenapi.yaml", "%2e%2e", "swagger-ui%2FLICENSE", "page.js%00", "PAGE.JS"] {
            let answer = try await client.send("GET", "/docs/\(name)")
            #expect(answer.status == 404, "\(name): \(answer.text.prefix(80))")
        }
    }

    @Test func `the page alone may run scripts, and only this server's`() async throws {
        let client = try await client()
        let page = try await client.send("GET", "/docs")
        #expect(page.headers["Content-Security-Policy"] == [DocsFile.pagePolicy])
        let directives = Dictionary(
            uniqueKeysWithValues: DocsFile.pagePolicy.split(separator: ";").map { part in
                let words = part.split(separator: " ")
                return (words[0], Set(words.dropFirst()))
            })
        #expect(directives["default-src"] == ["'none'"] && directives["frame-ancestors"] == ["'none'"])
        #expect(directives["script-src"] == ["'self'"] && directives["connect-src"] == ["'self'"])
        for (name, sources) in directives { #expect(sources.isSubset(of: ["'self'", "'none'", "data:", "'unsafe-inline'"]), "\(name)") }
        #expect(directives.filter { $0.value.contains("'unsafe-inline'") }.keys.allSatisfy { $0 == "style-src" })
        let script = try await client.send("GET", "/docs/page.js")
        #expect(script.headers["Content-Security-Policy"] == ["default-src 'none'; frame-ancestors 'none'"])
    }

    @Test func `the page and its style sheets name nothing of another host`() throws {
        let folder = TestEnvironment.repository + "/viewer/"
        for name in ["index.html", "page.js", "page.css", "swagger-ui/swagger-ui.css"] {
            let text = try String(contentsOfFile: folder + name, encoding: .utf8)
            let outside = text.matches(of: /(?:src|href|url|import|fetch)[\s=:("']*(?:https?:)?\/\/[^\s"')]+/).map { String($0.0) }
            #expect(outside == [], "\(name)")
        }
        let page = try String(contentsOfFile: folder + "index.html", encoding: .utf8)
        let files = page.matches(of: /(?:src|href)="docs\/([^"]+)"/).map { String($0.1) }
        #expect(Set(files).isSubset(of: Set(DocsFile.Name.allCases.map(\.rawValue))) && files.count >= 5)
        #expect(!page.contains("<script>") && !page.contains("style="), "the policy forbids what stands in the page itself")
        #expect(try String(contentsOfFile: folder + "page.js", encoding: .utf8).contains("validatorUrl: null"))
    }

    @Test func `the viewer is the one that its README names`() throws {
        let readme = try String(contentsOfFile: TestEnvironment.repository + "/viewer/README.md", encoding: .utf8)
        for name in ["swagger-ui-bundle.js", "swagger-ui.css"] {
            let path = TestEnvironment.repository + "/viewer/swagger-ui/" + name
            let bytes = try [UInt8](Data(contentsOf: URL(filePath: path)))
            #expect(readme.contains("| `swagger-ui/\(name)` | `\(Hex.encode(SHA256.hash(bytes)))` |"), "\(name)")
        }
        #expect(
            try String(contentsOfFile: TestEnvironment.repository + "/viewer/swagger-ui/LICENSE", encoding: .utf8).contains(
                "Apache License"))
    }

    @Test func `a gateway without the page says so`() async throws {
        let gateway = try await TestGateway.running(in: try await .fresh()) { $0.docsDirectory = "/nowhere" }
        for path in ["/docs", "/docs/page.js"] { try await gateway.client(key: nil).send("GET", path).expectProblem(404, "docs_not_found") }
    }
}
